"""Another utterance of the same speaker: whose voice a prompt is, where an utterance has none."""

from __future__ import annotations

import numpy as np

from ns2.train.data.epochs import mixed


class BySpeaker:
    """Utterances by speaker.

    Letters for shapes: n utterances, m of them that are asked about.
    """

    def __init__(self, speaker: np.ndarray) -> None:
        """Sort utterances by speaker.

        Args:
            speaker: (n,) whole numbers from 0 on, the speaker of each utterance.
        """
        # numpy sorts 16 bits by digits, in a fifth of the time
        few = speaker.max(initial=0) < 2**16
        order = np.argsort(speaker.astype(np.uint16) if few else speaker, kind="stable")
        self._order = order.astype(np.int32)
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(order), dtype=np.int32)
        count = np.bincount(speaker)
        first = np.cumsum(count) - count
        self._first, self._count = (of[speaker].astype(np.int32) for of in (first, count))

    def others(self, numbers: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Of each utterance another one of the same speaker.

        Args:
            numbers: (m,) of the utterances.
            seeds: (m,) uint64, which decide.

        Returns:
            (m,) int64; -1 where a speaker has no other.
        """
        rest = self._count[numbers].astype(np.int64) - 1
        drawn = mixed(seeds, numbers, 17) % np.maximum(rest, 1).astype(np.uint64)
        chosen = drawn.astype(np.int64)
        first = self._first[numbers].astype(np.int64)
        chosen += chosen >= self._place[numbers] - first
        found = self._order[np.minimum(first + chosen, len(self._order) - 1)].astype(np.int64)
        return np.where(rest > 0, found, -1)
