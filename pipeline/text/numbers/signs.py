"""Signs between and behind numbers that espeak-ng reads in English, or not at all."""

from __future__ import annotations

import re

from ns2.pipeline.text.numbers.place import Place, is_number, number_said, pattern_of

_TIMES = {
    "de": ("mal", "mal", "mal"), "fr": ("fois", "fois", "fois"), "es": ("por", "vez", "veces"),
    "it": ("per", "volta", "volte"), "pt": ("vezes", "vez", "vezes"), "nl": ("keer",) * 3,
}  # fmt: skip
"""Between two factors, and behind 1 and other numbers."""
_SIGNS = {
    "es": {"÷": "dividido por", "&": "y", "§": "sección"},
    "it": {"÷": "diviso", "&": "e", "§": "paragrafo"},
    "pt": {"&": "e", "§": "parágrafo", "=": "igual a"},
    "fr": {"÷": "divisé par", "&": "et", "§": "paragraphe", "=": "égale"},
    "de": {"&": "und"},
    "nl": {"&": "en", "§": "paragraaf", "=": "is"},
}
_PERMILLE = {
    "de": "Promille", "fr": "pour mille", "es": "por mil", "it": "per mille", "pt": "por mil",
    "nl": "promille",
}  # fmt: skip


def is_sign(text: str, base: str) -> bool:
    """Whether a word is a sign that `sign` may know."""
    return text in ("x", "×", "‰", "±") or text in _SIGNS.get(base, ())


def sign(place: Place) -> str:
    """The word of a sign: "×" and "x" between numbers, "÷", "‰", "&"."""
    text, base = place.text, place.locale.base
    if text in ("x", "×"):
        factors = place.before[-1:].isdigit() and place.after[:1].isdigit()
        return _TIMES[base][0] if factors and base in _TIMES else ""
    if text == "±" and place.locale.minus:
        return f"{place.locale.plus} {place.locale.minus}"
    if text == "‰":
        return _PERMILLE.get(base, "") if place.before[-1:].isdigit() else ""
    return _SIGNS.get(base, {}).get(text, "")


def times(place: Place) -> str:
    """A number of times in one word, "5x"; factors in one word, "3x4"; "0,5‰"."""
    locale, number = place.locale, pattern_of(place.locale)
    if locale.base not in _TIMES:
        return ""
    between, one, many = _TIMES[locale.base]
    if match := re.fullmatch(rf"({number})[x×]({number})", place.text):
        return f"{number_said(match[1], locale)} {between} {number_said(match[2], locale)}"
    if match := re.fullmatch(rf"({number})‰", place.text):
        return f"{number_said(match[1], locale)} {_PERMILLE[locale.base]}"
    match = re.fullmatch(rf"({number})[x×]", place.text)
    if not match or not is_number(match[1], locale):
        return ""
    if match[1] == "1":
        return {"de": "ein mal", "es": "una vez", "it": "una volta", "pt": "uma vez"}.get(
            locale.base, f"1 {one}"
        )
    return f"{number_said(match[1], locale)} {many}"
