"""Which spoken words belong to which written words, by their sound."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ns2.pipeline.text.engine import Phones

_EDIT = 10  # cost of an edit: a phone that is inserted, left out or replaced
_BORDER_WORTH = 9  # gain of a common border; less than an edit, or leaving words out would pay


def match_words(
    written: Sequence[Phones], spoken: Sequence[Phones]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Match written words to spoken words by their sound.

    The phones of both are aligned by edit distance. Where the cheapest path passes a border of
    both, the words are cut; to pass one gains almost as much as an edit costs. So "1984" gets all
    its spoken words, and "of the" stays together where espeak-ng speaks it as one word.

    Args:
        written: phones of each written word spoken alone, without stress.
        spoken: phones of each spoken word, without stress; at least one phone each.

    Returns:
        pairs ([first, end) of written words, [first, end) of spoken words). Every spoken word is
        in exactly one pair; a written word without sound is in none.
    """
    if not spoken:
        return []
    audible = [i for i, phones in enumerate(written) if phones]
    if not audible:
        return [((0, len(written)), (0, len(spoken)))]
    word_at = {0: 0}  # from the number of phones so far to the number of words
    for k, i in enumerate(audible, 1):
        word_at[max(word_at) + len(written[i])] = k
    spoken_at = {0: 0}
    for k, phones in enumerate(spoken, 1):
        spoken_at[max(spoken_at) + len(phones)] = k
    left = [phone for i in audible for phone in written[i]]
    right = [phone for phones in spoken for phone in phones]
    cuts = _cuts(left, right, frozenset(word_at), sorted(spoken_at))
    pairs = []
    for (i, j), (end, stop) in pairwise(cuts):
        words = audible[word_at[i]], audible[word_at[end] - 1] + 1
        if stop > j:
            pairs.append((words, (spoken_at[j], spoken_at[stop])))
    return pairs


def _cuts(
    left: Sequence[str], right: Sequence[str], rows: frozenset[int], columns: list[int]
) -> list[tuple[int, int]]:
    """Align two sequences by edit distance, and list the borders that the cheapest path passes.

    Args:
        left: L symbols.
        right: R symbols.
        rows: borders in `left`, as numbers of symbols before them, with 0 and L.
        columns: borders in `right`, likewise.

    Returns:
        (border in left, border in right), from (0, 0) to (L, R).
    """
    plain, best = _costs(left, right, rows, columns)
    borders = frozenset(columns)
    i, j = len(left), len(right)
    cuts = []
    passing = True  # whether the border at (i, j), if there is one, may count
    while i or j:
        if passing and best[i, j] != plain[i, j]:
            if i in rows and j in borders and best[i, j] == plain[i, j] - _BORDER_WORTH:
                cuts.append((i, j))
                passing = False
            else:
                j -= 1
            continue
        cost = plain[i, j]
        if i and j and cost == best[i - 1, j - 1] + _EDIT * (left[i - 1] != right[j - 1]):
            i, j, passing = i - 1, j - 1, True
        elif i and cost == best[i - 1, j] + _EDIT:
            i, passing = i - 1, True
        else:
            j -= 1
            passing = False
    return [(0, 0), *cuts[::-1]]


def _costs(
    left: Sequence[str], right: Sequence[str], rows: frozenset[int], columns: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Least costs of aligning the first i and the first j symbols, for `_cuts`.

    Returns:
        (L + 1, R + 1) int64 each: the cost on arriving, and the cost less what passing a common
        border at (i, j) gains.
    """
    code = {symbol: k for k, symbol in enumerate(dict.fromkeys((*left, *right)))}
    target = np.array([code[symbol] for symbol in right])
    slope = _EDIT * np.arange(len(right) + 1)
    plain = np.empty((len(left) + 1, len(right) + 1), np.int64)
    best = np.empty_like(plain)
    plain[0] = best[0] = slope
    for i, symbol in enumerate(left, 1):
        row = best[i - 1] + _EDIT
        np.minimum(row[1:], best[i - 1, :-1] + _EDIT * (target != code[symbol]), out=row[1:])
        plain[i] = best[i] = np.minimum.accumulate(row - slope) + slope
        if i in rows:
            best[i, columns] -= _BORDER_WORTH
            best[i] = np.minimum.accumulate(best[i] - slope) + slope
    return plain, best
