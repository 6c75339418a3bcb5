"""Telephone numbers in groups, which are said group by group: "612 34 56 78", "01 23 45 67 89".

Groups of three digits look like thousands. They are a telephone number behind a plus sign or a
zero, beside other groups, or behind a word such as "teléfono" or "appelez".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ns2.pipeline.text.numbers.inflection import is_plural
from ns2.pipeline.text.numbers.number_words import cardinal_words
from ns2.pipeline.text.numbers.place import Place, digits_said, is_whole
from ns2.pipeline.text.tables import word_set

CALLING = word_set(
    "teléfono teléfonos tel tfno tlf móvil movil fax whatsapp llame llama llamar llamen llámenos "
    "llámame llamad marque marca marcar telf celular "
    "téléphone tél portable appelez appelle appeler appelle-moi appelez-moi appelez-nous composez "
    "contactez joignable numéro "
    "telefone telemóvel telemovel celular ligue ligar liga "
    "telefon telefonnummer handy ruf rufen rufnummer anrufen telefono chiami chiama cellulare"
)
"""Words in small letters behind which groups of digits are a telephone number."""
_NEAR = 3  # words between such a word and the number
_MARKS = ".,;:?!…"
_BY_PAIRS = re.compile(r"0\d(?:([.\-/ ]?)\d\d)(?:\1\d\d){3}")  # of France
_BY_DIGIT = ("de", "it", "pt", "nl")
_BRAZILIAN = re.compile(r"9?(\d{4})-(\d{4})")
_LAST_YEAR = 2100
_DASHED = re.compile(r"\+?\d{1,4}(?:-\d{2,4}){2,}|0\d{1,4}/\d{4,}")


def calls(before: Sequence[str]) -> bool:
    """Whether a number stands behind a word that announces a telephone number.

    Args:
        before: all words before it, with their marks.
    """
    return any(word.strip(_MARKS).lower() in CALLING for word in before[-_NEAR - 1 :])


def is_spanish_telephone(tokens: Sequence[str]) -> bool:
    """Whether three groups of three digits are a Spanish telephone number.

    It begins with 6 to 9, and counts nothing: such an exact number stands before a noun.
    """
    groups, after = tokens[:3], tokens[3] if len(tokens) > 3 else ""
    if not re.fullmatch(r"[6-9]\d\d \d{3} \d{3}[.,;:?!…]*", " ".join(groups)):
        return False
    if "000" in groups[2]:
        return False
    counts = is_plural(after.strip(_MARKS), "es") or after == "de" or after[:1] in tuple("€$£%°")
    return not (groups[2].isdigit() and counts)


def is_french_short(tokens: Sequence[str]) -> bool:
    """Whether two groups behind "le" are a French number of enquiries, such as "118 218"."""
    after = tokens[2] if len(tokens) > 2 else ""
    short = re.fullmatch(r"118 \d{3}[.,;:?!…]*", " ".join(tokens[:2]))
    return bool(short) and not is_plural(after.strip(_MARKS), "fr")


def telephone(place: Place) -> str:
    """A part of a telephone number, or all of it in one word."""
    text, base = place.text, place.locale.base
    if not place.locale.months:
        return ""
    if base == "fr" and _BY_PAIRS.fullmatch(text):
        return _said(re.findall(r"\d\d", text), base)
    if base in ("es", "fr") and _DASHED.fullmatch(text):
        return _said(re.findall(r"\d+", text), base)
    if base == "pt" and _is_brazilian(text):
        return digits_said(text)
    groups, at = _groups(place)
    known = len(groups) > 1 and (groups[0][0] in "+0" or len(groups) > 2)
    known = known or (base == "fr" and len(groups) == 2 and groups[0] == "118")
    if base in ("es", "fr") and known and _is_group(text):
        return _group(groups[at].lstrip("+"), base) + _pause(place, at, len(groups))
    if re.fullmatch(r"0\d+(?:[-/]\d+)*|\d{7,}(?<!000)|\d{16,}", text):
        return digits_said(text)
    begins = re.fullmatch(r"\+\d+|0\d{2,}", groups[0]) and at > 0
    announced = len(groups) > 1 and groups[0][0] != "+"
    begins = begins or (announced and calls(place.all_before[: place.index - at]))
    return digits_said(text) if base in _BY_DIGIT and begins and is_whole(text) else ""


def _groups(place: Place) -> tuple[list[str], int]:
    """The groups of digits around a word, and which of them it is."""
    first = last = place.index
    while first and is_whole(place.words[first - 1].surface):
        first -= 1
    if first and re.fullmatch(r"\+\d+", place.words[first - 1].surface):
        first -= 1
    while last + 1 < len(place.words) and is_whole(place.words[last + 1].surface):
        last += 1
    return [word.surface for word in place.words[first : last + 1]], place.index - first


def _is_group(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def _is_brazilian(text: str) -> bool:
    """Whether a word is a telephone number of Brazil, and no two years."""
    match = _BRAZILIAN.fullmatch(text)
    if match is None:
        return False
    return len(text) > 9 or int(match[1]) > min(int(match[2]), _LAST_YEAR)


def _pause(place: Place, at: int, count: int) -> str:
    """A mark behind a French group, to whose end nothing is linked: trente-trois, un."""
    return " ," if place.locale.base == "fr" and at + 1 < count else ""


def _said(groups: Sequence[str], base: str) -> str:
    between = " , " if base == "fr" else " "
    return between.join(_group(group, base) for group in groups)


def _group(digits: str, base: str) -> str:
    """A group of digits: zeros in front one by one, and the rest as a number."""
    rest = digits.lstrip("0")
    zeros = [cardinal_words(0, base)] * (len(digits) - len(rest))
    return " ".join([*zeros, *([cardinal_words(int(rest), base)] if rest else [])])
