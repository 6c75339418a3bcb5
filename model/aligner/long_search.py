"""The best path of a long recording through a long text that it may not follow everywhere.

Words are taken in order. Between two words there may be silence, or sound that no word stands for
(*filler*); and any number of words may be left out at a price. The search is exact. It keeps the
costs of all states at some frames only and works out the steps between them again on the way back,
so memory grows with the square root of the recording.

Costs are whole numbers, so sums are exact on every machine: `STEPS` of them are one nat.

Letters for shapes: T frames, N phones of all words, W words, K columns of costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ns2.model.aligner.kernels import compiled

STEPS = 16
"""The steps of a nat in which costs are counted."""
SILENT, FILLED = -1, -2
"""What stands in `LongPath.phones` for frames of silence and of filler."""

_NEVER = 1 << 30
_ENTERS_SILENCE, _ENTERS_FILLER = 1, 2
_FROM_SILENCE, _FROM_FILLER = 4, 8
_SKIPPED, _SKIPPED_ON = 16, 32


@dataclass(frozen=True, kw_only=True)
class LongCosts:
    """What a path pays, in nats, beside the costs of its frames."""

    filler: float = 2.2
    """For each frame of filler."""

    filler_entry: float = 6.0
    """For entering filler."""

    skip: float = 12.0
    """For leaving out words, once for any number of words in a row."""

    skip_word: float = 0.5
    """For each word that is left out, besides."""

    def in_steps(self) -> np.ndarray:
        """The four as whole numbers."""
        values = (self.filler, self.filler_entry, self.skip, self.skip_word)
        return np.array([round(value * STEPS) for value in values], np.int32)


def quantised(scores: np.ndarray) -> np.ndarray:
    """Turn scores in nats, at most 0, into costs (uint8); the worst is 255 / `STEPS` nats."""
    return np.clip(np.rint(-scores * STEPS), 0, 255).astype(np.uint8)


def long_search(
    costs: np.ndarray,
    columns: np.ndarray,
    firsts: np.ndarray,
    prices: LongCosts,
    pauses: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Find the path with the smallest sum of costs.

    Args:
        costs: (T, K) uint8, what each frame costs in each column, see `quantised`; column 0 is
            silence.
        columns: (N,) the column of each phone.
        firsts: (W + 1,) the first phone of each word, and N; each word has a phone at least.
        prices: what else a path pays.
        pauses: (W + 1,) the nats that silence costs once before each word and behind the last;
            None for nothing.

    Returns:
        (T,) int64, for each frame the number of its phone, or `SILENT` or `FILLED`. A word that
        has no frame was left out; another has at least one frame of each of its phones. And what
        the whole path costs, in nats.

    Raises:
        ValueError: the shapes do not fit.
    """
    columns = np.ascontiguousarray(columns, np.int64)
    firsts = np.ascontiguousarray(firsts, np.int64)
    _check(costs, columns, firsts)
    if pauses is not None and len(pauses) != len(firsts):
        raise ValueError(f"expected {len(firsts)} costs of pauses, got {len(pauses)}")
    # One more frame, which costs nothing, lets the path end behind the last word.
    frames = len(costs) + 1
    length = max(1, math.isqrt(frames))
    blocks = [(start, min(start + length, frames)) for start in range(0, frames, length)]
    states = _States.at_start(len(columns), len(firsts))
    kept = []
    steps = prices.in_steps()
    waits = np.zeros(len(firsts), np.int32)
    if pauses is not None:
        waits = np.rint(np.asarray(pauses) * STEPS).astype(np.int32)
    none = np.zeros((1, 1), np.uint8)
    for start, end in blocks:
        kept.append(states.copy())
        _advance(
            *_rows(costs, start, end), columns, firsts, steps, waits, *states.arrays, none, none
        )
    total = float(states.silence[-1]) / STEPS
    path = np.empty(frames, np.int64)
    at = np.array([SILENT, len(firsts) - 1], np.int64)
    moved = np.empty((length, len(columns)), np.uint8)
    between = np.empty((length, len(firsts)), np.uint8)
    for (start, end), states in zip(reversed(blocks), reversed(kept), strict=True):
        _advance(
            *_rows(costs, start, end), columns, firsts, steps, waits, *states.arrays, moved, between
        )
        _trace(moved[: end - start], between[: end - start], firsts, at, path[start:end])
    return path[:-1], total


def _check(costs: np.ndarray, columns: np.ndarray, firsts: np.ndarray) -> None:
    """See that arrays fit together, since the kernels check no bounds."""
    if costs.ndim != 2 or costs.dtype != np.uint8 or not len(costs):
        raise ValueError(f"expected costs (T, K) of uint8, got {costs.shape} of {costs.dtype}")
    if len(firsts) < 1 or firsts[0] != 0 or firsts[-1] != len(columns):
        raise ValueError(f"firsts must go from 0 to {len(columns)}")
    if (np.diff(firsts) < 1).any():
        raise ValueError("a word has no phone")
    if len(columns) and (columns.min() < 0 or columns.max() >= costs.shape[1]):
        raise ValueError(f"columns must lie in [0, {costs.shape[1]})")


