"""Writes out the numbers of languages other than English as they are spoken, a rule a kind.

Digits that espeak-ng reads well are left to it, so a rule may say "14 Uhr 30". The first rule that
knows a word decides. What a rule needs of a language is in its `Locale`; for languages without one
there are the rules that need no more than num2words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from ns2.pipeline.text.numbers import amounts, calendar_words, degrees, ordinals, romans, signs
from ns2.pipeline.text.numbers.abbreviated import days, known_day, street
from ns2.pipeline.text.numbers.german_one import german_one
from ns2.pipeline.text.numbers.inflection import (
    french_counted,
    french_linked,
    is_queen,
    italian_counted,
    portuguese_counted,
    spanish_counted,
)
from ns2.pipeline.text.numbers.locales import CURRENCIES, locale_of
from ns2.pipeline.text.numbers.number_words import cardinal_words, minus_word
from ns2.pipeline.text.numbers.place import (
    Place,
    digits_said,
    number_said,
    pattern_of,
    plain_thousands,
    split_number,
)
from ns2.pipeline.text.numbers.telephone import telephone
from ns2.pipeline.text.tables import ABBREVIATIONS, BEFORE_NUMBER_SAID
from ns2.pipeline.text.written import Word, begun

Rule = Callable[[Place], str]
_NUMBER_SIGNS = {
    sign: {"fr": "numéro", "es": "número", "it": "numero", "pt": "número"}
    for sign in ("n°", "N°", "nº", "Nº", "n.º", "N.º")
}
_POINTS = {"es": "punto", "fr": "point", "it": "punto", "pt": "ponto"}
_LADIES = frozenset({"beatriz", "inês", "leonor", "isabel", "luz", "mercês", "filipa"})
_SIGN_STARTS = (*(f"#{digit}" for digit in range(1, 10)), "n°", "N°", "nº", "Nº", "n.", "N.", "Nr")
_ELIDED = re.compile(r"((?:[dljn]|qu)')(\d.*)", re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,15}")
_BEGINS = re.compile(r"[\d½¼¾⅓⅔⅛€$£¥₽₴IVX]")


def speak_numbers(words: Sequence[Word], language: str) -> list[str]:
    """The text to speak for each word of a clause, with numbers and abbreviations written out.

    Args:
        words: the words of the clause.
        language: the name of an espeak-ng voice, other than English.
    """
    locale = locale_of(language)
    return [
        _speak(Place(words=words, index=i, text=word.surface, locale=locale))
        for i, word in enumerate(words)
    ]


def in_brazil(said: str) -> str:
    """Portuguese number words as they are in Brazil: "dezesseis"."""
    return re.sub(r"deza(?=ssei|ssete|nov)", "deze", said)


def _speak(place: Place) -> str:
    text, base = place.text, place.locale.base
    said = _by_rule(place)
    if said:
        return _DIGITS.sub(lambda match: _in_words(match[0], base), said)
    if said := _in_full(place):
        return said
    if place.dotted:  # by the full stop espeak-ng knows an initial from a word
        known = _known(place)
        return known or (_initial(place) if len(text) == 1 else text)
    return text


def _known(place: Place) -> str | None:
    """An abbreviation in full; one before a number may begin a sentence ("Art. 5")."""
    text, base = place.text, place.locale.base
    titled = place.before in ("Mme", "Mlle", "Mmes", "Dr", "Pr", "Me")
    after_initial = place.index and place.words[place.index - 1].dotted and len(place.before) == 1
    if base == "fr" and text == "M" and (titled or (after_initial and place.before != "M")):
        return ""  # Mme M. Durand, J. M. Durand
    if base == "es" and text == "D" and len(place.after) < 2:
        return ""  # Washington D. C.
    numbered, forms = BEFORE_NUMBER_SAID.get(base, {}), (text, begun(text))
    known = ABBREVIATIONS.get(base, {})
    return next((table[form] for table in (numbered, known) for form in forms if form in table), "")


_IN_FULL = {
    "it": {"sig.ra": "signora", "Sig.ra": "signora", "sig.na": "signorina",
           "dott.ssa": "dottoressa",
           "Dott.ssa": "dottoressa", "prof.ssa": "professoressa", "Prof.ssa": "professoressa"},
    "es": {"C/": "calle", "c/": "calle", "P.º": "paseo", "Pº": "paseo", "Ntra": "nuestra"},
    "fr": {"no": "numéro", "No": "numéro", "Me": "maître", "Mmes": "mesdames",
           "Mlles": "mesdemoiselles", "Vve": "veuve", "Cie": "compagnie"},
}  # fmt: skip
"""Abbreviations without a full stop at their end; some of them before a number or a name alone."""


def _in_full(place: Place) -> str:
    """An abbreviation that the words beside it decide; "" for other words."""
    text, base, after = place.text, place.locale.base, place.after
    if known := _IN_FULL.get(base, {}).get(text):
        needed = {"no": after[:1].isdigit(), "me": after[1:2].islower() and after[:1].isupper()}
        return known if needed.get(text.lower(), True) else ""
    if base == "ru" and text == "г" and place.dotted:
        if after[:1].isupper() and not place.before[-1:].isdigit():
            return "город"
        year = re.fullmatch(r"\d{3,4}", place.before)
        return "" if not year else "году" if place.near(-2).lower() == "в" else "года"
    if base == "fr" and text == "s" and place.dotted:
        return "siècle"
    if base == "de" and text == "v" and place.dotted:
        return "von"
    if base == "fr" and text in ("av", "apr", "ap") and place.dotted and after == "J.-C":
        return "avant" if text == "av" else "après"
    if base != "de":
        return ""
    if said := days(text):
        return said
    return (place.dotted and (known_day(text, place.before, place.after) or street(text))) or ""


def _initial(place: Place) -> str:
    """A letter with a full stop; Portuguese titles ("D. João"), letters that are no numerals."""
    text, after = place.text, place.after
    if place.locale.base != "pt":
        return f"{text}."
    if text == "D" and len(after) > 1 and after[:1].isupper():
        return "dona" if is_queen(after) or after.lower() in _LADIES else "dom"
    return text.lower() if text in "CDLM" else f"{text}."  # "C." is said as a hundred


def _in_words(digits: str, base: str) -> str:
    """The digits of what a rule says in words, where espeak-ng reads those as well or better."""
    return cardinal_words(int(digits), base) if base in ("es", "fr") else digits


def _by_rule(place: Place) -> str:
    """What the first rule that knows the word makes of it, or ""."""
    text = place.text
    if text[:1] in ("-", "−", "+", "±") and _BEGINS.match(text[1:]) and len(text) > 1:
        return _signed(place)
    if place.locale.base == "fr" and (match := _ELIDED.fullmatch(text)):
        return match[1] + (_by_rule(replace(place, text=match[2])) or match[2])  # d'1 km
    if not _BEGINS.match(text) and not _concerns_number(place):
        return ""
    for rule in _RULES:
        if said := rule(place):
            return said
    return ""


def _concerns_number(place: Place) -> bool:
    """Whether a word without digits may belong to the number before it."""
    text, locale = place.text, place.locale
    if signs.is_sign(text, locale.base):
        return True
    known = text in locale.units or text in locale.coins or text in locale.scales
    known = known or (bool(locale.of) and place.before.endswith("000"))
    money = text[-1:] in CURRENCIES or "$" in text
    return known or money or text[:2] in _SIGN_STARTS


def _signed(place: Place) -> str:
    locale, sign, rest = place.locale, place.text[0], place.text[1:]
    minus = locale.minus or minus_word(locale.base)
    word = {"-": minus, "−": minus, "+": locale.plus, "±": f"{locale.plus} {minus}"}[sign]
    if not minus or rest[0] in "IVX":
        return ""
    return f"{word} {_by_rule(replace(place, text=rest)) or rest}"


def number_sign(place: Place) -> str:
    """The sign before a number: "n°", or both in one word."""
    signs = {"fr": "numéro", "es": "número", "de": "Nummer", "pt": "número", "nl": "nummer"}
    if match := re.fullmatch(r"(?:[nN][°º]|Nr\.|#)(\d+)", place.text):
        return f"{signs.get(place.locale.base, 'numero')} {match[1]}"
    if not place.after[:1].isdigit():
        return ""
    return _NUMBER_SIGNS.get(place.text, {}).get(place.locale.base, "")


def grouped(place: Place) -> str:
    """Numbers with marks between their groups or before their decimals: "1.000,50"."""
    locale, text = place.locale, place.text
    if locale.months and (plain := plain_thousands(text, locale)) != text:
        return plain
    if not re.fullmatch(pattern_of(locale), text):
        return ""
    whole, places = split_number(text, locale)
    if not places and locale.base == "fr" and whole[-3:-2] == "5":
        return whole  # cinq cents, without the k of cinq
    if not places:
        return whole if " " in text or (locale.months and whole != text) else ""
    return number_said(text, locale) if locale.point else text.replace(" ", "")


def other_decimal(place: Place) -> str:
    """A decimal number with the mark of another language: "3.5" in Spanish."""
    match = re.fullmatch(r"(\d+)\.(\d{1,2})", place.text)
    if not match or place.locale.base not in _POINTS or place.locale.decimal == ".":
        return ""
    point = _POINTS[place.locale.base]
    return f"{match[1]} {point} {match[2].lstrip('0') or '0'}" if match[2][0] != "0" else (
        f"{match[1]} {point} {digits_said(match[2])}"
    )  # fmt: skip


def agreeing(place: Place) -> str:
    """A number in the gender of the noun behind it: "21 años", "200 páginas", "21 minutes"."""
    text, base = place.text, place.locale.base
    if not re.fullmatch(pattern_of(place.locale), text):
        return ""
    digits, places = split_number(text, place.locale)
    if places or len(digits) > 9 or digits != str(int(digits)):
        return ""
    if base == "es":
        return spanish_counted(int(digits), place.after)
    if base == "pt":
        return portuguese_counted(int(digits), place.after)
    if base == "it":
        return italian_counted(int(digits), place.after)
    if base != "fr":
        return ""
    return french_counted(int(digits), place.after) or french_linked(int(digits), place.after)


_RULES: tuple[Rule, ...] = (
    number_sign,
    signs.sign,
    signs.times,
    ordinals.before_fraction,
    calendar_words.french_hour,
    calendar_words.short_date,
    ordinals.two_ordinals,
    ordinals.dotted_ordinal,
    degrees.degrees,
    ordinals.marked_ordinal,
    calendar_words.date,
    calendar_words.with_seconds,
    calendar_words.clock,
    calendar_words.clock_range,
    telephone,
    amounts.money,
    amounts.after_million,
    amounts.coin_alone,
    amounts.scale_alone,
    amounts.before_noun,
    german_one,
    amounts.unit,
    amounts.percent,
    amounts.number_range,
    calendar_words.decade,
    calendar_words.year,
    ordinals.fraction,
    romans.roman,
    agreeing,
    grouped,
    other_decimal,
)
