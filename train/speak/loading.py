"""The model of a run, from its settings and weights, laid out for speaking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ns2.model.blocks.layers import Conv
from ns2.model.config_values import to_values
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config, Sizes
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import read_json
from ns2.train.run.names import CONFIG
from ns2.train.run.settings import settings_of
from ns2.train.speak.weights import LAST, read_weights

_SAME_SIZE = frozenset({"uniform", "normal", "fill", "zero", "div", "truediv", "mod", "remainder"})
"""What changes the values of a new weight, and not its size."""
_COUNTS = ("layers", "depth")
"""The settings that count layers, each of which has tensors of its own."""
_WIDEST = 1 << 20
"""The most that any other whole number among a model's settings may be."""


def pack(model: nn.Module) -> None:
    """Lay out the convolutions of a model that will only speak as its device is fastest."""
    for module in model.modules():
        if isinstance(module, Conv):
            module.pack()


def load_model(run: Path, which: str = LAST) -> tuple[NS2, int | None]:
    """Load the model of a run with averaged weights (EMA).

    Args:
        which: which weights, see `read_weights`.

    Returns:
        the model, and the training step of its weights, where it is known.

    Raises:
        UserError: the folder is no run, or its weights are missing or can't be used.
    """
    # The settings say how the model is built.
    try:
        config = settings_of(read_json(run / CONFIG))
    except FileNotFoundError as error:
        raise UserError(f"{run} is no run of `ns2 train`: it has no {CONFIG}") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{run / CONFIG} can't be read: {error}") from error

    found = read_weights(run, which)
    weights = found.tensors
    if not config.model.conditional:
        raise UserError(f"{run} is an unconditional model, which can't speak a text")

    # The sizes that the dataset decided are those of the weights.
    try:
        quantizers, entries, latent_dim = weights["codebooks"].shape
        sizes = Sizes(
            latent_dim=latent_dim,
            quantizers=quantizers,
            entries=entries,
            phonemes=len(weights["phone_of"]),
            phones=len(weights["phone.weight"]),
        )
        model = _fitting(config.model, sizes, weights)
        model.load_state_dict({n: _as_float32(t) for n, t in weights.items()}, assign=True)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{found.path} and {CONFIG} do not go together: {error}") from error
    return model, found.step


def _fitting(config: NS2Config, sizes: Sizes, weights: Mapping[str, Tensor]) -> NS2:
    """A model without memory for weights, after seeing that they are those of its config.

    Nothing of a size that is not that of weights which exist is ever allocated.

    Raises:
        ValueError: they are not.
    """
    for name, value in _numbers(to_values(config)):
        if value > (len(weights) if name in _COUNTS else _WIDEST):
            raise ValueError(f"{name} is {value}, which no model with these weights has")
    with torch.device("meta"), _WithoutValues():  # sizes without memory
        model = NS2(config, sizes)
    expected = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    found = {name: tuple(one.shape) for name, one in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(f"{name} is {found.get(name)}, expected {expected.get(name)}")
    return model


class _WithoutValues(TorchFunctionMode):
    """Leaves out the values that layers begin with, for tensors without memory.

    Torch would load its compiler to compute none, which took a third of the time of loading a run.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func.__name__.strip("_") in _SAME_SIZE:
            return args[0] if args else (kwargs or {})["tensor"]
        if func is torch.randn:
            return torch.empty(*args)
        if func is torch.arange:
            return torch.empty(*args, dtype=torch.int64)
        return func(*args, **(kwargs or {}))


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and values of all whole numbers in a config."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield name, value
