"""Edit distances against brute force, and words as they are said and counted."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ns2.train.evaluation.judges.words import (
    WordErrors,
    edit_distance,
    plain_words,
    spoken_words,
    word_errors,
)


def brute_force(one: str, other: str) -> int:
    @cache
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        changed = least(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(changed, least(i - 1, j) + 1, least(i, j - 1) + 1)

    return least(len(one), len(other))


def test_edit_distance_is_that_of_all_ways() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        one, other = ("".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
        assert edit_distance(list(one), list(other)) == brute_force(one, other)


def test_words_are_compared_as_they_are_said() -> None:
    assert spoken_words("Mr. Smith’s 2nd loss: $250!", "en-us") == (
        ["mister", "smiths", "second", "loss", "two", "hundred", "fifty", "dollars"]
    )
    assert spoken_words("Ein „schöner“ Tag – oder?", "de") == ["ein", "schöner", "tag", "oder"]
    assert plain_words("A_b  c-d") == ["a", "b", "c", "d"]


ALIKE = (
    ("In 1455, they", "in fourteen fifty-five they"),
    ("1,455 men", "one thousand four hundred and fifty-five men"),
    ("In 1400", "in fourteen hundred"),
    ("in 1905", "in nineteen oh five"),
    ("in 1905", "in nineteen-o-five"),
    ("in 2010", "in two thousand and ten"),
    ("$250", "two hundred and fifty dollars"),
    ("101", "a hundred and one"),
    ("the 101st", "the one hundred and first"),
    ("on the 2nd", "on the second"),
    ("2,300,000", "two million three hundred thousand"),
    ("the 1960s", "the nineteen sixties"),
    ("at 7:00", "at seven o'clock"),
    ("5%", "five per cent"),
    ("2.5", "two point five"),
    ("Mr. Smith’s dog", "MISTER SMITHS DOG"),
    ("Mrs Hall", "missus Hall"),
    ("to-day a note-book", "today a notebook"),
    ("today a notebook", "to day a note book"),
    ("'Café,' he said", "cafe he said"),
    ("it's OK", "its okay"),
)


@pytest.mark.parametrize("language", ["en-us", "en-gb"])
@pytest.mark.parametrize("one, other", ALIKE)
def test_what_sounds_alike_is_no_error(one: str, other: str, language: str) -> None:
    pytest.importorskip("jiwer", reason="jiwer is not installed: pip install 'ns2[eval]'")
    first, second = spoken_words(one, language), spoken_words(other, language)
    assert word_errors(first, second).total == word_errors(second, first).total == 0
    assert word_errors(first, second).words == len(second) > 0


def test_numbers_of_other_languages_are_written_out() -> None:
    german = spoken_words("Im Jahr 1455 kamen 25", "de")
    assert german == ["im", "jahr", "vierzehnhundertfünfundfünfzig", "kamen", "fünfundzwanzig"]
    assert spoken_words("Ἐν 12", "grc") == ["ἐν", "12"]  # num2words has no ancient Greek
    assert spoken_words("字幕 by ok", "en-us") == ["字幕", "by", "okay"]  # a foreign script
    assert spoken_words("", "en-us") == spoken_words(" - ", "de") == []


def test_wrong_words_are_those_of_the_shortest_alignment() -> None:
    pytest.importorskip("jiwer", reason="jiwer is not installed: pip install 'ns2[eval]'")
    rng = np.random.default_rng(0)
    words = ["ba", "di", "gu"]  # no two of them joined are another one
    pooled = WordErrors(insertions=0, deletions=0, substitutions=0, words=0)
    wrong = 0
    for _ in range(200):
        heard, said = ([*rng.choice(words, rng.integers(0, 9))] for _ in range(2))
        errors = word_errors(heard, said)
        assert errors.total == edit_distance(heard, said)
        assert errors.insertions - errors.deletions == len(heard) - len(said)
        pooled, wrong = pooled + errors, wrong + errors.total
    assert pooled.total == wrong and pooled.rate == wrong / pooled.words
    errors = word_errors(["a", "cat", "in", "a", "mat"], ["the", "cat", "on", "mat"])
    assert (errors.insertions, errors.deletions, errors.substitutions) == (1, 0, 2)
