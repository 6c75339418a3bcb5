"""Words in the form in which they are counted, and the number of wrong ones.

A recogniser writes "1455", "Mr." and "to-day" where a text has "fourteen fifty five", "Mister" and
"today". None of that can be heard, so both sides are written out alike before words are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.text.clauses import base_language, clauses

_NO_WORD = re.compile(r"[^\w' ]+|_")

_UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_VALUES = {
    **{word: 1 + i for i, word in enumerate(_UNITS)},
    **{word: 10 + i for i, word in enumerate(_TEENS)},
    **{word: 20 + 10 * i for i, word in enumerate(_TENS)},
}
_ONE, _TEEN, _TEN = "|".join(_UNITS), "|".join(_TEENS), "|".join(_TENS)
_SMALL = rf"(?:(?:{_TEN})(?: (?:{_ONE}))?|{_TEEN}|{_ONE})\b"
_HUNDREDS = rf"{_SMALL} hundred\b(?: {_SMALL})?"
_GROUP = rf"(?:{_HUNDREDS}|{_SMALL})"
_SCALE = rf"(?:{'|'.join(_SCALES)})\b"
_NUMBER = re.compile(rf"\b(?:{_GROUP}(?: {_SCALE}(?: {_GROUP})?)+|{_HUNDREDS})")
_AND = re.compile(rf"\b(hundred|{_SCALE}) and (?=(?:{_SMALL}|\w+(?:th|st|nd|rd)\b))")
_A_HUNDRED = re.compile(rf"\ba (?=(?:hundred|{_SCALE})\b)")
_OH = re.compile(rf"\b({_TEEN}|{_TEN}) o (?={_ONE})")
_PERCENT = re.compile(r"(\d)\s?%")
_YEARS = (range(1100, 2000), range(2010, 2100))
"""The numbers that ns2 says as years where they are written in digits."""
_ALIKE = {
    "mr": "mister", "mrs": "missus", "missis": "missus", "ms": "miz", "dr": "doctor",
    "messrs": "messers", "ok": "okay", "etc": "et cetera", "per cent": "percent",
}  # fmt: skip
_ALIKE_PATTERN = re.compile(rf"\b(?:{'|'.join(_ALIKE)})\b")


@dataclass(frozen=True, kw_only=True)
class WordErrors:
    """The wrong words of an utterance, or of several together.

    Attributes:
        insertions: words that were heard and not said.
        deletions: words that were said and not heard.
        substitutions: words that were heard as other ones.
        words: the number of words that were said.
    """

    insertions: int
    deletions: int
    substitutions: int
    words: int

    @property
    def total(self) -> int:
        """The number of wrong words."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float:
        """The word error rate: wrong words by words that were said, which may be more than 1."""
        return self.total / max(self.words, 1)

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            insertions=self.insertions + other.insertions,
            deletions=self.deletions + other.deletions,
            substitutions=self.substitutions + other.substitutions,
            words=self.words + other.words,
        )


