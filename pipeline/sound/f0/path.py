"""F0 as one path over time: candidates are weighed by evidence, and changes cost.

Shapes: S samples, T frames, K candidates.

A frame is unvoiced or has one of its candidates. The path with the best sum of scores is found by
Viterbi's algorithm, so octaves, creak and voicing are decided along it, not frame by frame. The
scores are weighted sums of `evidence`, in which 0 is the score of "unvoiced"; the weights were
learned as those of a conditional random field (Lafferty et al., 2001), from recordings made again
with known F0 and from tones, hum and noise (`ns2.train.bundled.make_pitch_weights`). At the end
StoneMask refines the values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.sound.f0 import world
from ns2.pipeline.sound.f0.config import PitchConfig
from ns2.pipeline.sound.f0.evidence import (
    CANDIDATE_EVIDENCE,
    FRAME_EVIDENCE,
    Evidence,
    find_evidence,
)

WEIGHTS = Path(__file__).with_name("path_weights.json")
"""The weights that were learned."""

_REFINED = 0.1  # octaves by which StoneMask may move a value


@dataclass(frozen=True, kw_only=True)
class PathWeights:
    """What evidence weighs, and what changes cost.

    Attributes:
        candidates: the C weights of evidence for a candidate.
        frames: the U weights of evidence for a frame.
        slope: the cost of a change of F0 by an octave from a frame to the next.
        most: the greatest cost of a change.
        ends: the cost of a step from voiced to unvoiced.
        begins: the cost of a step from unvoiced to voiced.
    """

    candidates: tuple[float, ...]
    frames: tuple[float, ...]
    slope: float
    most: float
    ends: float
    begins: float

    @staticmethod
    def from_json(values: dict[str, Any]) -> PathWeights:
        """The weights whose `to_json` gave these values."""
        named = {"candidates": CANDIDATE_EVIDENCE, "frames": FRAME_EVIDENCE}
        given = {kind: tuple(values[kind][name] for name in names) for kind, names in named.items()}
        return PathWeights(**{**values, **given})

    def to_json(self) -> dict[str, Any]:
        """The weights by name."""
        return {
            **vars(self),
            "candidates": dict(zip(CANDIDATE_EVIDENCE, self.candidates, strict=True)),
            "frames": dict(zip(FRAME_EVIDENCE, self.frames, strict=True)),
        }


@lru_cache(maxsize=1)
def learned_weights() -> PathWeights:
    """The weights that come with ns2."""
    return PathWeights.from_json(json.loads(WEIGHTS.read_text("utf-8")))


@lru_cache(maxsize=1)
def weights_digest() -> str:
    """A hash of the weights that come with ns2, as a dataset's card keeps it."""
    return sha256_file(WEIGHTS)[:16]


def path_f0(
    signal: np.ndarray, frames: int, config: PitchConfig, weights: PathWeights | None = None
) -> np.ndarray:
    """F0 (T,) in Hz of a signal (S,) with a mean of 0 and an RMS of 1; 0 where unvoiced.

    Args:
        signal: the samples, float64.
        frames: T.
        config: the range of F0, and the grid.
        weights: None for those that were learned.
    """
    found = world.bare_dio(signal, frames, config)
    evidence = find_evidence(signal, found, config)
    f0 = chosen(evidence, weights or learned_weights())
    exact = world.refined(signal, f0, config)
    near = np.abs(np.log2(np.maximum(exact, 1.0) / np.maximum(f0, 1.0))) < _REFINED
    inside = (exact >= config.f0_min) & (exact <= config.f0_max)
    return np.where(near & inside, exact, f0)


def chosen(evidence: Evidence, weights: PathWeights) -> np.ndarray:
    """F0 (T,) in Hz along the best path, 0 where unvoiced."""
    from ns2.pipeline.sound.f0.kernels import best_path

    scores = evidence.candidates @ np.array(weights.candidates)
    scores += (evidence.frames @ np.array(weights.frames))[:, None]
    scores = np.where(evidence.f0 > 0, scores, -np.inf)
    octaves = np.log2(np.maximum(evidence.f0, 1.0))
    path = np.empty(len(scores), np.int64)
    costs = (weights.slope, weights.most, weights.ends, weights.begins)
    best_path(octaves, scores, *costs, path)
    choices = np.pad(evidence.f0, ((0, 0), (0, 1)))
    return np.asarray(choices[np.arange(len(path)), path])
