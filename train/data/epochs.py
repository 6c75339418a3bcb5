"""The plan of an epoch: every utterance once, in steps of utterances that are alike in length.

Shards are put in a random order, neighbours in that order form windows, and within a window
utterances are grouped by length and cut into steps of at most `global_frames`. The steps depend on
the index, the seed and the epoch alone; ranks share each step among them, so that a run can go on
with another number of GPUs. Random numbers are hashes of their purpose: no generator's state is
involved.

Letters for shapes: n utterances, S steps, R ranks.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

WINDOW_SHARDS = 8
WINDOW_STEPS = 64
"""The least number of shards in a window, and of steps that it fills, where there are enough."""
BUCKETS_AN_OCTAVE = 32
"""Utterances whose lengths differ by less than 1/32 of an octave, 2 %, are in one bucket."""
EVEN = 0.05
"""Runs of neighbours are even if no rank's frames differ from the mean by a larger share."""
_FEWEST, _MOST = 7, 64
"""Steps with 7 utterances or more for each rank divide evenly among 2, 4, ... 64 ranks."""

_GOLDEN, _FIRST, _SECOND = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


def mixed(*parts: int | np.ndarray) -> np.ndarray:
    """A hash of 64 bits of whole numbers, or of each element of arrays of them.

    Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators": SplitMix64's
    finaliser, applied once for each part. It is the same on every machine and with every version of
    numpy.

    Returns:
        uint64, () or the shape of the arrays.
    """
    state: np.ndarray = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            whole = np.uint64(part & 0xFFFFFFFFFFFFFFFF) if isinstance(part, int) else part
            state = (state + _GOLDEN) ^ np.asarray(whole).astype(np.uint64, copy=False)
            state = (state + _GOLDEN) * _FIRST
            state = (state ^ (state >> np.uint64(30))) * _FIRST
            state = (state ^ (state >> np.uint64(27))) * _SECOND
            state = state ^ (state >> np.uint64(31))
    return np.asarray(state)


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """The steps of an epoch.

    Attributes:
        order: (n,) int64, numbers of the utterances, step after step.
        frames: (n,), the frames of those utterances, in this order.
        starts: (S + 1,) int64; step s has order[starts[s] : starts[s + 1]], the longest first.
    """

    order: np.ndarray
    frames: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def step(self, number: int) -> np.ndarray:
        """Numbers of the utterances that all ranks together have in a step."""
        return self.order[self._slice(number)]

    def share(self, number: int, rank: int, ranks: int) -> np.ndarray:
        """Numbers of the utterances that a rank has in a step; there may be none.

        Raises:
            ValueError: there is no such rank.
        """
        if not 0 <= rank < ranks:
            raise ValueError(f"rank {rank} of {ranks} does not exist")
        part = self._slice(number)
        return self.order[part][shares(self.frames[part], ranks) == rank]

    def padding(self, ranks: int = 1, multiple: int = 1) -> float:
        """The share of padding among the frames of all batches of an epoch.

        Each rank pads its utterances to the longest of them, and that to a multiple.
        """
        padded = 0
        for number in range(len(self)):
            frames = self.frames[self._slice(number)]
            rank_of = shares(frames, ranks)
            longest = np.zeros(ranks, np.int64)
            np.maximum.at(longest, rank_of, frames)
            widths = -(-longest // multiple) * multiple
            padded += int((np.bincount(rank_of, minlength=ranks) * widths).sum())
        return 1 - self.total_frames / padded if padded else 0.0

    @cached_property
    def total_frames(self) -> int:
        """The frames of all utterances."""
        return int(self.frames.sum(dtype=np.int64))

    def _slice(self, number: int) -> slice:
        if not 0 <= number < len(self):
            raise IndexError(f"step {number} of {len(self)}")
        return slice(int(self.starts[number]), int(self.starts[number + 1]))


def shares(frames: np.ndarray, ranks: int) -> np.ndarray:
    """Share utterances among ranks so that all get about as many frames.

    Where runs of neighbours in length come out even, ranks take those: they need the least padding.
    Otherwise the longest are dealt first, each to the rank that has the fewest frames (Graham
    1969), and ranks differ by at most one utterance.

    Args:
        frames: (n,), of the utterances.

    Returns:
        (n,) int64, the rank of each utterance.
    """
    rank_of = np.zeros(len(frames), np.int64)
    if ranks == 1 or not len(frames):
        return rank_of
    by_length = np.argsort(-frames.astype(np.int64), kind="stable")
    ends = np.cumsum(frames[by_length], dtype=np.int64)
    middles = ends - frames[by_length] / 2
    runs = np.minimum(middles * ranks // ends[-1], ranks - 1).astype(np.int64)
    loads = np.bincount(runs, frames[by_length], ranks)
    if np.abs(loads - loads.mean()).max() <= EVEN * loads.mean():
        rank_of[by_length] = runs
        return rank_of
    load = [(0, rank) for rank in range(ranks)]
    lengths = frames.tolist()
    for i in by_length.tolist():
        least, rank = load[0]
        rank_of[i] = rank
        heapq.heapreplace(load, (least + lengths[i], rank))
    return rank_of


def plan_epoch(
    shards: np.ndarray,
    frames: np.ndarray,
    *,
    seed: int,
    epoch: int,
    global_frames: int,
    window_shards: int = WINDOW_SHARDS,
) -> EpochPlan:
    """Plan an epoch.

    Args:
        shards: (n,) the shard of each utterance, small whole numbers from 0 on.
        frames: (n,), at least 1 each.
        seed, epoch: decide all that is random.
        global_frames: the most frames of a step, over all ranks.
        window_shards: the least number of shards whose utterances are mixed.

    Raises:
        ValueError: there is no utterance, or one that is longer than a step or has no frames.
    """
    if not len(frames):
        raise ValueError("there are no utterances to plan an epoch of")
    longest = int(np.argmax(frames))
    if frames[longest] > global_frames:
        over = int((frames > global_frames).sum())
        raise ValueError(
            f"{over} utterances have more frames than a step, the longest {frames[longest]}; "
            f"global_frames is {global_frames}: raise it, or leave them out with "
            f'--where "frames <= {global_frames}"'
        )
    if frames.min() < 1:
        raise ValueError("an utterance has no frames")
    window = _windows(shards, frames, seed, epoch, window_shards, WINDOW_STEPS * global_frames)
    key = _sort_key(window, frames, seed, epoch)
    order = np.argsort(key, kind="stable")
    del key
    window = window[order]
    bounds = np.flatnonzero(np.diff(window, prepend=-1)).tolist()
    del window
    starts = _cut(frames[order], [*bounds, len(order)], global_frames)
    order, starts = _shuffle_steps(order, starts, bounds, seed, epoch)
    return EpochPlan(order=order, frames=frames[order], starts=starts)


def _windows(
    shards: np.ndarray, frames: np.ndarray, seed: int, epoch: int, least: int, enough: int
) -> np.ndarray:
    """The window of each utterance, (n,) int32."""
    weight = np.bincount(shards, weights=frames)
    there = np.flatnonzero(weight)
    there = there[np.argsort(mixed(seed, epoch, 1, there), kind="stable")]
    window_of = np.zeros(len(weight), np.int32)
    number, count, total = 0, 0, 0.0
    for shard in there.tolist():
        if count >= least and total >= enough:
            number, count, total = number + 1, 0, 0.0
        window_of[shard] = number
        count, total = count + 1, total + weight[shard]
    if number and (count < least or total < enough):  # too small: it joins the one before
        window_of[window_of == number] = number - 1
    return window_of[shards]


def _sort_key(window: np.ndarray, frames: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Keys of 64 bits, (n,), that sort by window, then length, longest first, then randomly."""
    shift = float(mixed(seed, epoch, 2)) / 2**64  # each epoch has other borders of buckets
    lengths = np.arange(int(frames.max()) + 1, dtype=np.float64)
    octaves = np.log2(np.maximum(lengths, 1))
    bucket_of = np.floor(BUCKETS_AN_OCTAVE * octaves + shift).astype(np.uint64)
    key = mixed(seed, epoch, 3, np.arange(len(frames)))
    key >>= np.uint64(32)
    key |= (np.uint64(1023) - bucket_of)[frames] << np.uint64(32)
    key |= window.astype(np.uint64) << np.uint64(42)
    return key


def _cut(frames: np.ndarray, bounds: list[int], most: int) -> np.ndarray:
    """The places where steps begin, and the end: (S + 1,). No step crosses a bound."""
    ends = np.cumsum(frames, dtype=np.int64)
    starts: list[int] = []
    for begin, stop in pairwise(bounds):
        while begin < stop:
            starts.append(begin)
            before = int(ends[begin - 1]) if begin else 0
            end = int(ends.searchsorted(before + most, "right"))
            begin = stop if end >= stop else begin + _divisible(end - begin)
    return np.array([*starts, len(frames)], np.int64)


def _divisible(count: int) -> int:
    """The largest number up to `count` that a power of two divides, up to 1/7 of it or 64."""
    power = max(1, count // _FEWEST)
    return count - count % min(_MOST, 1 << (power.bit_length() - 1))


def _shuffle_steps(
    order: np.ndarray, starts: np.ndarray, bounds: list[int], seed: int, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """The steps of each window in a random order."""
    count = np.diff(starts)
    window = np.searchsorted(np.array(bounds), starts[:-1], "right")
    chance = mixed(seed, epoch, 4, np.arange(len(count)))
    steps = np.lexsort((chance, window))
    shuffled = np.concatenate([[0], np.cumsum(count[steps])])
    moved = np.repeat(starts[:-1][steps] - shuffled[:-1], count[steps])
    moved += np.arange(len(order))
    return order[moved], shuffled
