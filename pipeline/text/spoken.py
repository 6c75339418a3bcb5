"""The text to speak for each word of a clause, in any language."""

from __future__ import annotations

from collections.abc import Sequence

from ns2.pipeline.text.english import speak_english
from ns2.pipeline.text.numbers.rules import speak_numbers
from ns2.pipeline.text.written import Word, base_language


def speak_words(words: Sequence[Word], language: str) -> list[str]:
    """The text to speak for each word of a clause, in words that espeak-ng reads well.

    Args:
        words: the words of the clause.
        language: the name of an espeak-ng voice.
    """
    if base_language(language) == "en":
        return speak_english(words, language)
    return speak_numbers(words, language)
