"""How numbers of utterances are distributed: quantiles, and a histogram with round borders.

Letters for shapes: n utterances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_BINS = 40
"""About so many bars has a histogram."""
_CUT = 0.001
"""The share of values at each end that a histogram may leave out, so that one far value does not
press all others into one bar."""
_FARTHEST = 1e100
"""No measure is that large; such a number is none."""
_QUANTILES = {"least": 0.0, "1 %": 0.01, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "99 %": 0.99,
              "most": 1.0}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The distribution of a number.

    Attributes:
        count, missing: utterances that have the number, and that do not.
        quantiles: values, by what they are called.
        edges: of the bars, one more than there are bars.
        counts: utterances in each bar.
        kept: those of them that a condition keeps; None without a condition.
        outside: utterances beyond the first and the last bar.
    """

    count: int
    missing: int
    quantiles: Mapping[str, float]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    kept: tuple[int, ...] | None
    outside: int


def distribution(values: np.ndarray, kept: np.ndarray | None) -> Distribution | None:
    """The distribution of numbers; None where no utterance has one.

    Args:
        values: (n,) numbers; NaN where there is none.
        kept: (n,) bool, what a condition keeps.
    """
    there = np.abs(values) < _FARTHEST  # false for NaN
    found = values[there].astype(np.float64)
    if not len(found):
        return None
    shares = list(_QUANTILES.values())
    quantiles = dict(zip(_QUANTILES, np.quantile(found, shares).tolist(), strict=True))
    edges = _edges(found)
    counts = np.histogram(found, edges)[0]
    return Distribution(
        count=len(found),
        missing=len(values) - len(found),
        quantiles=quantiles,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        kept=None if kept is None else tuple(np.histogram(found[kept[there]], edges)[0].tolist()),
        outside=len(found) - int(counts.sum()),
    )


def _edges(values: np.ndarray) -> np.ndarray:
    """Borders at multiples of a round number, from the least value to the highest."""
    low, high = float(values.min()), float(values.max())
    inner = np.quantile(values, (_CUT, 1 - _CUT))
    if high - low > 2 * (inner[1] - inner[0]) > 0:
        low, high = inner.tolist()
    # no bar is narrower than numbers of that size can tell apart
    least = max(abs(high), abs(low)) * 1e-12
    step = round_step(max((high - low) / _BINS, least) or 1.0)
    first, last = int(np.floor(low / step)), int(np.floor(high / step)) + 1
    return step * np.arange(first, last + 1)


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 and so on that is not below a positive number."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least))
