"""Training of the network on examples of several kinds.

Letters for shapes: B batch, M mel bins, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from ns2.model.aligner.evidence import REACH, FrameNet
from ns2.pipeline.core.atomic import atomic_write
from ns2.train.bundled.make_aligner_network import BATCH, CROP, UNKNOWN, filled, fit, padded

_SHORTEST = 45
"""The shortest stretch, in frames, of which a mel is normalised as if it were all."""
_IN_PARTS = 0.3
"""How often a crop is normalised so."""
_EDGE = 4
"""The frames on either side of an edge of silence that `without_edges` leaves out."""


@dataclass(frozen=True)
class Example:
    """An utterance to train on.

    Attributes:
        mel: (M, T) float16 log-mel.
        phones: (T, POINTS) int16 classes, `UNKNOWN` where they are not learned.
        borders: (T,) the probability that a phone begins in each frame.
    """

    mel: Tensor
    phones: Tensor
    borders: Tensor


def without_edges(example: Example) -> Example:
    """An example whose labels are left out where silence borders on sound.

    Of people these edges are the aligner's, whose Gaussians place them in the silence; they are
    learned from speech whose edges are known.
    """
    silent = (example.phones == 0).any(1).float()
    both = torch.stack([silent, 1 - (example.phones == 0).all(1).float()])
    near = functional.max_pool1d(both[None], 2 * _EDGE + 1, stride=1, padding=_EDGE)[0].amin(0) > 0
    return Example(
        mel=example.mel,
        phones=example.phones.masked_fill(near[:, None], UNKNOWN),
        borders=example.borders.masked_fill(near, -1.0),
    )


def save_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write examples to a file, which appears when it is whole."""
    tensors = {
        f"{i} {name}": value for i, one in enumerate(examples) for name, value in vars(one).items()
    }
    with atomic_write(path) as file:
        file.write(save(tensors))


def load_examples(path: Path) -> list[Example]:
    """Read what `save_examples` wrote."""
    tensors = load_file(path)
    names = [field.name for field in fields(Example)]
    return [
        Example(**{name: tensors[f"{i} {name}"] for name in names})
        for i in range(len(tensors) // len(names))
    ]


def learn(
    network: FrameNet,
    kinds: Sequence[tuple[float, Sequence[Example]]],
    steps: int,
    rate: float,
    rng: np.random.Generator,
) -> None:
    """Train a network by the cross-entropy of phones and of borders, on random crops.

    Args:
        kinds: how often each kind of example is drawn, and the examples.
        steps: of the optimiser.
        rate: the highest rate of learning: it rises to that, then falls to nothing.
    """
    network.train().requires_grad_(True)
    fit(network, steps, rate, lambda: _batch(kinds, rng))
    network.eval().requires_grad_(False)


def _batch(
    kinds: Sequence[tuple[float, Sequence[Example]]], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Random crops of random examples: mels, classes of phones, borders, see `_crop`."""
    shares = np.array([share for share, _ in kinds])
    chosen = rng.choice(len(kinds), BATCH, p=shares / shares.sum())
    rows = [_crop(kinds[k][1][int(rng.integers(0, len(kinds[k][1])))], rng) for k in chosen]
    mels, found, borders = (torch.stack(column) for column in zip(*rows, strict=True))
    return mels.float(), found.long(), borders


def _crop(example: Example, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A crop of a part of an example, which is normalised as if the part were the recording.

    Returns:
        a mel (M, CROP + 2 * REACH), classes (CROP, POINTS) and borders (CROP,); what is too short
        is padded, with `UNKNOWN` phones and borders of -1.
    """
    frames = len(example.borders)
    begin, end = 0, frames
    if frames > _SHORTEST and rng.random() < _IN_PARTS:
        size = int(rng.integers(_SHORTEST, frames + 1))
        begin = int(rng.integers(0, frames - size + 1))
        end = begin + size
    mel = padded(example.mel[:, begin:end])
    length = min(end - begin, CROP)
    start = int(rng.integers(0, end - begin - length + 1))
    part = slice(begin + start, begin + start + length)
    return filled(
        mel[:, start : start + length + 2 * REACH], example.phones[part], example.borders[part]
    )
