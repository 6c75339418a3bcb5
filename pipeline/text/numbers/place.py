"""A word of a clause with its neighbours, and the numbers in it as rules read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ns2.pipeline.text.numbers.locales import Locale
from ns2.pipeline.text.written import Placed


@dataclass(frozen=True, kw_only=True)
class Place(Placed):
    """A word of a clause where it stands.

    Attributes:
        text: the word, or the part of it that is to be spoken.
        locale: the language.
    """

    text: str
    locale: Locale

    @property
    def all_before(self) -> list[str]:
        """All words before, with the full stops that belong to them."""
        return [word.written for word in self.words[: self.index]]


@cache
def number_pattern(decimal: str, grouping: str) -> str:
    """A regular expression for a whole or decimal number, with no groups of its own."""
    mark = rf"[{re.escape(grouping)} ]"
    return rf"(?:\d{{1,3}}(?:{mark}\d{{3}})+(?!\d)|\d+)(?:{re.escape(decimal)}\d+)?"


def pattern_of(locale: Locale) -> str:
    """The pattern of the numbers of a language."""
    return number_pattern(locale.decimal, locale.grouping)


@cache
def _compiled(decimal: str, grouping: str) -> re.Pattern[str]:
    return re.compile(number_pattern(decimal, grouping))


def is_number(text: str, locale: Locale) -> bool:
    """Whether a word is a number in the language, with or without a minus sign."""
    return bool(_compiled(locale.decimal, locale.grouping).fullmatch(text.lstrip("-−+±")))


def is_whole(text: str) -> bool:
    """Whether a word is digits alone; superscripts are none."""
    return text.isascii() and text.isdigit()


def split_number(text: str, locale: Locale) -> tuple[str, str]:
    """The digits of a number before and after its decimal mark, "" without one."""
    whole, _, places = text.partition(locale.decimal)
    return re.sub(r"\D", "", whole), places


def digits_said(text: str) -> str:
    """A number digit by digit, as espeak-ng reads digits: "0 7 0"."""
    return " ".join(char for char in text if char.isdigit())


def number_said(text: str, locale: Locale) -> str:
    """A number in digits that espeak-ng reads well, the decimal mark as a word: "3 Komma 1 4"."""
    whole, places = split_number(text, locale)
    if not places:
        return whole
    if not locale.point:
        return f"{whole}{locale.decimal}{places}"
    if locale.by_digit or len(places) > 3:
        said = digits_said(places)
    else:
        rest = places.lstrip("0")
        said = " ".join([*"0" * (len(places) - len(rest)), *([rest] if rest else [])])
    return f"{whole} {locale.point} {said}"


def plain_thousands(text: str, locale: Locale) -> str:
    """Several groups of thousands with the marks of another language as digits: "1,000,000"."""
    mark = re.escape(locale.decimal)
    grouped = re.fullmatch(rf"\d{{1,3}}(?:{mark}\d{{3}}){{2,}}", text)
    return text.replace(locale.decimal, "") if grouped else text
