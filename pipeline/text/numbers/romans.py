"""Rules for Roman numerals: rulers, centuries, chapters."""

from __future__ import annotations

import re

from ns2.pipeline.text.numbers.inflection import german_reign, is_queen, spanish_ordinal
from ns2.pipeline.text.numbers.number_words import cardinal_words, ordinal_words
from ns2.pipeline.text.numbers.place import Place
from ns2.pipeline.text.numbers.roman import (
    NUMBERING,
    REIGNING,
    clear_roman,
    numbered_roman,
    roman_value,
)
from ns2.pipeline.text.tables import word_set

_COUNTED = word_set("aniversario edición congreso centenario premio torneo legislatura dinastía")
_READS_ROMAN = ("it", "pt", "ro", "cs")  # espeak-ng itself does, in Italian as ordinal numbers
_JOINING = word_set("y e o a al et ou à und bis")
_CENTURIES = word_set("secolo secoli século séculos sec séc")
_CHAPTERS = ("I", "V", "X", "XX", "XXX")  # alone in a German clause
_PARTS = word_set("parte scena cena classe")


def roman(place: Place) -> str:
    """A Roman numeral without a full stop: "Louis XIV", "siglo XIX", "Kapitel IV"."""
    base, before, after = place.locale.base, _announcing(place), place.after
    text = place.text
    if base == "es" and before in ("s", "ss"):
        before = "siglo"
    if place.dotted:
        return ""  # an initial
    number = numbered_roman(text, before)
    if place.locale.months or text != "VI":  # a word of several languages
        number = number or clear_roman(text)
    counting = len(after) > 3 and (after[:1].isupper() or after in _COUNTED)
    if base == "es" and not number and not _is_name(before) and counting and text not in "LCDM":
        number = roman_value(text)  # I Congreso
    if base in ("de", "fr") and text == "IV":
        number = 4
    if base == "de" and len(place.words) == 1 and text in _CHAPTERS:
        number = roman_value(text)
    if base in ("it", "pt") and (said := _announced(place, before)):
        return said
    sizes = ("XL", "XXL") if base in _READS_ROMAN else ("XL", "XX", "XXL", "XXX")
    if base in _READS_ROMAN or not number:
        # Sizes of clothes are spelled; espeak-ng would read them as numbers.
        return ".".join(text) if place.locale.months and text in sizes else ""
    if base == "de" and before in REIGNING:
        return german_reign(number, place.all_before)
    if base == "fr" and number == 1 and before in REIGNING:
        return "première" if is_queen(before) else "premier"
    if base == "es":
        return _spanish_roman(place, number)
    if base == "nl" and before[:1].isupper() and before not in NUMBERING and place.index:
        return f"de {ordinal_words(number, base)}"  # Willem de tweede
    return cardinal_words(number, base)


def _announced(place: Place, before: str) -> str:
    """An Italian or Portuguese numeral behind a ruler or a noun that is numbered, or before one.

    espeak-ng reads the others, but one letter alone by its name, and takes none for rulers.
    """
    base, text = place.locale.base, place.text
    number = numbered_roman(text, before)
    if not number and place.after in _CENTURIES and text in ("I", "V", "X"):
        number = roman_value(text)
    if not number:
        return ""
    ruler, century = before in REIGNING, before.lower() in _CENTURIES or place.after in _CENTURIES
    if base == "pt" and (number > 10 or not (ruler or century)):
        return str(number) if ruler or len(text) == 1 else ""  # João vinte e três
    if base == "it" and not ruler and len(text) > 1:
        return ""
    ranked = ordinal_words(number, base)
    feminine = ruler and is_queen(before) and before not in ("Nicola",)
    return re.sub(r"o\b", "a", ranked) if feminine or before.lower() in _PARTS else ranked


def _announcing(place: Place) -> str:
    """The word before a Roman numeral, or before the first one of a pair: "siglos XIX y XX"."""
    pair = place.before in _JOINING and roman_value(place.near(-2))
    return place.near(-3) if pair and place.near(-3) in NUMBERING else place.before


def _is_name(word: str) -> bool:
    """Whether a Spanish word before a Roman numeral may be a name."""
    return word[:1].isupper() and word.lower() not in ("la", "el", "los", "las", "un", "una", "y")


def _spanish_roman(place: Place, number: int) -> str:
    before, after = _announcing(place), place.after
    if before in NUMBERING or before in ("s", "ss"):
        ranked = before.lower() in ("siglo", "siglos", "s", "ss") and number <= 10
        return spanish_ordinal(number, "") if ranked else str(number)
    if _is_name(before):
        return spanish_ordinal(number, "", feminine=is_queen(before)) if number <= 10 else (
            str(number)
        )  # fmt: skip
    if after[:1].isalpha() and number <= 100:
        return spanish_ordinal(number, after)
    return str(number)
