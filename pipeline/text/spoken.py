"""The text to speak for each word of a clause, in any language."""

from __future__ import annotations

from collections.abc import Sequence

from ns2.pipeline.text.english import speak_english
from ns2.pipeline.text.numbers.chinese import speak_chinese
from ns2.pipeline.text.numbers.misread import read_well
from ns2.pipeline.text.numbers.rules import in_brazil, speak_numbers
from ns2.pipeline.text.written import Word, base_language


def speak_words(words: Sequence[Word], language: str) -> list[str]:
    """The text to speak for each word of a clause, in words that espeak-ng reads well.

    Args:
        words: the words of the clause.
        language: the name of an espeak-ng voice.
    """
    base = base_language(language)
    if base == "en":
        return speak_english(words, language)
    if base == "cmn":
        return speak_chinese(words, language)
    said = speak_numbers(words, language)
    return list(map(in_brazil, said)) if language.startswith("pt-br") else said


def words_for_espeak(words: Sequence[Word], language: str) -> list[str]:
    """Like `speak_words`, with number words that espeak-ng would read wrongly in digits."""
    base = base_language(language)
    said = speak_words(words, language)
    if base == "en":
        return said
    well = [" ".join(read_well(word, base) for word in part.split()) for part in said]
    return list(map(in_brazil, well)) if language.startswith("pt-br") else well
