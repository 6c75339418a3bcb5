"""Rules for ordinal numbers, Roman numerals and fractions."""

from __future__ import annotations

import re

from ns2.pipeline.text.numbers.degrees import determined
from ns2.pipeline.text.numbers.dots import ROMAN_RANKED
from ns2.pipeline.text.numbers.inflection import german_ordinal, german_reign, spanish_ordinal
from ns2.pipeline.text.numbers.number_words import cardinal_words, ordinal_words
from ns2.pipeline.text.numbers.place import Place, is_whole
from ns2.pipeline.text.numbers.roman import NUMBERING, REIGNING, roman_value
from ns2.pipeline.text.tables import GERMAN_RANKED, word_set

_FRENCH = re.compile(r"(\d+|[IVXLC]+)(er|re|ère|ers|res|es?|èmes?|nde?s?|de?s?)")
_SPANISH = re.compile(r"(\d+)\.?(º|°|ª|o|a|er|ro|ra|do|da|to|ta|mo|ma|vo|va|no|na)s?")
_ROMANCE = re.compile(r"(\d+)\.?([ºª°])")
_ARTICLES = word_set("der die das dem den des im am vom zum zur beim ein eine")
_OVER = {"fr": "sur", "es": "sobre", "it": "su", "pt": "sobre"}
_DUTCH = re.compile(r"(\d+|[IVX]+)(?:e|ste|de)")


def marked_ordinal(place: Place) -> str:
    """An ordinal number with its ending: "XIXe", "1er", "3.ª"."""
    base = place.locale.base
    if base == "fr":
        return _french_ordinal(place.text)
    if base == "es" and (match := _SPANISH.fullmatch(place.text)):
        number, mark = int(match[1]), match[2]
        if mark in ("ª", "a", "ra", "da", "ta", "ma", "va", "na"):
            return spanish_ordinal(number, "", feminine=True)
        if mark == "er":
            return spanish_ordinal(number, "piso")
        ranked = place.after if place.after[:1].islower() or determined(place) else ""
        return spanish_ordinal(number, ranked, feminine=False)
    if base in ("it", "pt", "ca", "gl") and (match := _ROMANCE.fullmatch(place.text)):
        said = ordinal_words(int(match[1]), base)
        return re.sub(r"[oe]\b", "a", said) if match[2] == "ª" else said
    if base == "nl" and (match := _DUTCH.fullmatch(place.text)):
        number = int(match[1]) if is_whole(match[1]) else roman_value(match[1])
        return ordinal_words(number, base) if number else ""
    return ""


def _french_ordinal(text: str) -> str:
    match = _FRENCH.fullmatch(text)
    if not match:
        return ""
    digits, ending = match[1], match[2].rstrip("s")
    number = int(digits) if is_whole(digits) else roman_value(digits)
    if not number or (ending in ("d", "de", "nd", "nde") and number != 2):
        return ""
    if number == 1:
        return "première" if ending in ("re", "ère") else "premier"
    if ending in ("d", "nd"):
        return "second"
    if ending in ("de", "nde"):
        return "seconde"
    return "" if ending in ("er", "re", "ère") else ordinal_words(number, "fr")


def dotted_ordinal(place: Place) -> str:
    """An ordinal number whose full stop belongs to it: "17." in "der 17. Versuch"."""
    text, base = place.text, place.locale.base
    number = int(text) if is_whole(text) else roman_value(text)
    if not number or not place.dotted or (len(text) == 1 and text.isalpha() and base != "de"):
        return ""
    if base == "de":
        before = place.before
        name = before[:1].isupper() and before not in NUMBERING and place.index > 0
        if before.lower() in _ARTICLES or place.after.strip(".,") in GERMAN_RANKED:
            name = False
        if len(text) == 1 and text.isalpha() and _is_initial(place):
            return ""
        if not is_whole(text) and name:
            return german_reign(number, place.all_before)
        return german_ordinal(number, place.all_before, _ranked(place))
    return ordinal_words(number, base) or f"{text}."


def _ranked(place: Place) -> str:
    """The noun behind a German ordinal number, or behind the last of several: "2. und 3. Akt"."""
    at = 1
    while place.near(at) in ("und", "bis", "oder") and place.near(at + 2):
        at += 2
    return place.near(at)


def two_ordinals(place: Place) -> str:
    """Two German days in one word: "1.-3." in "vom 1.-3. Mai"."""
    match = re.fullmatch(r"(\d{1,2})\.([-/])(\d{1,2})", place.text)
    if not match or not place.dotted:
        return ""
    first, last = (
        german_ordinal(int(day), place.all_before, place.after) for day in match.group(1, 3)
    )
    return f"{first} bis {last}" if match[2] == "-" else f"{first} {last}"


def _is_initial(place: Place) -> bool:
    """Whether a German I., V. or X. is the initial of a name: "V. Müller", "Otto V. Müller"."""
    before, after = place.before, _ranked(place)
    if before.lower() in _ARTICLES or after in GERMAN_RANKED or after in ROMAN_RANKED:
        return False
    return before not in REIGNING or after[:1].isupper()


def fraction(place: Place) -> str:
    """A fraction: "3/4" as "3 Viertel", "1/2" after a whole number as "et demi"."""
    locale, text = place.locale, place.text
    if not locale.parts:
        return ""
    whole = place.before if is_whole(place.before) else ""
    if match := re.fullmatch(rf"(\d*)([{''.join(locale.halves)}])", text):
        return _mixed(place, match[1] or whole, locale.halves[match[2]], bool(match[1]))
    match = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
    if match and locale.base in _OVER and int(match[2]) not in locale.parts and int(match[2]) > 4:
        return f"{match[1]} {_OVER[locale.base]} {match[2]}"  # 18/20
    if not match or int(match[2]) not in locale.parts or not 0 < int(match[1]) < int(match[2]):
        return ""
    over, under = int(match[1]), int(match[2])
    one, many = locale.parts[under]
    said = {"de": "ein", "pt": "um", "nl": "een"}.get(locale.base, "un")
    if over == 1 and under == 2 and locale.base in ("es", "it", "pt") and not whole:
        return _half(place, one)
    over_said = said if over == 1 else cardinal_words(over, locale.base)
    return _mixed(place, whole, f"{over_said} {one if over == 1 else many}", False)


def _half(place: Place, half: str) -> str:
    """A half before what it is a part of: "medio litro", "media hora"."""
    after = place.after
    noun = place.locale.units.get(after)
    feminine = noun.feminine if noun else after.endswith("a") and after.islower()
    return re.sub("o$", "a", half) if feminine else half


def _mixed(place: Place, whole: str, part: str, glued: bool) -> str:
    """A part after a whole number, which is of the same word if glued."""
    locale = place.locale
    if not whole:
        return part
    if locale.base == "de":
        number = "ein" if whole == "1" else cardinal_words(int(whole), "de")
        joined = part.replace(" ", "").lower()
        return f"{number}{joined}" if glued else joined
    short = re.sub(r"^une? (?=demi|medio|mezzo)|^um (?=meio)", "", part)
    return f"{whole if glued else ''} {locale.mixed} {short}".strip()


def before_fraction(place: Place) -> str:
    """The 1 of "1 1/2", as a word: it is bound to the next."""
    if place.text != "1" or not re.fullmatch(r"\d/\d|[½¼¾⅓⅔⅛]", place.after):
        return ""
    return {"de": "ein", "fr": "un", "es": "uno", "it": "uno", "pt": "um", "nl": "een"}.get(
        place.locale.base, ""
    )
