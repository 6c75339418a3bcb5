"""Follows a long text through a long recording: when each word is spoken, and at what cost.

Letters for shapes: H pairs of frames, N phones, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.model.aligner.long_search import FILLED, STEPS, LongCosts, long_search
from ns2.pipeline.align.long.recorded import Recorded
from ns2.pipeline.align.long.scoring import PAIR, phone_columns, phone_costs
from ns2.pipeline.dataset.phoneme_table import PhonemeTable

PRICES = LongCosts(filler=5.0, filler_entry=20.0, skip=40.0, skip_word=2.0)
"""What a path pays. In the scores of the network a page of a story with its own text costs about 3
nats a frame, and with another's 5. Lower prices of filler and skips lost words: on 28 stories 96 %
lay in their pages with 4, 8, 16 and 1, and 99 % with these."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """When each word of a text is spoken.

    Attributes:
        begin, end: (W,) seconds; NaN for a word that is not spoken.
        cost: (W,) nats that all frames of a word cost.
        frames: (W,) the number of these frames, pairs of frames of the mel.
        longest: (W,) the seconds of its longest phone.
        filler: (from, to) in seconds, of sound that no word stands for.
        total: what the whole path costs, in nats.
    """

    begin: np.ndarray
    end: np.ndarray
    cost: np.ndarray
    frames: np.ndarray
    longest: np.ndarray
    filler: tuple[tuple[float, float], ...]
    total: float


def hear(recorded: Recorded) -> np.ndarray:
    """What each frame of a recording costs in each sound, see `phone_costs`; on one thread."""
    from ns2.model.aligner.hmm import reproducible

    with reproducible():
        return phone_costs(recorded)


def follow(
    recorded: Recorded,
    costs: np.ndarray,
    words: Sequence[Sequence[str]],
    pauses: np.ndarray | None = None,
) -> Followed:
    """Find out when each word is spoken.

    Args:
        recorded: the recording.
        costs: (H, K) what `hear` found in it.
        words: the phones of each word, at least one; all of the default table.
        pauses: (W + 1,) see `long_search`.
    """
    ids = PhonemeTable.default().ids([phone for word in words for phone in word])
    firsts = np.concatenate([[0], np.cumsum([len(word) for word in words])]).astype(np.int64)
    columns = phone_columns(ids)
    path, total = long_search(costs, columns, firsts, PRICES, pauses)
    # The frames of each word, and what they cost.
    spoken = np.flatnonzero(path >= 0)
    word = np.searchsorted(firsts, path[spoken], "right") - 1
    paid = costs[spoken, columns[path[spoken]]] / STEPS
    seconds = PAIR / recorded.frame_rate
    begin, end = np.full(len(words), np.nan), np.full(len(words), np.nan)
    begin[word[::-1]] = spoken[::-1] * seconds
    end[word] = (spoken + 1) * seconds
    longest = np.zeros(len(words))
    phone, lasts = np.unique(path[spoken], return_counts=True)
    np.maximum.at(longest, np.searchsorted(firsts, phone, "right") - 1, lasts * seconds)
    filled = np.concatenate([[False], path == FILLED, [False]]).astype(np.int8)
    change = np.flatnonzero(np.diff(filled)) * seconds
    return Followed(
        begin=begin,
        end=np.minimum(end, recorded.seconds),
        cost=np.bincount(word, paid, minlength=len(words)),
        frames=np.bincount(word, minlength=len(words)),
        longest=longest,
        filler=tuple((float(a), float(b)) for a, b in zip(change[::2], change[1::2], strict=True)),
        total=total,
    )
