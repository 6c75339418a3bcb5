"""Which utterances stand out by a measure.

Letters for shapes: n utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.tools.reporting.findings.measures import HIGHEST, LOWEST, Measure


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """The utterances at one end of a measure, the farthest first.

    Attributes:
        measure: the measure.
        end: `LOWEST` or `HIGHEST`.
        positions: of the utterances in the index.
        values: theirs.
    """

    measure: Measure
    end: str
    positions: tuple[int, ...]
    values: tuple[float, ...]


def outliers(values: np.ndarray, measure: Measure, count: int) -> list[Outliers]:
    """The utterances at the ends of a measure that are worth a look.

    An utterance is only listed if it is farther out than the median: where most are alike, nothing
    stands out.

    Args:
        values: (n,) numbers; NaN where there is none.
        count: how many utterances at an end.
    """
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        return []
    median = np.median(values[there])
    found = []
    for end in (LOWEST, HIGHEST):
        sign = 1 if end == LOWEST else -1
        far = there[sign * values[there] < sign * median]
        if end in measure.ends and len(far):
            first = far[np.argsort(sign * values[far], kind="stable")[:count]]
            found.append(
                Outliers(
                    measure=measure,
                    end=end,
                    positions=tuple(first.tolist()),
                    values=tuple(values[first].tolist()),
                )
            )
    return found


def in_turn(lists: Sequence[Sequence[int]]) -> list[int]:
    """All numbers of some lists, each once: the first of each list, then the second of each."""
    longest = max(map(len, lists), default=0)
    turns = (one[i] for i in range(longest) for one in lists if i < len(one))
    return list(dict.fromkeys(turns))
