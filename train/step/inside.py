"""Statistics of a step, for those who ask: of gradients, weights, updates and activations.

    statistics_every: 100     every 100 steps a line of run/statistics.jsonl, and TensorBoard

They are of each part of the model, and of the denoiser's parts. Of each part: the norm of its
gradient before clipping, the norm of its weights, and the norm of the update divided by it. Of the
larger parts' activations: mean, standard deviation, largest magnitude, and the share of dead
channels, which have the same value everywhere. Activations come from a pass of their own without
gradients, on the utterances of this process: no hook is left in the model, and no step is changed.

Letters for shapes: B batch, T places, C channels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ns2.model.tts.ns2 import NS2

_DEAD = 1e-6
"""A channel is dead if its deviation is a smaller share than this of the part's largest value."""
_HOOKED = {
    "phoneme_encoder": True,
    "prompt_encoder": True,
    "duration_predictor": True,
    "pitch_predictor": True,
    "denoiser.resampler": False,
    "denoiser.wavenet": True,
    "denoiser.transformer": True,
}
"""Parts whose output (B, T, C) is measured, and whether they take a mask (B, T) of padding."""


class WeightWatch:
    """Norms of gradients, weights and the update of one step, by part."""

    def __init__(self, model: NS2) -> None:
        """Measure gradients, and keep the weights as they are before the step."""
        self._model = model
        self._before = [p.detach().clone() for p in model.parameters()]
        self._found = {
            f"{part}/gradient": _norm([p.grad for p in parameters if p.grad is not None])
            for part, parameters in _parts(model).items()
        }

    def after(self) -> dict[str, Tensor]:
        """After the step: norms named `part/gradient`, `part/weights`, `part/update` (a ratio)."""
        moved = defaultdict(list)
        named = zip(self._model.named_parameters(), self._before, strict=True)
        for (name, parameter), before in named:
            moved[part_of(name)].append(parameter.detach() - before)
        for part, parameters in _parts(self._model).items():
            weights = _norm([p.detach() for p in parameters])
            self._found[f"{part}/weights"] = weights
            self._found[f"{part}/update"] = _norm(moved[part]) / weights.clamp(min=1e-12)
        return self._found


def part_of(name: str) -> str:
    """The part that a parameter belongs to, by the parameter's dotted name."""
    levels = name.split(".")
    return ".".join(levels[: 2 if levels[0] == "denoiser" else 1])


def _parts(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    found: dict[str, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        found[part_of(name)].append(parameter)
    return found


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of all values of some tensors together, ()."""
    if not tensors:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))


@contextmanager
def activations(model: NS2) -> Iterator[dict[str, Tensor]]:
    """Statistics of the parts' outputs, filled in while the model runs inside the block.

    They are named `part/mean`, `part/std`, `part/largest` and `part/dead`; padding is left out. The
    last run counts of a part that runs more than once.
    """
    found: dict[str, Tensor] = {}
    handles = []
    modules = dict(model.named_modules())
    for name, padded in _HOOKED.items():
        if modules.get(name) is not None:
            hook = _hook(name, padded, found)
            handles.append(modules[name].register_forward_hook(hook, with_kwargs=True))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, padded: bool, found: dict[str, Tensor]) -> Any:
    """A forward hook that writes the statistics of one part into `found`."""

    def measure(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
        values = out.detach().float()
        if padded:
            masks = (value for value in (*args[1:], *kwargs.values()) if _fits(value, out))
            values = values[next(masks)]  # a mask of the prompt is a later argument
        values = values.reshape(-1, out.shape[-1])
        largest = values.abs().max()
        found[f"{name}/mean"] = values.mean()
        found[f"{name}/std"] = values.std(correction=0)
        found[f"{name}/largest"] = largest
        dead = values.std(0, correction=0) <= _DEAD * largest
        found[f"{name}/dead"] = dead.float().mean()

    return measure


def _fits(value: Any, out: Tensor) -> bool:
    """Whether an argument is a mask (B, T) of an output (B, T, C)."""
    tensor = isinstance(value, Tensor) and value.dtype == torch.bool
    return tensor and value.shape == out.shape[:2]
