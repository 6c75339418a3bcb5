"""The plan of an epoch: utterances in steps of those that are alike in length.

Every utterance comes once, or as often as a mixture says (`mixture.py`).

Shards are put in a random order, neighbours in that order form windows, and within a window
utterances are grouped by length and cut into steps of at most `global_frames`. The steps depend on
the index, the seed and the epoch alone; ranks share each step among them, so that a run can go on
with another number of GPUs. Random numbers are hashes of their purpose: no generator's state is
involved.

There are two plans. Plan 1 knows the frames of utterances alone. Plan 2 knows their prompts, too: a
prompt that comes from another utterance counts in `global_frames` (one that is cut out of the
utterance itself is part of its frames), utterances are grouped by both lengths, and each step has
one share, by which the lengths of all prompts in it are chosen. So targets and prompts of a step
are alike in length after the cut, and little is padded. A run keeps the plan that it began with.

Letters for shapes: n utterances, S steps, R ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ns2.model.tts.prompts import PromptConfig
from ns2.train.data.shares import even_runs, shares

WINDOW_SHARDS = 8
WINDOW_STEPS = 64
"""The least number of shards in a window, and of steps that it fills, where there are enough."""
BUCKETS_AN_OCTAVE = 32
"""Utterances whose lengths differ by less than 1/32 of an octave, 2 %, are in one bucket."""
PAIRS_AN_OCTAVE = 4
"""In plan 2 utterances that stay whole are in one bucket if neither their own lengths nor those of
their prompts differ by more than 1/4 of an octave, 19 %."""
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


def utterance_seeds(
    seed: int, epoch: int, numbers: np.ndarray, turns: np.ndarray | None = None
) -> np.ndarray:
    """Seeds of 63 bits of all that is random about utterances in an epoch; (n,) uint64.

    Args:
        turns: (n,), how often each has come in the epoch before; None where each comes once.
    """
    more = () if turns is None else (turns,)
    return mixed(seed, epoch, numbers, *more) >> np.uint64(1)


@dataclass(frozen=True)
class Lengths:
    """Lengths of utterances once prompts are cut out of them.

    Attributes:
        targets: (n,), frames of the targets.
        prompts: (n,), frames of the prompts; 0 where there is none.
    """

    targets: np.ndarray
    prompts: np.ndarray

    def part(self, places: slice) -> Lengths:
        """The lengths of some of the utterances."""
        return Lengths(self.targets[places], self.prompts[places])

    @property
    def work(self) -> int:
        """Frames of all targets and prompts."""
        return int(self.targets.sum(dtype=np.int64) + self.prompts.sum(dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """The steps of an epoch.

    Attributes:
        order: (n,) int64, numbers of the utterances, step after step.
        frames: (n,), the frames of those utterances, in this order.
        starts: (S + 1,) int64; step s has order[starts[s] : starts[s + 1]], the longest first.
        lengths: (n,) of their targets and prompts, in this order, as far as they are known before
            cuts are moved between tokens; None in plan 1.
        prompt_shares: (S,) float64 in [0, 1), where in the range of allowed lengths prompts lie
            that are cut out of utterances; None in plan 1, which leaves them to chance.
        turns: (n,), how often the utterance has come in the epoch before, in this order; None where
            each comes once.
    """

    order: np.ndarray
    frames: np.ndarray
    starts: np.ndarray
    lengths: Lengths | None = None
    prompt_shares: np.ndarray | None = None
    turns: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def step(self, number: int) -> np.ndarray:
        """Numbers of the utterances that all ranks together have in a step."""
        return self.order[self.places(number)]

    def share(self, number: int, rank: int, ranks: int) -> np.ndarray:
        """Numbers of the utterances that a rank has in a step; there may be none.

        Raises:
            ValueError: there is no such rank.
        """
        if not 0 <= rank < ranks:
            raise ValueError(f"rank {rank} of {ranks} does not exist")
        return self.step(number)[self.rank_of(number, ranks) == rank]

    def seeds(self, number: int, seed: int, epoch: int) -> np.ndarray:
        """Seeds of the utterances of a step, in the step's order; uint64."""
        return utterance_seeds(seed, epoch, self.step(number), self.turns_of(number))

    def turns_of(self, number: int) -> np.ndarray | None:
        """How often each utterance of a step has come before; None where each comes once."""
        return None if self.turns is None else self.turns[self.places(number)]

    def rank_of(self, number: int, ranks: int) -> np.ndarray:
        """The rank of each utterance of a step, in the step's order; int64."""
        part = self.places(number)
        if self.lengths is None:
            return shares(self.frames[part], ranks)
        lengths = self.lengths.part(part)
        return even_runs(lengths.targets, lengths.prompts, ranks)

    def prompt_share(self, number: int) -> float | None:
        """The share by which prompts of a step are cut out of utterances; None in plan 1."""
        return None if self.prompt_shares is None else float(self.prompt_shares[number])

    def frames_of(self, number: int) -> np.ndarray:
        """Frames of the utterances of a step, in the step's order."""
        return self.frames[self.places(number)]

    @cached_property
    def total_frames(self) -> int:
        """The frames of all utterances."""
        return int(self.frames.sum(dtype=np.int64))

    def places(self, number: int) -> slice:
        """Where the utterances of a step are in the order of the epoch."""
        if not 0 <= number < len(self):
            raise IndexError(f"step {number} of {len(self)}")
        return slice(int(self.starts[number]), int(self.starts[number + 1]))