@dataclass(frozen=True)
class _States:
    """The smallest costs of paths that end in each state, at one frame."""

    phones: np.ndarray
    silence: np.ndarray
    filler: np.ndarray

    @classmethod
    def at_start(cls, phones: int, borders: int) -> _States:
        """Before the first frame: in the silence before the first word."""
        never = [np.full(size, _NEVER, np.int32) for size in (phones, borders, borders)]
        never[1][0] = 0
        return cls(*never)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The arrays, which `_advance` changes."""
        return self.phones, self.silence, self.filler

    def copy(self) -> _States:
        """The same in memory of its own."""
        return _States(*(values.copy() for values in self.arrays))


def _rows(costs: np.ndarray, start: int, end: int) -> tuple[np.ndarray, int]:
    """Frames [start, end) of the costs, and how many frames they are with the one at the end."""
    return costs[start:end], end - start


@compiled
def _advance(
    costs: np.ndarray,
    frames: int,
    columns: np.ndarray,
    firsts: np.ndarray,
    prices: np.ndarray,
    waits: np.ndarray,
    phones: np.ndarray,
    silence: np.ndarray,
    filler: np.ndarray,
    moved: np.ndarray,
    between: np.ndarray,
) -> None:
    """Go on by some frames; `moved` and `between` get each state's step if they have room."""
    keep = len(moved) >= frames and len(between) >= frames and between.shape[1] == len(firsts)
    words, count = len(firsts) - 1, len(phones)
    arrivals = np.empty(words + 1, np.int32)
    row = np.zeros(costs.shape[1], np.int32)
    before = np.empty(count + 1, np.int32)
    before[0] = _NEVER
    free = np.zeros_like(waits)
    for t in range(frames):
        ends = t >= len(costs)  # the frame behind the last
        pauses = free if ends else waits
        for k in range(len(row)):
            row[k] = 0 if ends else costs[t, k]
        _arrive(
            firsts, prices, pauses, phones, silence, filler, arrivals,
            between[t] if keep else between[0], keep,
        )  # fmt: skip
        # Silence and filler before each word, and behind the last.
        quiet, other = row[0], np.int32(0) if ends else prices[0]
        for i in range(words + 1):
            wait = pauses[i]
            silence[i] = min(min(silence[i], arrivals[i] + wait) + quiet, np.int32(_NEVER))
            filler[i] = min(min(filler[i], arrivals[i] + prices[1]) + other, np.int32(_NEVER))
        # The phones: all as if none were the first of its word, then those that are.
        for j in range(count):
            before[j + 1] = phones[j]
        if keep:
            for j in range(count):
                moved[t, j] = before[j] < before[j + 1]
        for j in range(count):
            phones[j] = min(min(before[j], before[j + 1]) + row[columns[j]], np.int32(_NEVER))
        for i in range(words):
            j = firsts[i]
            stay = before[j + 1]
            phones[j] = min(min(arrivals[i], stay) + row[columns[j]], np.int32(_NEVER))
            if keep:
                moved[t, j] = arrivals[i] < stay


@compiled
def _arrive(
    firsts: np.ndarray,
    prices: np.ndarray,
    waits: np.ndarray,
    phones: np.ndarray,
    silence: np.ndarray,
    filler: np.ndarray,
    arrivals: np.ndarray,
    steps: np.ndarray,
    keep: bool,
) -> None:
    """Find the smallest cost of all ways to the border before each word, and behind the last.

    The way comes from the word before, from silence or filler at this border, or from an earlier
    border over words that are left out. `steps` gets which one it is, if it is to be kept.
    """
    chain, whole = np.int32(_NEVER), np.int32(_NEVER)
    for i in range(len(firsts)):
        here = phones[firsts[i] - 1] if i > 0 else np.int32(_NEVER)
        step = 0
        if silence[i] < here:
            here, step = silence[i], _FROM_SILENCE
        if filler[i] < here:
            here, step = filler[i], _FROM_FILLER
        if i > 0:
            fresh = whole + prices[2]
            if chain <= fresh:
                step |= _SKIPPED_ON
                fresh = chain
            chain = min(fresh + prices[3], np.int32(_NEVER))
        whole = here
        if chain < here:
            here = chain
            step |= _SKIPPED
        if here + waits[i] < silence[i]:
            step |= _ENTERS_SILENCE
        if here + prices[1] < filler[i]:
            step |= _ENTERS_FILLER
        arrivals[i] = here
        if keep:
            steps[i] = step


@compiled
def _trace(
    moved: np.ndarray, between: np.ndarray, firsts: np.ndarray, at: np.ndarray, path: np.ndarray
) -> None:
    """Follow the steps of a block backwards; `at` is the state behind it, and then before it.

    The state is (phone, its word), or (`SILENT` or `FILLED`, the word that follows).
    """
    state, i = at[0], at[1]
    for t in range(len(path) - 1, -1, -1):
        path[t] = state
        if state >= 0:
            if not moved[t, state]:
                continue
            if state > firsts[i]:
                state -= 1
                continue
        elif not between[t, i] & (_ENTERS_SILENCE if state == SILENT else _ENTERS_FILLER):
            continue
        # From the border before word i, perhaps over words that are left out.
        step = between[t, i]
        if step & _SKIPPED:
            on = True
            while on:
                on = between[t, i] & _SKIPPED_ON != 0
                i -= 1
            step = between[t, i]
        if step & _FROM_FILLER:
            state = FILLED
        elif step & _FROM_SILENCE:
            state = SILENT
        else:
            i -= 1
            state = firsts[i + 1] - 1
    at[0], at[1] = state, i
