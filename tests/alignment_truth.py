"""Phone boundaries held against the known truth of `truth_corpus.py` (see the shared tools)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FRAME_MS = 1000 * 320 / 24_000


@dataclass(frozen=True, kw_only=True)
class BoundaryErrors:
    """Signed errors of phone starts in ms (positive: too late), and what was left out.

    Attributes:
        aligned: (E,) errors of the durations given.
        even: (E,) errors of the same phones when every utterance is cut evenly into its tokens.
        compared: utterances whose phones agree in number with the truth.
        skipped: utterances whose phones do not.
    """

    aligned: np.ndarray
    even: np.ndarray
    compared: int
    skipped: int

    def summary(self) -> dict[str, float]:
        """Median signed, median and mean absolute error, shares within 10, 20, 30, 50 ms."""
        size = np.abs(self.aligned)
        return {
            "signed": float(np.median(self.aligned)),
            "median": float(np.median(size)),
            "mean": float(size.mean()),
            "even": float(np.abs(self.even).mean()),
            **{f"within{ms}": float((size <= ms).mean()) for ms in (10, 20, 30, 50)},
        }


def boundary_errors(
    truth: Path | Iterable[Mapping[str, Any]],
    utterances: Mapping[str, tuple[Sequence[str], np.ndarray]],
    optional: Iterable[str],
) -> BoundaryErrors:
    """Errors of the starts of phones, the first of each utterance excepted.

    Args:
        truth: `truth.jsonl`, or its rows: `key, sample_rate, phones` ([start sample, ipa], an
            empty ipa is a pause and "<word>" the beginning of a word).
        utterances: (N token strings, (N,) durations in frames) by key; rows of the truth that
            are not here are left out silently.
        optional: tokens that are no phones.
    """
    if isinstance(truth, Path):
        truth = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    optional = frozenset(optional)
    aligned: list[np.ndarray] = []
    even: list[np.ndarray] = []
    skipped = 0
    for row in truth:
        if row["key"] not in utterances:
            continue
        tokens, durations = utterances[row["key"]]
        true = np.array([start for start, ipa in row["phones"] if ipa not in ("", "<word>")])
        is_phone = np.array([token not in optional for token in tokens])
        if is_phone.sum() != len(true):
            skipped += 1
            continue
        true_ms = 1000.0 * true / row["sample_rate"]
        frames = int(durations.sum(dtype=np.int64))
        starts = np.concatenate([[0], np.cumsum(durations, dtype=np.int64)[:-1]])
        even_starts = np.round(np.arange(len(tokens)) * frames / len(tokens))
        aligned.append((starts[is_phone] * FRAME_MS - true_ms)[1:])
        even.append((even_starts[is_phone] * FRAME_MS - true_ms)[1:])
    return BoundaryErrors(
        aligned=np.concatenate([np.zeros(0), *aligned]),
        even=np.concatenate([np.zeros(0), *even]),
        compared=len(aligned),
        skipped=skipped,
    )