def plain_words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation marks."""
    return _NO_WORD.sub(" ", text.lower().replace("’", "'")).split()


def spoken_words(text: str, language: str) -> list[str]:
    """The words of a text in small letters as they are spoken and compared.

    Numbers are written out, English abbreviations too; apostrophes are left out, and in English
    accents. A text that ns2 can't read, such as one in a foreign script, is split into its words.

    Args:
        text: what was written or recognised.
        language: the name of an espeak-ng voice, such as "en-us".
    """
    if base_language(language) == "en":
        said = _english(text, language)
    else:
        said = _numbers_written_out(_as_spoken(text, language), base_language(language))
    words = (word.replace("'", "") for word in plain_words(said))
    return [word for word in words if word]


def word_errors(heard: Sequence[str], said: Sequence[str]) -> WordErrors:
    """Count the wrong words by the alignment with the fewest errors.

    Words that one side writes together and the other one apart are no errors.

    Args:
        heard: the words of a recogniser, as `spoken_words` gives them.
        said: the words of the text, likewise.

    Raises:
        UserError: jiwer is not installed.
    """
    jiwer = load_jiwer()
    if not said:
        return WordErrors(insertions=len(heard), deletions=0, substitutions=0, words=0)
    found = jiwer.process_words(" ".join(said), " ".join(_divided_alike(heard, said)))
    return WordErrors(
        insertions=found.insertions,
        deletions=found.deletions,
        substitutions=found.substitutions,
        words=len(said),
    )


def load_jiwer() -> Any:
    """The module jiwer (Apache-2.0), which counts wrong words.

    Raises:
        UserError: it is not installed.
    """
    try:
        import jiwer
    except ImportError:
        raise UserError(
            "words are counted by jiwer, which is not installed: pip install 'ns2[eval]'"
        ) from None
    return jiwer


def edit_distance(found: Sequence[str], wanted: Sequence[str]) -> int:
    """The number of insertions, deletions and replacements between two sequences of symbols.

    It is computed a row at a time (Levenshtein 1966): an element of a row is the distance between
    the first symbols of `found` and the symbols of `wanted` so far.
    """
    codes = {symbol: i for i, symbol in enumerate(dict.fromkeys((*found, *wanted)))}
    heard = np.array([codes[symbol] for symbol in found], np.int64)
    slope = np.arange(len(found) + 1)
    row = slope
    for symbol in wanted:
        below = row + 1  # a symbol of `wanted` is missing
        np.minimum(below[1:], row[:-1] + (heard != codes[symbol]), out=below[1:])
        row = np.minimum.accumulate(below - slope) + slope  # symbols of `found` are surplus
    return int(row[-1])


def _english(text: str, language: str) -> str:
    """An English text with numbers and abbreviations written out in one way."""
    # Without accents, apostrophes and marks.
    spoken = _as_spoken(_PERCENT.sub(r"\1 percent", text), language)
    letters = unicodedata.normalize("NFKD", spoken)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    said = " ".join(plain_words(plain)).replace("'", "")
    said = _ALIKE_PATTERN.sub(lambda match: _ALIKE[match[0]], said)

    # "A hundred and five" is "one hundred five", and "fourteen hundred fifty" is a year's name.
    said = _A_HUNDRED.sub("one ", _AND.sub(r"\1 ", said))
    return _OH.sub(r"\1 oh ", _NUMBER.sub(_said_as_digits, said))


def _as_spoken(text: str, language: str) -> str:
    """A text as the rules of its language speak it, or itself where they can't."""
    from ns2.pipeline.text.spoken import speak_words

    try:
        spoken = [
            word
            for clause in clauses(text, language)
            for word in speak_words(clause.words, language)
        ]
    except UtteranceError:
        return text
    return " ".join(spoken)


def _said_as_digits(match: re.Match[str]) -> str:
    """A number in words as ns2 says it where a text has it in digits."""
    from ns2.pipeline.text.english import cardinal, year

    total = group = 0
    for word in match[0].split():
        if word == "hundred":
            group *= 100
        elif word in _SCALES:
            total, group = total + group * _SCALES[word], 0
        else:
            group += _VALUES[word]
    value = total + group
    return year(str(value)) if any(value in years for years in _YEARS) else cardinal(value)


def _numbers_written_out(text: str, base: str) -> str:
    """A text in another language with its whole numbers in words, where num2words knows it."""
    from num2words import num2words

    def said(match: re.Match[str]) -> str:
        number = int(match[0])
        try:
            kind = "year" if number in _YEARS[0] else "cardinal"
            return f" {num2words(number, lang=base, to=kind)} "
        except (NotImplementedError, OverflowError, KeyError):
            return match[0]

    return re.sub(r"\d{1,15}", said, text)


def _divided_alike(heard: Sequence[str], said: Sequence[str]) -> list[str]:
    """What was heard, with words joined or parted where the text has the same letters so."""
    whole = set(said)
    pairs = {first + second: (first, second) for first, second in pairwise(said)}
    apart = set(pairs.values())
    words: list[str] = []
    i = 0
    while i < len(heard):
        pair = tuple(heard[i : i + 2])
        if len(pair) == 2 and pair not in apart and "".join(pair) in whole:
            words.append("".join(pair))
            i += 2
            continue
        words += [heard[i]] if heard[i] in whole else pairs.get(heard[i], [heard[i]])
        i += 1
    return words
