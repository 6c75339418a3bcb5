"""Training of the network on examples of several kinds.

Letters for shapes: B batch, M mel bins, T frames.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ns2.model.aligner.evidence import REACH, FrameNet
from ns2.train.bundled.make_aligner_network import BORDER_SHARE, UNKNOWN, padded

BATCH, CROP, RATE = 24, 100, 1e-3
_SHORTEST = 45
"""The shortest stretch, in frames, of which a mel is normalised as if it were all."""
_EDGE = 4
"""The frames on either side of an edge of silence that `without_edges` leaves out."""
_LOG_EVERY = 250


@dataclass(frozen=True)
class Example:
    """An utterance to train on.

    Attributes:
        mel: (M, T) float16 log-mel.
        phones: (T, POINTS) int64 classes, `UNKNOWN` where they are not learned.
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


def learn(
    network: FrameNet,
    kinds: Sequence[tuple[float, Sequence[Example]]],
    steps: int,
    rng: np.random.Generator,
) -> None:
    """Train a network by the cross-entropy of phones and of borders, on random crops.

    Args:
        kinds: how often each kind of example is drawn, and the examples.
        steps: of the optimiser; the rate of learning rises, then falls to nothing.
    """
    network.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=0.1
    )
    total, began = 0.0, time.monotonic()
    for step in range(steps):
        mels, found, borders = _batch(kinds, rng)
        _, phone_logits, border_logits = network(mels)
        counted, real = found >= 0, borders >= 0
        log_probs = functional.log_softmax(phone_logits, 1).transpose(1, 2)
        loss = -log_probs.gather(2, found.clamp_min(0))[counted].mean()
        loss = loss + BORDER_SHARE * functional.binary_cross_entropy_with_logits(
            border_logits[real], borders[real]
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()
        if (step + 1) % _LOG_EVERY == 0:
            spent = time.monotonic() - began
            print(f"step {step + 1}: loss {total / _LOG_EVERY:.3f}, {spent:.0f} s", flush=True)
            total = 0.0
    network.eval().requires_grad_(False)


def _batch(
    kinds: Sequence[tuple[float, Sequence[Example]]], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Random crops of random examples: mels, classes of phones, borders, see `_crop`."""
    shares = np.array([share for share, _ in kinds])
    chosen = rng.choice(len(kinds), BATCH, p=shares / shares.sum())
    rows = [_crop(kinds[k][1][int(rng.integers(0, len(kinds[k][1])))], rng) for k in chosen]
    mels, found, borders = (torch.stack(column) for column in zip(*rows, strict=True))
    return mels.float(), found, borders


def _crop(example: Example, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A crop of a part of an example, which is normalised as if the part were the recording.

    Returns:
        a mel (M, CROP + 2 * REACH), classes (CROP, POINTS) and borders (CROP,); what is too short
        is padded, with `UNKNOWN` phones and borders of -1.
    """
    frames = len(example.borders)
    begin, end = 0, frames
    if frames > _SHORTEST and rng.random() < 0.5:
        size = int(rng.integers(_SHORTEST, frames + 1))
        begin = int(rng.integers(0, frames - size + 1))
        end = begin + size
    mel = padded(example.mel[:, begin:end])
    length = min(end - begin, CROP)
    start = int(rng.integers(0, end - begin - length + 1))
    part, missing = slice(begin + start, begin + start + length), CROP - length
    return (
        functional.pad(mel[:, start : start + length + 2 * REACH], (0, missing)),
        functional.pad(example.phones[part], (0, 0, 0, missing), value=UNKNOWN),
        functional.pad(example.borders[part], (0, missing), value=-1.0),
    )
