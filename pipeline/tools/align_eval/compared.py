"""One utterance compared with its truth: by how much its phones begin too late or too early.

Letters for shapes: E errors, N tokens, P phones, K pauses.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import STRESSES
from ns2.pipeline.tools.align_eval.truth import Truth

_MARKS = frozenset("".join(STRESSES))
_LENGTH_TOLERANCE = 2
"""Frames by which a recording may be longer or shorter than the truth: resampling rounds."""

Aligned = tuple[Sequence[str], np.ndarray]
"""N token strings and (N,) durations in frames."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One utterance compared with its truth.

    Attributes:
        voice: of the truth.
        agrees: it has as many phones as the truth. Otherwise `errors` has only those phones whose
            symbol, and that of the phone before, are the same in both.
        errors: (E,) ms by which phones begin too late, the first excepted.
        even: (E,) the same when the utterance is cut evenly into its tokens.
        same: (P,) whether the symbols are the same but for stress; empty unless it agrees.
        pauses: (K, 2) ms of each true pause between phones, and its share in silent tokens.
    """

    voice: str
    agrees: bool
    errors: np.ndarray
    even: np.ndarray
    same: np.ndarray
    pauses: np.ndarray


def compare(
    truth: Truth, aligned: Aligned, optional: frozenset[str], grid: FrameGrid
) -> Compared | None:
    """The errors of one utterance.

    Args:
        truth: where its phones begin.
        aligned: its tokens and their durations.
        optional: tokens that are not phones.
        grid: the frame grid of the durations.

    Returns:
        None if the recording is not as long as the truth says.
    """
    tokens, durations = aligned
    frame_ms = 1000.0 / grid.frame_rate
    edges = np.concatenate([[0], np.cumsum(durations, dtype=np.int64)])
    frames = int(edges[-1])
    if not _same_length(truth, frames, grid):
        return None

    # phones are matched by their order alone, or by their symbols where their number differs
    is_phone = np.array([token not in optional for token in tokens], bool)
    found = [_without_stress(token) for token in tokens if token not in optional]
    true = [_without_stress(phone) for phone in truth.phones]
    agrees = len(found) == len(true)
    if agrees:
        here = there = np.arange(1, len(found))
    else:
        here, there = _in_both(found, true)

    target = truth.starts[there]
    even = np.round(np.arange(len(tokens)) * frames / max(len(tokens), 1))
    same = [f == t for f, t in zip(found, true, strict=True)] if agrees else []
    return Compared(
        voice=truth.voice,
        agrees=agrees,
        errors=edges[:-1][is_phone][here] * frame_ms - target,
        even=even[is_phone][here] * frame_ms - target,
        same=np.array(same, bool),
        pauses=_pauses(truth.pauses, edges * frame_ms, is_phone),
    )


def _same_length(truth: Truth, frames: int, grid: FrameGrid) -> bool:
    """Whether the durations are as long as the truth says, or reach its last phone."""
    if truth.seconds is not None:
        return abs(truth.seconds * grid.frame_rate - frames) <= _LENGTH_TOLERANCE
    last = truth.starts[-1] if len(truth.starts) else 0.0
    return bool(last <= frames * 1000.0 / grid.frame_rate)


def _without_stress(phone: str) -> str:
    return "".join(char for char in phone if char not in _MARKS)


def _in_both(found: Sequence[str], true: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of phones that are the same in both, as the phone before each is."""
    blocks = difflib.SequenceMatcher(None, found, true, autojunk=False).get_matching_blocks()
    pairs = [(a + i, b + i) for a, b, size in blocks for i in range(1, size)]
    places = np.array(pairs, np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def _pauses(pauses: np.ndarray, edges_ms: np.ndarray, is_phone: np.ndarray) -> np.ndarray:
    """(K, 2) length in ms of each pause, and the share of it that lies in silent tokens."""
    begins, ends = edges_ms[:-1][~is_phone], edges_ms[1:][~is_phone]
    rows = []
    for begin, end in pauses:
        overlap = np.minimum(ends, end) - np.maximum(begins, begin)
        rows.append((end - begin, overlap.clip(0).sum() / max(end - begin, 1e-9)))
    return np.array(rows, np.float64).reshape(-1, 2)
