"""The search through long texts: against all paths, by a slow recursion, on small problems."""

from __future__ import annotations

import numpy as np
import pytest

from ns2.model.aligner.long_search import FILLED, SILENT, STEPS, LongCosts, long_search, quantised


def smallest(
    costs: np.ndarray, columns: np.ndarray, firsts: np.ndarray, prices: LongCosts, waits: np.ndarray
) -> float:
    """The cost of the best path, by a plain recursion over frames."""
    filler, entry, skip, skip_word = (
        prices.filler, prices.filler_entry, prices.skip, prices.skip_word,
    )  # fmt: skip
    words = len(firsts) - 1
    phones = np.full(len(columns), np.inf)
    silence, other = np.full(words + 1, np.inf), np.full(words + 1, np.inf)
    silence[0] = 0

    def arrive() -> np.ndarray:
        there = np.array(
            [
                min(silence[i], other[i], phones[firsts[i] - 1] if i else np.inf)
                for i in range(words + 1)
            ]
        )
        return np.array(
            [
                min([there[i], *(there[k] + skip + (i - k) * skip_word for k in range(i))])
                for i in range(words + 1)
            ]
        )

    for row in costs / STEPS:
        arrived, before = arrive(), phones.copy()
        for i in range(words):
            for j in range(firsts[i], firsts[i + 1]):
                enter = arrived[i] if j == firsts[i] else before[j - 1]
                phones[j] = min(before[j], enter) + row[columns[j]]
        silence = np.minimum(silence, arrived + waits) + row[0]
        other = np.minimum(other, arrived + entry) + filler
    return float(arrive()[words])


def cost_of(
    path: np.ndarray,
    costs: np.ndarray,
    columns: np.ndarray,
    firsts: np.ndarray,
    prices: LongCosts,
    waits: np.ndarray,
) -> float:
    """What a path costs; sees that words come in order, each with all of its phones."""
    word = np.repeat(np.arange(len(firsts) - 1), np.diff(firsts))
    total, before, follows = 0.0, SILENT, 0
    at = 0  # the border that silence or filler stands at

    def leave() -> None:
        assert before < 0 or before == firsts[word[before] + 1] - 1  # a whole word

    for t, state in enumerate(path):
        if state >= 0 and state != before:
            if state == firsts[word[state]]:
                leave()
                skipped = word[state] - follows
                assert skipped >= 0
                total += prices.skip * (skipped > 0) + prices.skip_word * skipped
                follows = word[state] + 1
            else:
                assert before == state - 1
        elif state < 0 and state != before:
            leave()
            at = follows
            if state == FILLED:
                total += prices.filler_entry
            elif t > 0:
                total += waits[at]
        total += (
            prices.filler
            if state == FILLED
            else costs[t, columns[state] if state >= 0 else 0] / STEPS
        )
        before = state
    leave()
    left = len(firsts) - 1 - follows
    return total + prices.skip * (left > 0) + prices.skip_word * left


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, LongCosts]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 4, rng.integers(0, 6))
    firsts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    costs = rng.integers(0, 256, (rng.integers(1, 28), 5)).astype(np.uint8)
    prices = [round(x * STEPS) / STEPS for x in rng.uniform(0, [9, 5, 20, 3])]
    names = ("filler", "filler_entry", "skip", "skip_word")
    return (
        costs,
        rng.integers(1, 5, firsts[-1]),
        firsts,
        LongCosts(**dict(zip(names, prices, strict=True))),
    )


@pytest.mark.parametrize("seed", range(60))
def test_it_finds_the_cheapest_path(seed: int) -> None:
    costs, columns, firsts, prices = problem(seed)
    path, total = long_search(costs, columns, firsts, prices)
    none = np.zeros(len(firsts))
    assert len(path) == len(costs)
    assert total == pytest.approx(smallest(costs, columns, firsts, prices, none))
    assert cost_of(path, costs, columns, firsts, prices, none) == pytest.approx(total)


@pytest.mark.parametrize("seed", range(20))
def test_pauses_cost_what_they_should(seed: int) -> None:
    costs, columns, firsts, prices = problem(seed)
    waits = np.random.default_rng(seed).integers(0, 80, len(firsts)) / STEPS
    _, total = long_search(costs, columns, firsts, prices, waits)
    assert total == pytest.approx(smallest(costs, columns, firsts, prices, waits))


def test_words_left_out_and_sound_without_words() -> None:
    """Of the words A B C, A and C are spoken, with a strange sound behind A."""
    heard = [0, 1, 1, 0, 4, 4, 4, 0, 3, 3, 0]
    scores = np.full((len(heard), 5), -15.0)
    scores[np.arange(len(heard)), heard] = 0.0
    prices = LongCosts(filler=2, filler_entry=1, skip=5, skip_word=1)
    path, total = long_search(
        quantised(scores), np.array([1, 2, 3]), np.array([0, 1, 2, 3]), prices
    )
    assert path.tolist() == [SILENT, 0, 0, SILENT, *[FILLED] * 3, SILENT, 2, 2, SILENT]
    assert total == 3 * 2 + 1 + 5 + 1


@pytest.mark.parametrize(
    ("columns", "firsts", "message"),
    [
        ([1, 2], [0, 1], "firsts must go from 0 to 2"),
        ([1, 2], [0, 0, 2], "a word has no phone"),
        ([1, 9], [0, 2], "columns must lie in"),
    ],
)
def test_wrong_shapes_are_refused(columns: list[int], firsts: list[int], message: str) -> None:
    costs = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match=message):
        long_search(costs, np.array(columns), np.array(firsts), LongCosts())
