"""Fetching what the next steps need from a bucket, many steps together, before they are asked for.

The utterances of a window of steps are most of what its shards hold. So ranges of many steps are
joined to few requests, and a step finds its arrays in the cache.
"""

from __future__ import annotations

import os
from functools import cached_property

import numpy as np

from ns2.train.data.epochs import EpochPlan
from ns2.train.data.selection import Data

_TOGETHER = 48 << 20
"""The bytes of steps whose ranges are joined; twice as many are on their way at most."""
_SHARE = 16
"""They are at most this part of the cache."""


class Ahead:
    """Orders the ranges of coming steps; one thread uses it."""

    def __init__(
        self, data: Data, *, seed: int, rank: int = 0, ranks: int = 1, other_below: int = 0
    ) -> None:
        """Get ready; see `Reader` for the arguments.

        Processes of one machine share a cache, so each of them fetches a part for all.
        """
        self._data, self._seed, self._other_below = data, seed, other_below
        here = min(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), ranks)
        self._machine, self._machines, self._here = rank // here, -(-ranks // here), here
        self._turn, self._ranks = rank % here / here, ranks
        self._remote = [i for i, one in enumerate(data.datasets) if one.mirror is not None]
        self._epoch, self._reached = -1, 0

    @property
    def needed(self) -> bool:
        """Whether anything lies in a bucket."""
        return bool(self._remote)

    def reach(self, plan: EpochPlan, epoch: int, step: int) -> None:
        """See that what comes behind a step is on its way."""
        if epoch != self._epoch:
            self._epoch, self._reached = epoch, step
        while self._reached < len(plan) and self._reached <= step + self._steps(plan):
            end = min(self._reached + self._steps(plan), len(plan))
            self._order(plan, epoch, range(self._reached, end))
            self._reached = end

    def stop(self) -> None:
        """Drop what is not on its way yet."""
        for i in self._remote:
            self._data.datasets[i].stop_ahead()

    def _steps(self, plan: EpochPlan) -> int:
        """The number of steps whose ranges are joined."""
        step = self._bytes_per_frame * plan.total_frames / max(len(plan), 1)
        room = min(self._data.datasets[i].room for i in self._remote)
        return max(1, int(min(_TOGETHER, room // _SHARE) / max(step, 1.0)))

    @cached_property
    def _bytes_per_frame(self) -> float:
        data = self._data
        count, frames = 0, 0
        for i in self._remote:
            own = data.dataset_of == i
            count += int(data.datasets[i].bytes_of(data.columns, data.position[own]).sum())
            frames += int(data.frames[own].sum(dtype=np.int64))
        return count / max(frames, 1)

    def _order(self, plan: EpochPlan, epoch: int, steps: range) -> None:
        """Order what some steps need, in the shards' order."""
        data = self._data
        found = [self._own(plan, epoch, step) for step in steps]
        numbers = np.unique(np.concatenate([one[0] for one in found]))
        others = np.unique(np.concatenate([one[1] for one in found]))
        for i in self._remote:
            own = data.position[numbers[data.dataset_of[numbers] == i]]
            of_others = data.position[others[data.dataset_of[others] == i]]
            positions = dict.fromkeys(data.columns, own)
            if len(of_others):
                positions["codes"] = np.union1d(own, of_others)
            data.datasets[i].ahead(positions, self._turn)

    def _own(self, plan: EpochPlan, epoch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Utterances of a step that this machine reads, and those whose codes it reads besides."""
        numbers, seeds = plan.step(step), plan.seeds(step, self._seed, epoch)
        if self._machines > 1:
            own = plan.rank_of(step, self._ranks) // self._here == self._machine
            numbers, seeds = numbers[own], seeds[own]
        short = self._data.frames[numbers] < self._other_below
        if not short.any():
            return numbers, np.zeros(0, np.int64)
        others = self._data.others(numbers[short], seeds[short])
        return numbers, others[others >= 0]
