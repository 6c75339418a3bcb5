"""English numbers in words, and where a word stands, as the rules of English use them."""

from __future__ import annotations

from dataclasses import dataclass

from ns2.pipeline.text.written import Placed


@dataclass(frozen=True, kw_only=True)
class Context(Placed):
    """A word of a clause where it stands.

    Attributes:
        british: "one hundred and one" instead of "one hundred one".
        american: dates have the month first.
    """

    british: bool
    american: bool


def cardinal(number: str | int, british: bool = False) -> str:
    """A whole number in words: "1,234" is "one thousand two hundred thirty four"."""
    from num2words import num2words

    words = num2words(int(str(number).replace(",", "")), lang="en")
    return _flat(words, british)


def _flat(words: str, british: bool) -> str:
    words = words.replace(",", "").replace("-", " ")
    return words if british else words.replace(" and ", " ")


def decimal(number: str, british: bool = False) -> str:
    """A number with or without decimals: "3.14" is "three point one four"."""
    whole, _, places = number.partition(".")
    said = cardinal(whole, british) if whole else ""
    return f"{said} point {digits(places)}".strip() if places else said


def digits(text: str) -> str:
    """A number digit by digit: "007" is "zero zero seven"."""
    return " ".join(cardinal(digit) for digit in text if digit.isdigit())


def ordinal(number: str, british: bool = False) -> str:
    """An ordinal number in words: "101" is "one hundred first"."""
    from num2words import num2words

    return _flat(num2words(int(number.replace(",", "")), lang="en", to="ordinal"), british)


def year(number: str) -> str:
    """A year in words: "1984" is "nineteen eighty four", "1905" "nineteen oh five"."""
    from num2words import num2words

    return _flat(num2words(int(number), lang="en", to="year"), british=False)
