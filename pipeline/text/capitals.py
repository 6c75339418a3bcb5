"""Words in capitals: lines of them are put into small letters, acronyms are read in one way.

espeak-ng spells a word of two or three capitals only in a clause with more small letters than
capitals, unless its dictionary has the word. So "EPA" between commas was a word, elsewhere three
letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from ns2.pipeline.text.numbers.roman import clear_roman, numbered_roman, roman_value
from ns2.pipeline.text.tables import ABBREVIATIONS, BEFORE_NUMBER, SPELLED, UNITS, WORDS_TOO

_ACRONYM = re.compile(r"([^\W\d_]{2,3})('?s)?")
_WORD = re.compile(r"[^\W\d_][^\W\d_']+")
_PARTS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_DOTTED = re.compile(r"(?:[^\W\d_]\.){2,}[^\W\d_]?")
_CARRIER = "nana nana"  # letters are counted, whatever they say
_MARKS = ".,;:?!…—-'"
_LEAST = 4  # letters of a word that is no acronym


class Speaker(Protocol):
    """A voice of espeak-ng."""

    def speak(self, text: str) -> list[tuple[str, ...]]:
        """The spoken words of a clause, each with its phones."""
        ...

    def __hash__(self) -> int: ...


def in_capitals(text: str) -> bool:
    """Whether a text is several words in capitals, and not an acronym or two."""
    if any(char.islower() and char.upper() != char for char in text):
        return False
    if any(char.isalpha() and char.upper() == char.lower() for char in text):
        return False  # acronyms in a text of a script without capitals
    words = [word for word in _WORD.findall(text) if word.isupper() and not roman_value(word)]
    return len(words) > 2 or (len(words) == 2 and max(map(len, words)) >= _LEAST)


def small(token: str, before: str, following: str, base: str) -> str:
    """A token of a text in capitals in the letters that it would have elsewhere.

    Abbreviations get the form of their table, Roman numerals and dotted letters stay.

    Args:
        token: a part of the text between spaces, with its marks.
        before: the word before it, as it is read.
        following: the token after it, in capitals.
        base: the language.
    """
    core = token.strip(_MARKS)
    if _DOTTED.fullmatch(core + ".") or core in SPELLED or _is_word_too(core, before, following):
        return token
    number = core.split("'")[0]
    if numbered_roman(number, before) or (clear_roman(number) and core != "VI"):
        return token.replace("'S", "'s")
    if core in ("MR", "MRS", "MS", "DR", "MESSRS"):
        return token.replace(core, core.capitalize())
    rest = token[token.find(core) + len(core) :]
    if rest.startswith(".") or following[:1].isdigit():
        for key in _abbreviations(base).get(core.lower(), ()):
            return token.replace(core, key)
    if numbered_roman(following.strip(_MARKS).split("'")[0], core.capitalize()):
        return token.replace(core, core.capitalize())
    return _PARTS.sub(lambda match: match[0].lower(), token)


def _is_word_too(core: str, before: str, following: str) -> bool:
    """Whether an English word is an acronym by the words beside it: "THE US ARMY", "IT STAFF".

    No pronoun stands behind "the"; without that only the nouns of a list tell.
    """
    nouns = WORDS_TOO.get(core)
    if nouns is None:
        return False
    return before.lower() == "the" or following.strip(_MARKS).removesuffix("'S") in nouns


@lru_cache
def _abbreviations(base: str) -> dict[str, tuple[str, ...]]:
    """The abbreviations of a language by their small letters."""
    keys = (*ABBREVIATIONS.get(base, {}), *BEFORE_NUMBER.get(base, ()), *UNITS.get(base, ()))
    return {key.lower(): (key,) for key in sorted(keys)}


def steady_acronyms(voice: Speaker, said: Sequence[str]) -> list[str]:
    """The texts of a clause, with acronyms that espeak-ng would read as words in it spelled.

    Args:
        voice: speaks clauses.
        said: the text to speak for each word of a clause.
    """
    letters = [char for part in said for char in part if char.isalpha()]
    upper = sum(map(str.isupper, letters))
    lower = sum(map(str.islower, letters))
    if not upper or (lower > 3 and upper <= lower) or in_capitals(" ".join(said)):
        return list(said)
    return [_steady(voice, part) for part in said]


def _steady(voice: Speaker, part: str) -> str:
    match = _ACRONYM.fullmatch(part)
    return _spelled(voice, *match.group(1, 2)) if match and match[1].isupper() else part


@lru_cache(maxsize=10_000)
def _spelled(voice: Speaker, letters: str, ending: str | None) -> str:
    """A text that is read alone as a word in capitals is read among small letters."""
    word = letters + (ending or "")
    if not word.isascii():
        return word
    spelled = _bare(voice.speak(f"{_CARRIER} {word}")[len(voice.speak(_CARRIER)) :])
    if not spelled or spelled == _bare(voice.speak(word)):
        return word
    end = "'s" if ending else ""
    for form in (".".join(letters) + end, " ".join(f"{letter}." for letter in letters) + end):
        if _bare(voice.speak(form)) == spelled:
            return form
    return word


def _bare(spoken: Sequence[Sequence[str]]) -> list[str]:
    return [phone.strip("ˈˌ") for word in spoken for phone in word]
