"""Utterances and hours by split, speaker and language."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ns2.pipeline.dataset.reader import Dataset

_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Group:
    """Utterances that have something in common; `kept_*` are those that a condition keeps."""

    name: str
    utterances: int
    hours: float
    kept_utterances: int | None = None
    kept_hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The groups by a field, those with the most hours first, and how many more there are."""

    field: str
    listed: tuple[Group, ...]
    count: int
    rest: Group | None


def groups_by(dataset: Dataset, field: str, seconds: np.ndarray, kept: np.ndarray | None) -> Groups:
    """The groups by a field of the index that repeats few texts.

    Args:
        seconds: (n,) of all utterances.
        kept: (n,) bool, what a condition keeps; None without one.
    """
    names, codes = dataset.names(field)
    columns = [
        np.bincount(codes, minlength=len(names)),
        np.bincount(codes, seconds, minlength=len(names)) / 3600,
    ]
    if kept is not None:
        columns += [
            np.bincount(codes[kept], minlength=len(names)),
            np.bincount(codes[kept], seconds[kept], minlength=len(names)) / 3600,
        ]
    order = sorted(np.flatnonzero(columns[0]).tolist(), key=lambda i: (-columns[1][i], names[i]))

    def group(name: str, members: list[int]) -> Group:
        sums = [column[members].sum() for column in columns]
        return Group(
            name=name,
            utterances=int(sums[0]),
            hours=float(sums[1]),
            kept_utterances=int(sums[2]) if kept is not None else None,
            kept_hours=float(sums[3]) if kept is not None else None,
        )

    first, others = order[:_LISTED], order[_LISTED:]
    return Groups(
        field=field,
        listed=tuple(group(names[i], [i]) for i in first),
        count=len(order),
        rest=group(f"{len(others):,} others", others) if others else None,
    )
