"""Sharing the utterances of a step among ranks, so that none has much more to compute than others.

Letters for shapes: n utterances of a step, R ranks.
"""

from __future__ import annotations

import heapq

import numpy as np

EVEN = 0.05
"""Runs of neighbours are even if no rank's frames differ from the mean by a larger share."""
_EXACT = 256
"""The most that a rank computes is found to 1/256."""


def shares(frames: np.ndarray, ranks: int) -> np.ndarray:
    """Share utterances among ranks so that all get about as many frames: plan 1.

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


def even_runs(targets: np.ndarray, prompts: np.ndarray, ranks: int) -> np.ndarray:
    """Share utterances among ranks in runs, so that the most that one computes is least: plan 2.

    A rank computes as many frames of targets as its longest target has, times its utterances, and
    likewise for prompts. Runs are filled up to a bound, and the least bound is searched for, for
    which there are enough ranks.

    Args:
        targets, prompts: (n,) frames of each, in an order in which neighbours are alike.

    Returns:
        (n,) int64, the rank of each utterance, rising.
    """
    if ranks == 1 or not len(targets):
        return np.zeros(len(targets), np.int64)
    both = np.stack([targets, prompts]).astype(np.int64)
    low = max(-(-int(both.sum()) // ranks), int(both.sum(0).max()))
    high = low
    while (ends := _runs(both, ranks, high)) is None:
        low, high = high, 2 * high
    while high - low > max(1, high // _EXACT):
        middle = (low + high) // 2
        found = _runs(both, ranks, middle)
        if found is None:
            low = middle
        else:
            high, ends = middle, found
    counts = np.diff(ends, prepend=0)
    return np.repeat(np.arange(len(counts)), counts)


def _runs(both: np.ndarray, ranks: int, bound: int) -> list[int] | None:
    """Where the runs of ranks end that compute at most so much; None if ranks are too few."""
    ends: list[int] = []
    count, begin = both.shape[1], 0
    reach = max(8, 2 * -(-count // ranks))
    while begin < count:
        if len(ends) == ranks:
            return None
        own = both[:, begin : begin + reach]
        longest = np.maximum.accumulate(own, axis=1).sum(0)
        fits = int((longest * np.arange(1, len(longest) + 1)).searchsorted(bound, "right"))
        if not fits:
            return None
        begin += fits
        ends.append(begin)
    return ends
