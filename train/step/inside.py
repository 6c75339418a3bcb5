"""A look inside the model, where it is asked for: gradients, weights, updates, activations.

    statistics_every: 100     a line of run/statistics.jsonl, and TensorBoard, each 100 steps

Parts are the model's own, the denoiser's one level deeper. Of each: the norms of gradient (before
it is clipped) and weights, and of the last update beside the weights. Of what the larger parts put
out: mean, deviation, largest size, and the share of dead channels, which say the same everywhere.
Activations come from a pass of their own without gradients, on the utterances of this process: no
hook is left in the model, and no step is changed.

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
"""A channel whose deviation is a smaller share than this of the part's largest value is dead."""
_HOOKED = {
    "phoneme_encoder": True,
    "prompt_encoder": True,
    "duration_predictor": True,
    "pitch_predictor": True,
    "denoiser.resampler": False,
    "denoiser.wavenet": True,
    "denoiser.transformer": True,
}
"""Parts whose output (B, T, C) is looked at, and whether a mask (B, T) says what is padding."""


class WeightWatch:
    """Gradients, weights and the update of one step."""

    def __init__(self, model: NS2) -> None:
        """Look before the weights move; gradients are there."""
        self._model = model
        self._before = [p.detach().clone() for p in model.parameters()]
        self._found = {
            f"{part}/gradient": _norm([p.grad for p in those if p.grad is not None])
            for part, those in _parts(model).items()
        }

    def after(self) -> dict[str, Tensor]:
        """Look again: norms by `part/gradient`, `part/weights` and `part/update` (a ratio)."""
        moved = defaultdict(list)
        named = zip(self._model.named_parameters(), self._before, strict=True)
        for (name, parameter), before in named:
            moved[part_of(name)].append(parameter.detach() - before)
        for part, those in _parts(self._model).items():
            weights = _norm([p.detach() for p in those])
            self._found[f"{part}/weights"] = weights
            self._found[f"{part}/update"] = _norm(moved[part]) / weights.clamp(min=1e-12)
        return self._found


def part_of(name: str) -> str:
    """The part that a parameter belongs to."""
    levels = name.split(".")
    return ".".join(levels[: 2 if levels[0] == "denoiser" else 1])


def _parts(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    found: dict[str, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        found[part_of(name)].append(parameter)
    return found


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Of all their values together, ()."""
    if not tensors:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))


@contextmanager
def activations(model: NS2) -> Iterator[dict[str, Tensor]]:
    """Statistics of what the parts put out, filled in while the model runs inside the block.

    By `part/mean`, `part/std`, `part/largest`, `part/dead`; padding is left out. Of a part that
    runs more than once the last time counts.
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
    def look(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
        said = out.detach().float()
        if padded:
            masks = (value for value in (*args[1:], *kwargs.values()) if _fits(value, out))
            said = said[next(masks)]  # that of the prompt comes later
        said = said.reshape(-1, out.shape[-1])
        largest = said.abs().max()
        found[f"{name}/mean"] = said.mean()
        found[f"{name}/std"] = said.std(correction=0)
        found[f"{name}/largest"] = largest
        still = said.std(0, correction=0) <= _DEAD * largest
        found[f"{name}/dead"] = still.float().mean()

    return look


def _fits(value: Any, out: Tensor) -> bool:
    """Whether it is a mask (B, T) of an output (B, T, C)."""
    tensor = isinstance(value, Tensor) and value.dtype == torch.bool
    return tensor and value.shape == out.shape[:2]
