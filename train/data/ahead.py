"""Fetching what the next steps need from a bucket, whole shards together, before it is asked for.

A window of steps takes all that was chosen of its shards. So a shard is fetched with few requests
when a step that comes soon takes the first utterance of it, and the steps find their arrays in the
cache.
"""

from __future__ import annotations

import os
from functools import cached_property

import numpy as np

from ns2.train.data.epochs import WINDOW_SHARDS, EpochPlan
from ns2.train.data.selection import Data

_AHEAD = 48 << 20
"""The bytes of the steps whose shards are fetched ahead."""


class Ahead:
    """Orders the ranges of coming steps; one thread does, others may ask whether it is due."""

    def __init__(
        self, data: Data, *, seed: int, rank: int = 0, ranks: int = 1, other_below: int = 0
    ) -> None:
        """Get ready; see `Reader` for the arguments.

        Processes of one machine share a cache, so they begin at different places of what all of
        them need. Each machine fetches all: in the next epoch its processes have other utterances.
        """
        self._data, self._seed, self._other_below = data, seed, other_below
        here = min(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), ranks)
        self._turn = rank % here / here
        self._remote = [i for i, one in enumerate(data.datasets) if one.mirror is not None]
        self._epoch, self._reached, self._steps = -1, 0, 1
        self._ordered: set[int] = set()
        self._numbers = np.zeros(0, np.int64)

    @property
    def needed(self) -> bool:
        """Whether anything lies in a bucket."""
        return bool(self._remote)

    def reach(self, plan: EpochPlan, epoch: int, step: int) -> None:
        """See that what comes behind a step is on its way."""
        if epoch != self._epoch:
            self._epoch, self._reached, self._ordered = epoch, step, set()
            numbers = np.unique(plan.order)
            self._numbers = numbers[np.argsort(self._data.shards[numbers], kind="stable")]
        self._steps = max(1, int(self._most_ahead / max(self._step_bytes(plan), 1.0)))
        if self.is_due(plan, epoch, step):
            end = min(max(step, self._reached) + self._steps, len(plan))
            self._order(plan, epoch, range(self._reached, end))
            self._reached = end

    def is_due(self, plan: EpochPlan, epoch: int, step: int) -> bool:
        """Whether `reach` has something to do at a step; any thread may ask."""
        soon = min(step + self._steps // 2, len(plan) - 1)
        return epoch != self._epoch or self._reached <= soon

    def stop(self) -> None:
        """Drop what is not on its way yet."""
        for i in self._remote:
            self._data.datasets[i].stop_ahead()

    @cached_property
    def _room(self) -> int:
        return min(self._data.datasets[i].room for i in self._remote)

    @property
    def _most_ahead(self) -> int:
        return min(_AHEAD, self._room // 8)

    def _step_bytes(self, plan: EpochPlan) -> float:
        return self._bytes_per_frame * plan.total_frames / max(len(plan), 1)

    @cached_property
    def _bytes_per_frame(self) -> float:
        return self._bytes / max(int(self._data.frames.sum(dtype=np.int64)), 1)

    @cached_property
    def _bytes(self) -> int:
        """The bytes of all that was chosen of datasets in a bucket."""
        data, count = self._data, 0
        for i in self._remote:
            own = data.position[data.dataset_of == i]
            count += int(data.datasets[i].bytes_of(data.columns, own).sum())
        return count

    @cached_property
    def _shards_fit(self) -> bool:
        """Whether the shards of two windows take at most a half of the cache."""
        shards = len(np.unique(self._data.shards))
        return 2 * WINDOW_SHARDS * self._bytes / max(shards, 1) <= self._room / 2

    def _order(self, plan: EpochPlan, epoch: int, steps: range) -> None:
        """Order all that the epoch takes of the shards of some steps, if there is room for it."""
        data = self._data
        found = [self._needs(plan, epoch, step) for step in steps]
        numbers = np.unique(np.concatenate([one[0] for one in found]))
        others = np.unique(np.concatenate([one[1] for one in found]))
        if self._shards_fit:
            numbers = self._of_new_shards(numbers)
        for i in self._remote:
            own = data.position[numbers[data.dataset_of[numbers] == i]]
            of_others = data.position[others[data.dataset_of[others] == i]]
            positions = dict.fromkeys(data.columns, own)
            if len(of_others):
                positions["codes"] = np.union1d(own, of_others)
            data.datasets[i].ahead(positions, self._turn)

    def _of_new_shards(self, numbers: np.ndarray) -> np.ndarray:
        """All utterances of the epoch in the shards of some, without shards that were ordered."""
        new = [s for s in np.unique(self._data.shards[numbers]).tolist() if s not in self._ordered]
        self._ordered.update(new)
        shards = self._data.shards[self._numbers]
        begins, ends = (np.searchsorted(shards, new, side) for side in ("left", "right"))
        parts = [self._numbers[b:e] for b, e in zip(begins, ends, strict=True)]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def _needs(self, plan: EpochPlan, epoch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Utterances of a step, and those whose codes it reads besides."""
        numbers = plan.step(step)
        short = self._data.frames[numbers] < self._other_below
        if not short.any():
            return numbers, np.zeros(0, np.int64)
        seeds = plan.seeds(step, self._seed, epoch)
        others = self._data.others(numbers[short], seeds[short])
        return numbers, others[others >= 0]