def plan_epoch(
    shards: np.ndarray,
    frames: np.ndarray,
    *,
    seed: int,
    epoch: int,
    global_frames: int,
    others: np.ndarray | None = None,
    prompts: PromptConfig | None = None,
    window_shards: int = WINDOW_SHARDS,
    window: np.ndarray | None = None,
) -> EpochPlan:
    """Plan an epoch.

    Args:
        shards: (n,) the shard of each utterance, small whole numbers from 0 on.
        frames: (n,), at least 1 each.
        seed, epoch: decide all that is random.
        global_frames: the most frames of a step, over all ranks. In plan 2 prompts count; a single
            utterance that has more than that only together with its prompt is a step of its own.
        others: (n,), frames of prompts that come from other utterances, 0 for utterances that give
            their own; None makes plan 1.
        prompts: the lengths of prompts, for plan 2.
        window_shards: the least number of shards whose utterances are mixed.
        window: (n,) int32, the window of each utterance; None makes them of neighbouring shards.

    Raises:
        ValueError: there is no utterance, or one that is longer than a step or has no frames.
    """
    check_frames(frames, global_frames)
    counted = frames if others is None else np.minimum(frames + others, global_frames)
    if window is None:
        enough = WINDOW_STEPS * global_frames
        window = _windows(shards, counted, seed, epoch, window_shards, enough)
    key = _sort_key(window, frames, others, seed, epoch)
    order = np.argsort(key, kind="stable")
    del key
    window = window[order]
    bounds = np.flatnonzero(np.diff(window, prepend=-1)).tolist()
    del window
    starts = _cut(counted[order], [*bounds, len(order)], global_frames)
    order, starts = _shuffle_steps(order, starts, bounds, seed, epoch)
    if others is None or prompts is None:
        return EpochPlan(order=order, frames=frames[order], starts=starts)
    drawn = mixed(seed, epoch, 5, np.arange(len(starts) - 1))
    prompt_shares = (drawn >> np.uint64(11)).astype(np.float64) / 2**53
    order = _by_length_within_steps(order, frames, others, starts)
    frames, others = frames[order], others[order]
    wanted = prompts.wanted(frames, np.repeat(prompt_shares, np.diff(starts)))
    own = np.where(frames < prompts.whole_below, 0, wanted).astype(frames.dtype)
    return EpochPlan(
        order=order,
        frames=frames,
        starts=starts,
        lengths=Lengths(frames - own, own + others),
        prompt_shares=prompt_shares,
    )


def check_frames(frames: np.ndarray, global_frames: int) -> None:
    """See that utterances can be planned.

    Raises:
        ValueError: they can't.
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


def _sort_key(
    window: np.ndarray, frames: np.ndarray, others: np.ndarray | None, seed: int, epoch: int
) -> np.ndarray:
    """Keys of 64 bits, (n,), that sort by window, then length, longest first, then randomly."""
    shift = float(mixed(seed, epoch, 2)) / 2**64  # each epoch has other borders of buckets
    most = int(frames.max()) if others is None else int(max(frames.max(), others.max()))
    octaves = np.log2(np.maximum(np.arange(most + 1, dtype=np.float64), 1))
    bucket_of = np.floor(BUCKETS_AN_OCTAVE * octaves + shift).astype(np.uint64)
    key = mixed(seed, epoch, 3, np.arange(len(frames)))
    key >>= np.uint64(32)
    if others is None:
        key |= (np.uint64(1023) - bucket_of)[frames] << np.uint64(32)
        key |= window.astype(np.uint64) << np.uint64(42)
        return key
    # 14 bits: those that give their own prompts come first, then pairs by prompt and by length
    pair_of = np.floor(PAIRS_AN_OCTAVE * octaves + shift).astype(np.uint64)
    key |= (np.uint64(0x3FFF) - bucket_of)[frames] << np.uint64(32)
    whole = np.flatnonzero(others)
    pair = (pair_of[others[whole]] << np.uint64(6)) | pair_of[frames[whole]]
    key[whole] &= np.uint64(0xFFFFFFFF)
    key[whole] |= (np.uint64(0x1FFF) - pair) << np.uint64(32)
    key |= window.astype(np.uint64) << np.uint64(46)
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


def _by_length_within_steps(
    order: np.ndarray, frames: np.ndarray, others: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """The order with utterances that give their own prompts sorted by length within each step.

    They come first in their steps; the others stay where they are.
    """
    step = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    own = np.flatnonzero(others[order] == 0)
    by_length = np.lexsort((-frames[order[own]].astype(np.int64), step[own]))
    order[own] = order[own][by_length]
    return order
