"""Edit distances against brute force, words as they are said, recognisers that are not there."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.train.evaluation.words import edit_distance, plain_words, spoken_words, word_errors


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


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'ns2\[eval\]'"):
        open_recogniser()
    with pytest.raises(UserError, match="pip install transformers"):
        open_recogniser("openai/whisper-tiny.en")
    with pytest.raises(UserError, match="pip install transformers"):
        SpeakerModel("microsoft/wavlm-base-plus-sv")
