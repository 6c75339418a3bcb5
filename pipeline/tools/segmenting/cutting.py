"""Cuts a recording into pieces: in pauses, at the ends of sentences where it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ns2.pipeline.tools.segmenting.borders import Border

_LONGEST = 30.0
"""Seconds of the longest piece where there is no pause to cut it in."""
_NEVER = float("inf")
_LEFT_OUT = 25.0
"""The price of a word that is in no piece."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """The seconds that pieces should last."""

    least: float
    most: float


def cut(borders: Sequence[Border], good: Sequence[bool], lengths: Lengths) -> list[tuple[int, int]]:
    """Choose pieces so that the sum of their prices is smallest.

    Args:
        borders: before each spoken word, and behind the last: (S + 1).
        good: (S,) whether a word may be in a piece.
        lengths: what pieces should last.

    Returns:
        pieces as words [first, end), in order; words that are in none are left out.
    """
    count = len(good)
    best = [0.0] + [_NEVER] * count
    origin = [0] * (count + 1)
    for j in range(1, count + 1):
        best[j], origin[j] = best[j - 1] + _LEFT_OUT, -1
        stop = borders[j].stop
        if stop is None or not good[j - 1]:
            continue
        inner = 0.0
        for i in range(j - 1, -1, -1):
            if not good[i]:
                break
            go = borders[i].go
            if go is not None:
                if stop - go > _LONGEST:
                    break
                price = best[i] + inner + _price(stop - go, lengths) + _end_price(borders[j])
                if stop > go and price < best[j]:
                    best[j], origin[j] = price, i
            if not borders[i].joined:
                break
            inner += _pause_price(borders[i].pause)
    pieces = []
    j = count
    while j > 0:
        i = origin[j]
        if i >= 0:
            pieces.append((i, j))
            j = i
        else:
            j -= 1
    return pieces[::-1]


def _price(seconds: float, lengths: Lengths) -> float:
    """The price of a piece's length."""
    middle = (lengths.least + lengths.most) / 2
    price = 0.3 + 0.5 * abs(seconds - middle) / (lengths.most - lengths.least)
    if seconds < lengths.least:
        price += 3.0 + 6.0 * (lengths.least - seconds)
    elif seconds > lengths.most:
        price += 6.0 + 4.0 * (seconds - lengths.most)
    return price


def _end_price(border: Border) -> float:
    """The price of a cut: small at the end of a sentence and in a long pause."""
    if not border.joined:
        return 0.0
    price = 0.0 if border.sentence else 1.0 if border.clause else 2.5
    return price + max(0.0, 0.3 - border.pause) * 3.0


def _pause_price(pause: float) -> float:
    """The price of a pause inside of a piece."""
    return 0.0 if pause < 0.8 else 0.5 + 1.5 * (pause - 0.8)
