"""Reading ahead of whoever reads utterances of a dataset in a bucket one after the other."""

from __future__ import annotations

from collections.abc import Callable

_TOGETHER = 512
"""So many utterances are fetched together, once two were read that follow each other."""


class Following:
    """Notes which utterances are read, by column, and orders those that are likely to come."""

    def __init__(self, order: Callable[[str, range], None]) -> None:
        """Begin.

        Args:
            order: fetches utterances of a column in the background, by position.
        """
        self._order = order
        self._last: dict[str, int] = {}
        self._ordered: dict[str, int] = {}

    def read(self, column: str, at: int, count: int) -> None:
        """Note that an utterance is about to be read.

        Args:
            count: the number of utterances of the dataset.
        """
        follows, self._last[column] = self._last.get(column, -1) == at - 1, at
        ordered = self._ordered.get(column, 0) if follows else at
        if follows and at >= ordered - _TOGETHER // 2 and ordered < count:
            begin = max(ordered, at)
            self._ordered[column] = end = min(begin + _TOGETHER, count)
            self._order(column, range(begin, end))
        elif not follows:
            self._ordered[column] = at
