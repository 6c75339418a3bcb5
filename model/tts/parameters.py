"""The parameters of a model: how many its parts have, beside the paper, and their order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config, Sizes

PAPER = {
    "phoneme encoder": 72_000_000,
    "prompt encoder": 69_000_000,
    "duration predictor": 34_000_000,
    "pitch predictor": 50_000_000,
    "diffusion network": 183_000_000,
}
"""Sizes from the table in Shen et al. 2023 (arXiv:2304.09116), without the codec's 27 million."""

_CHILDREN = {
    "phoneme encoder": ("phone", "stress", "phoneme_encoder"),
    "prompt encoder": ("prompt_enter", "prompt_encoder", "null_prompt"),
    "duration predictor": ("duration_predictor",),
    "pitch predictor": ("pitch_predictor",),
    "diffusion network": ("denoiser", "pitch", "null_content"),
}
"""The child modules and parameters of the model that belong to each part."""


_BACKWARDS = (
    ("denoiser", "null_content"),
    ("pitch", "pitch_predictor"),
    ("duration_predictor",),
    ("phoneme_encoder", "stress", "phone"),
    ("denoiser.resampler", "denoiser.prompt", "null_prompt"),
    ("prompt_encoder", "prompt_enter"),
)
"""Modules and parameters in the order in which a backward pass is done with them."""


@dataclass(frozen=True)
class Part:
    """One row of the table: a part of the model and its size."""

    name: str
    """The name of the part."""

    parameters: int
    """The number of its parameters."""

    paper: int
    """The number of parameters of the paper's part."""


def count_parts(config: NS2Config, sizes: Sizes) -> list[Part]:
    """Count the parameters of each part, without allocating them."""
    with torch.device("meta"):
        model = NS2(config, sizes)
    found: dict[str, int] = dict.fromkeys(_CHILDREN, 0)
    owner = {child: part for part, children in _CHILDREN.items() for child in children}
    for name, parameter in model.named_parameters():
        found[owner[name.partition(".")[0]]] += parameter.numel()
    return [Part(name, found[name], PAPER[name]) for name in _CHILDREN]


def backward_order(model: NS2) -> list[nn.Parameter]:
    """Return a model's parameters about in the order in which a backward pass completes them."""

    def group(name: str) -> int:
        path = name.split(".")
        known = (".".join(path[:2]), path[0])  # the longer name goes before the shorter
        return next(i for one in known for i, names in enumerate(_BACKWARDS) if one in names)

    named = list(model.named_parameters())[::-1]
    return [parameter for name, parameter in sorted(named, key=lambda pair: group(pair[0]))]


def render(parts: list[Part]) -> str:
    """Render the parts as a table of text."""
    lines = [f"{'part':<20} {'parameters':>12} {'the paper':>10} {'ratio':>6}"]
    total = Part("all", sum(p.parameters for p in parts), sum(p.paper for p in parts))
    for part in (*parts, total):
        lines.append(
            f"{part.name:<20} {part.parameters / 1e6:>10.2f} M {part.paper / 1e6:>8.0f} M "
            f"{part.parameters / part.paper:>6.2f}"
        )
    return "\n".join(lines)
