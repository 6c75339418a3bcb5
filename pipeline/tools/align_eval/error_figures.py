"""Figures of alignment errors, and their confidence intervals.

Letters for shapes: E errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WITHIN = (10, 20, 30, 50)
"""Sizes in ms; the share of errors that are not larger is a figure each."""
FIGURES = ("signed", "median", "mean", "p90", *(f"within{ms}" for ms in WITHIN))
"""Signed median, then median, mean and 90th percentile of the size in ms, then shares."""

RESAMPLES, CONFIDENCE, SEED = 1000, 0.95, 0
"""The bootstrap: its number of draws, the confidence of its intervals, its seed."""


def figures(errors: np.ndarray) -> dict[str, float] | None:
    """The `FIGURES` of (E,) signed errors in ms; None if there are none."""
    return _figures(np.sort(errors), np.sort(np.abs(errors))) if len(errors) else None


def _figures(signed: np.ndarray, size: np.ndarray) -> dict[str, float]:
    """The figures of errors and of their sizes, both sorted."""
    within = np.searchsorted(size, np.array(WITHIN) + 1e-9, side="right") / len(size)
    values = (
        _quantile(signed, 0.5), _quantile(size, 0.5), float(size.mean()), _quantile(size, 0.9),
        *within.tolist(),
    )  # fmt: skip
    return dict(zip(FIGURES, values, strict=True))


def _quantile(values: np.ndarray, share: float) -> float:
    """A quantile of sorted values; `np.quantile` would sort them again."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (place - low) * (values[high] - values[low]))


def intervals(utterances: Sequence[np.ndarray]) -> dict[str, tuple[float, float]] | None:
    """95 % intervals of all figures, by the percentiles of a bootstrap over utterances.

    Errors of one utterance are correlated, so utterances are drawn, not errors. The same input
    gives the same intervals.

    Args:
        utterances: (E,) errors of each utterance, in ms.

    Returns:
        the lowest and the highest value by figure; None for fewer than two utterances.
    """
    count = len(utterances)
    if count < 2 or not sum(map(len, utterances)):
        return None
    errors = np.concatenate(utterances)
    owner = np.repeat(np.arange(count), list(map(len, utterances)))
    # a sorted array whose elements are repeated is sorted again: no draw has to be sorted
    orders = np.argsort(errors, kind="stable"), np.argsort(np.abs(errors), kind="stable")
    signed, size = errors[orders[0]], np.abs(errors)[orders[1]]
    owners = owner[orders[0]], owner[orders[1]]
    rng = np.random.default_rng(SEED)
    draws = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        drawn = np.repeat(signed, times[owners[0]]), np.repeat(size, times[owners[1]])
        if len(drawn[0]):
            draws.append(list(_figures(*drawn).values()))
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(FIGURES, low, high, strict=True)}
