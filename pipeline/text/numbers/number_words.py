"""Numbers in words, by num2words, in each language that it knows."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

_LIMIT = 10**15
_FIXES = {"es": (("quadragésim", "cuadragésim"), ("décimoprimer", "undécim"),
                 ("décimosegund", "duodécim"))}  # fmt: skip


@cache
def _converter(base: str) -> Any:
    """num2words' converter of a language, or None."""
    from num2words import CONVERTER_CLASSES

    return CONVERTER_CLASSES.get("no" if base in ("nb", "nn") else base)


@cache
def minus_word(base: str) -> str:
    """The word for a minus sign; "" where num2words does not know the language."""
    word = _say(-5, base, "cardinal").removesuffix(_say(5, base, "cardinal")).strip()
    return word if any(map(str.isalpha, word)) else ""


@lru_cache(maxsize=4096)
def cardinal_words(number: int, base: str) -> str:
    """A whole number in words; its digits where num2words does not know the language."""
    said = _say(number, base, "cardinal") or str(number)
    if base == "es":  # veintiún mil, treinta y un mil
        said = re.sub(r"\buno (?=mil)", "un ", said.replace("veintiuno mil", "veintiún mil"))
    return said


@lru_cache(maxsize=4096)
def year_words(number: int, base: str) -> str:
    """A year in words; its digits where num2words does not know the language."""
    return _say(number, base, "year") or str(number)


@lru_cache(maxsize=4096)
def ordinal_words(number: int, base: str) -> str:
    """An ordinal number in words, in its basic form; "" where num2words has none."""
    said = _say(number, base, "ordinal")
    if not said or said == _say(number, base, "cardinal"):
        return ""
    for wrong, right in _FIXES.get(base, ()):
        said = said.replace(wrong, right)
    return said


def coin_words(number: str, code: str, base: str) -> tuple[str, str]:
    """The names of a currency and of its hundredth part after a number; "" where unknown.

    Args:
        number: the digits of a whole number.
        code: the currency, such as "EUR".
        base: the language.
    """
    converter = _converter(base)
    forms = getattr(converter, "CURRENCY_FORMS", {}).get(code)
    if not forms:
        return "", ""
    try:
        main, part = (converter.pluralize(int(number), form) for form in forms)
    except (NotImplementedError, IndexError, TypeError, ValueError):
        return "", ""
    return main, part


def _say(number: int, base: str, kind: str) -> str:
    converter = _converter(base)
    if converter is None or number >= _LIMIT:
        return ""
    try:
        said = getattr(converter, f"to_{kind}")(number)
    except (NotImplementedError, OverflowError, KeyError, IndexError, TypeError, ValueError):
        return ""
    return said if isinstance(said, str) and not any(map(str.isdigit, said)) else ""
