"""Rules for dates, years, decades and times of day."""

from __future__ import annotations

import re
from dataclasses import replace

from ns2.pipeline.text.numbers.inflection import (
    french_counted,
    german_ordinal,
    portuguese_form,
    spanish_form,
)
from ns2.pipeline.text.numbers.number_words import cardinal_words, year_words
from ns2.pipeline.text.numbers.place import Place, is_whole

_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})?")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_TIME = re.compile(r"(\d{1,2})(?:[:h]| h )(\d\d)?(?: Uhr| uur)?|(\d{1,2})\.(\d\d) (?:Uhr|uur)")
_POINTED_TIME = re.compile(r"()()(\d{1,2})\.([0-5]\d)")  # alle 14.30
_BEFORE_DAYS = ("le", "du", "au", "el", "del", "al", "il", "dal", "dia", "em", "op")
_BEFORE_TIMES = ("alle", "le", "ore", "dalle", "ora", "all'")
_YEAR = re.compile(r"1[1-9]\d\d")
_SECONDS = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d)( Uhr)?(?: h| Std)?")
_AT = ("um", "gegen", "ab", "seit", "bis", "vor", "nach")


def date(place: Place) -> str:
    """A date in digits: "3.5.2021" as "dritter Mai 2021", "2023-01-15" likewise."""
    if iso := _ISO.fullmatch(place.text):
        return _date(place, int(iso[3]), int(iso[2]), iso[1])
    if place.text == "1" and place.locale.base in ("fr", "it", "pt"):
        month = place.near(2) if place.after == "de" else place.after
        return place.locale.first if month.lower() in place.locale.months else ""
    day = re.fullmatch(r"(\d{1,2})/(0[1-9]|1[0-2])", place.text)
    if day and place.before.lower() in _BEFORE_DAYS and int(day[1]) > 12 - 12 * (day[2][0] == "0"):
        return _date(place, int(day[1]), int(day[2]), "")
    match = _DAY_FIRST.fullmatch(place.text)
    if not match or (match[4] is None and match[2] != "."):
        return ""
    return _date(place, int(match[1]), int(match[3]), match[4] or "")


def short_date(place: Place) -> str:
    """A German date without a year, whose full stop belongs to it: "am 3.5."."""
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", place.text)
    if not match or not place.dotted:
        return ""
    return _date(place, int(match[1]), int(match[2]), "")


def _date(place: Place, day: int, month: int, year: str) -> str:
    locale = place.locale
    if not locale.months or not 1 <= month <= 12 or not 1 <= day <= 31:
        return ""
    name = locale.months[month - 1]
    said = locale.first if day == 1 and locale.first else str(day)
    if locale.base == "de":
        said = german_ordinal(day, place.all_before, name)
    if not year:
        return locale.date.partition("{month}")[0].format(day=said) + name
    return locale.date.format(day=said, month=name, year=_year(year, locale.base))


def _year(digits: str, base: str) -> str:
    if base == "de" and _YEAR.fullmatch(digits):
        return year_words(int(digits), base)
    return digits


def year(place: Place) -> str:
    """A year, where it is not read like other numbers: "1945" in German."""
    if place.locale.base != "de":
        return ""
    if match := re.fullmatch(r"(1[1-9]\d\d|20\d\d)/(\d\d|1[1-9]\d\d|20\d\d)", place.text):
        return f"{_year(match[1], 'de')} {_year(match[2], 'de')}"
    if not _YEAR.fullmatch(place.text):
        return ""
    if place.after in place.locale.units or place.after in place.locale.coins:
        return ""
    return year_words(int(place.text), "de")


def decade(place: Place) -> str:
    """A German decade: "1990er", "80er-Jahre"."""
    match = re.fullmatch(r"(1[1-9]\d0|20\d0|[2-9]0)er(n)?(-\w+)?", place.text)
    if not match or place.locale.base != "de":
        return ""
    number = int(match[1])
    said = year_words(number, "de") if number < 2000 else cardinal_words(number, "de")
    return f"{said}er{match[2] or ''}{(match[3] or '').replace('-', ' ')}"


def clock(place: Place) -> str:
    """A time of day: "14:30 Uhr" as "14 Uhr 30", "15h30" as "15 heures 30"."""
    locale = place.locale
    match = _TIME.fullmatch(place.text)
    if not match and locale.base == "it" and place.before.lower() in _BEFORE_TIMES:
        match = _POINTED_TIME.fullmatch(place.text)
    if not match or not locale.months:
        return ""
    hour, minute = match[1] or match[3], match[2] or match[4] or "00"
    if int(hour) > 24 or int(minute) > 59:
        return ""
    if locale.base == "de" and "h" in place.text.removesuffix("Uhr"):
        return ""
    short = minute == "00"
    said, number = str(int(hour)), int(hour)
    hours = "heure" if number < 2 else "heures"
    if locale.base == "de" and number == 1:
        said = "ein"
    elif locale.base == "fr":
        said = "une" if number == 1 else french_counted(number, hours) or said
    elif locale.base == "es" and number % 10 == 1 and number != 11:
        said = spanish_form(number, feminine=True)
    elif locale.base == "pt":
        said = portuguese_form(number)
    if short and locale.base in ("es", "pt") and place.after not in ("h", "hs", "hrs", "horas"):
        return f"{said} {'hora' if number == 1 else 'horas'}"
    form = locale.full_clock if short else locale.clock
    return form.format(h=said, hours=hours, m=_minute(minute, locale.base))


def with_seconds(place: Place) -> str:
    """A German time or duration with seconds: "2:10:30 Uhr", "2:10:30 h"."""
    match = _SECONDS.fullmatch(place.text)
    if not match or place.locale.base != "de":
        return ""
    hours, minutes, seconds = (int(match[i]) for i in (1, 2, 3))
    if match[4] or (place.before.lower() in _AT and not place.text.endswith(("h", "Std"))):
        said = [f"{'ein' if hours == 1 else hours} Uhr{f' {minutes}' if minutes else ''}"]
    else:
        said = [_lasting(n, name) for n, name in ((hours, "Stunde"), (minutes, "Minute")) if n]
    if seconds or not said:
        said += ["und", _lasting(seconds, "Sekunde")] if said else [_lasting(seconds, "Sekunde")]
    return " ".join(said)


def _lasting(number: int, name: str) -> str:
    return f"eine {name}" if number == 1 else f"{number} {name}n"


def clock_range(place: Place) -> str:
    """Two times of day: "8:00-12:00 Uhr", "8h-12h30"."""
    ends = place.text.split("-")
    if len(ends) != 2 or not place.locale.to:
        return ""
    said = [clock(replace(place, text=end.strip())) for end in ends]
    return f"{said[0]} {place.locale.to} {said[1]}" if all(said) else ""


def _minute(minute: str, base: str) -> str:
    number = str(int(minute))
    if base == "es" and minute.startswith("0"):
        return f"0 {number}"
    return number


def french_hour(place: Place) -> str:
    """The "h" of "15 h 30", and the number before it."""
    if place.locale.base != "fr":
        return ""
    if place.text == "h" and is_whole(place.before):
        return "heure" if int(place.before) < 2 else "heures"
    if re.fullmatch(r"0\d", place.text) and place.before == "h":
        return place.text[1]
    if is_whole(place.text) and place.after == "h":
        number = int(place.text)
        return "une" if number == 1 else french_counted(number, "heure")
    return ""
