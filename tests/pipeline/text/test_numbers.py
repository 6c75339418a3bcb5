"""Numbers, dates, times, money, units and capitals as they are spoken."""

from __future__ import annotations

import pytest

from ns2.pipeline.text.clauses import clauses
from ns2.pipeline.text.engine import engine_of
from ns2.pipeline.text.numbers.number_words import cardinal_words
from ns2.pipeline.text.pronunciation import pronounce
from tests.pipeline.text.number_sentences import SENTENCES
from tests.pipeline.text.test_pronunciation import check, phones, separators, words

ALL = [(language, *pair) for language, pairs in SENTENCES.items() for pair in pairs]


@pytest.mark.parametrize(("language", "written", "said"), ALL)
def test_sentences_with_numbers_are_said_as_in_words(language: str, written: str, said: str) -> None:
    assert phones(written, language) == phones(said, language)
    check(pronounce(written, language))


def test_there_are_forty_sentences_of_each_language() -> None:
    assert {language: len(dict(pairs)) for language, pairs in SENTENCES.items()} == dict.fromkeys(
        ("en-us", "de", "fr-fr", "es"), 40
    )
