"""How a language writes and speaks numbers: the members of a `Locale`, and its nouns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Noun:
    """A unit or a coin.

    Attributes:
        one: its name after 1, and `many` after other numbers.
        few: its name after 2 to 4 in Slavic languages, and `part` after decimals; else "".
        article: 1 before it: "ein", "une".
    """

    one: str
    many: str
    article: str
    few: str = ""
    part: str = ""

    @property
    def feminine(self) -> bool:
        """Whether it is feminine."""
        return self.article in ("eine", "une", "una", "uma", "un'")


@dataclass(frozen=True, kw_only=True, eq=False)  # known by identity: `locale_of` is cached
class Locale:
    """How a language writes and speaks numbers.

    Attributes:
        base: the language.
        decimal: the decimal mark, and its word `point`.
        grouping: marks between groups of three digits.
        to: the word in a range, and `ratio` that in a score.
        clock: a time of day with {h} and {m}, and `full_clock` on the hour.
        date: a date with {day}, {month} and {year}.
        first: the first day of a month, "" if it is like the others.
        units: by their sign.
        coins: (coin, its hundredth part) by sign.
        between_coins: the word before the hundredth parts.
        of: the word between a million and what is counted, "" without one.
        parts: names of parts (one, several) by denominator: (ein) Viertel, (drei) Viertel.
        hearing: (digits at once after the point) "by digit" or "as number".
    """

    base: str
    decimal: str = ","
    grouping: str = "."
    point: str = ""
    minus: str = ""
    plus: str = "plus"
    percent: str = ""
    to: str = ""
    ratio: str = ""
    clock: str = "{h} {m}"
    full_clock: str = "{h}"
    date: str = ""
    first: str = ""
    months: tuple[str, ...] = ()
    units: Mapping[str, Noun] = field(default_factory=dict)
    coins: Mapping[str, tuple[Noun, Noun]] = field(default_factory=dict)
    between_coins: str = ""
    of: str = ""
    scales: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    parts: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    halves: Mapping[str, str] = field(default_factory=dict)
    mixed: str = ""
    by_digit: bool = False


def nouns_of(lines: str) -> dict[str, Noun]:
    """Lines of "sign article one|many"."""
    found = {}
    for line in lines.strip().splitlines():
        sign, article, names = line.split(None, 2)
        one, _, many = names.partition("|")
        found[sign] = Noun(one=one, many=many or one, article=article)
    return found


def coins_of(lines: str) -> dict[str, tuple[Noun, Noun]]:
    """Lines of "signs article one|many; article one|many"."""
    found = {}
    for line in lines.strip().splitlines():
        signs, rest = line.split(None, 1)
        pair = [nouns_of(f"_ {part.strip()}")["_"] for part in rest.split(";")]
        found.update(dict.fromkeys(signs.split("/"), (pair[0], pair[1])))
    return found
