"""German abbreviations that the words beside them decide: days of the week, months, streets."""

from __future__ import annotations

import re

from ns2.pipeline.text.numbers.dots import ends_sentence
from ns2.pipeline.text.tables import word_set

_DAYS = {
    "Mo": "Montag", "Di": "Dienstag", "Mi": "Mittwoch", "Do": "Donnerstag", "Fr": "Freitag",
    "Sa": "Samstag", "So": "Sonntag",
}  # fmt: skip
_MONTHS = word_set("Jan Feb Mrz Apr Jun Jul Aug Sep Sept Okt Nov Dez")
_BEFORE_DAYS = word_set(
    "am vom zum jeden jedem nächsten letzten kommenden diesen diesem vergangenen"
)
_BEFORE_MONTHS = word_set("im vom am zum seit ab bis anfang mitte ende nächsten letzten diesen")
_JOINING = ("und", "oder", "bis")
_STREET = re.compile(r"(?!Illu|Indu|Regi|Mini)([A-ZÄÖÜ][\w-]+)(s|S)tr")
_RANGE = re.compile(r"(\w\w)\.?-(\w\w)")
_MARKS = ".,;:?!…"


def week_day(core: str, before: str, following: str) -> str:
    """The name of a day of the week behind "am", beside another day or a date: "am Do."; else "".

    "Do" is a word, too, as "So" and "Fr" (Frau) are.

    Args:
        core: the word without its full stop.
        before: the word before it, without marks, or "".
        following: the word after it, or "".
    """
    if core not in _DAYS:
        return ""
    after = following.strip(_MARKS)
    if before.lower() in _BEFORE_DAYS or after in _DAYS or before in _DAYS:
        return _DAYS[core]
    if core == "Fr" and after[:1].isupper() and not ends_sentence(following):
        return ""  # Fr. Müller
    joined = before == "bis" or (core != "So" and (after in _JOINING or before in _JOINING))
    dated = core != "So" and re.fullmatch(r"\d{1,2}(?:[.:-]\d{1,2})*", after)
    return _DAYS[core] if joined or dated else ""


def known_day(core: str, before: str, following: str) -> str:
    """The name of a day of the week whose full stop is known to be that of an abbreviation."""
    if core == "Fr" and following[:1].isupper():
        return week_day(core, before, following)
    return _DAYS.get(core, "")


def days(core: str) -> str:
    """Two days of the week in one word, "Mo.-Fr", in full; "" for other words."""
    match = _RANGE.fullmatch(core)
    if not match or not _DAYS.keys() >= {match[1], match[2]}:
        return ""
    return f"{_DAYS[match[1]]} bis {_DAYS[match[2]]}"


def is_month(core: str, before: str, numbered: bool) -> bool:
    """Whether a word is a month behind "im" or a day: "im Okt.", "am 3. Okt."."""
    return core in _MONTHS and (before.lower() in _BEFORE_MONTHS or numbered)


def street(core: str) -> str:
    """The name of a street in full: "Hauptstraße" of "Hauptstr"; "" for other words."""
    match = _STREET.fullmatch(core)
    return f"{match[1]}{match[2]}traße" if match else ""
