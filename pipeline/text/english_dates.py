"""English dates, years, decades and times of day in words."""

from __future__ import annotations

import re

from ns2.pipeline.text.english_tables import (
    BEFORE_DATES,
    BEFORE_DAYS,
    BEFORE_YEARS,
    COUNTED,
    DAYS,
    MONTH_NAMES,
    MONTHS,
    NAMES_TOO,
    NO_PLURALS,
    TENS,
)
from ns2.pipeline.text.english_words import Context, cardinal, decimal, digits, ordinal, year

YEAR = r"1[1-9]\d\d|20[1-9]\d"
_PLURAL = re.compile(r"[a-z]{3,}s")
MERIDIEM = re.compile(r"([AaPp])\.?[Mm]")


def meridiem(text: str) -> str:
    """The half of a day as espeak-ng spells it, or "".

    With the dot it is spelled; "am" would be the verb, "a m" begin with the article.
    """
    match = MERIDIEM.fullmatch(text)
    return f"{match[1].lower()}.m" if match else ""


def spoken_year(digits: str) -> str:
    """A year of two or four digits: "21" is "twenty one", "2005" "two thousand five"."""
    if re.fullmatch(YEAR, digits):
        return year(digits)
    if len(digits) == 2 and digits.startswith("0"):
        return f"oh {cardinal(digits)}"
    return decimal(digits)


def day_of(day: str, month: str, context: Context, *, of: bool = False) -> str:
    """A day of a month: "March fourth", or "the fourth of March" where that is usual."""
    if of or not context.american:
        return f"the {ordinal(day)} of {month}"
    return f"{month} {ordinal(day)}"


def date(match: re.Match[str], context: Context) -> str:
    """A date in digits: "3/4/2021", the month first in America."""
    first, mark, second, last = match[1], match[2], match[3], match[4]
    if len(last) == 2 and mark != "/":
        return ""  # a version
    month, day = (first, second) if context.american else (second, first)
    if int(month) > 12:
        month, day = day, month
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
        return ""
    return f"{day_of(day, MONTHS[int(month) - 1], context)} {spoken_year(last)}"


def iso_date(match: re.Match[str], context: Context) -> str:
    """A date from the year to the day: "2023-01-15"."""
    month, day = int(match[2]), int(match[3])
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return ""
    return f"{day_of(str(day), MONTHS[month - 1], context)} {spoken_year(match[1])}"


def day(match: re.Match[str], context: Context) -> str:
    """The day before or after the name of a month: "24" in "Feb 24", "3" in "3 March"."""
    number = match[1]
    if not 1 <= int(number) <= 31 or number.startswith("0"):
        return ""
    if _is_month(context.before):
        if _counts(context, -1):
            return ""
        return ordinal(number) if context.american else f"the {ordinal(number)}"
    if _is_month(context.after):
        the = "" if context.before.lower() == "the" else "the "
        return f"{the}{ordinal(number)} of"
    return ""


def days(match: re.Match[str], context: Context) -> str:
    """Days of one month: "3-5" beside "March"."""
    low, high = match[1], match[2]
    if not 1 <= int(low) < int(high) <= 31:
        return ""
    if _is_month(context.before):
        return f"{ordinal(low)} to {ordinal(high)}"
    return f"the {ordinal(low)} to the {ordinal(high)} of" if _is_month(context.after) else ""


def month(match: re.Match[str], context: Context) -> str:
    """A short name of a month without its full stop, beside a day or a year."""
    beside = context.after[:1].isdigit() or re.fullmatch(r"\d{1,2}(?:st|nd|rd|th)?", context.before)
    return MONTH_NAMES[match[0]] if beside and not _counts(context, 0) else ""


def _counts(context: Context, month: int) -> bool:
    """Whether the number behind a month's name counts what follows: "I asked Jan 5 times".

    Args:
        month: the place of the name, as for `Context.near`.
    """
    at = context.index + month
    noun, before = context.near(month + 2), context.near(month - 1).lower()
    if context.near(month) not in NAMES_TOO or context.words[at].dotted or before in BEFORE_DATES:
        return False
    return noun in COUNTED or (bool(_PLURAL.fullmatch(noun)) and noun not in NO_PLURALS)


def _is_month(word: str) -> bool:
    return word in MONTH_NAMES


def early_year(match: re.Match[str], context: Context) -> str:
    """A year from 1000 to 1099 behind "in", "AD" and the like; elsewhere it may be an amount."""
    counted = context.after in COUNTED or (
        _PLURAL.fullmatch(context.after) and context.after not in NO_PLURALS
    )
    dated = context.before.lower() in BEFORE_YEARS and not counted
    return year(match[0]) if dated and context.after != "and" else ""


def week_day(text: str, context: Context) -> str:
    """A day of the week in short: "Tues.", "Mon 5 May"; else ""."""
    if text not in DAYS:
        return ""
    dated = context.after[:1].isdigit() or context.after in MONTH_NAMES
    return DAYS[text] if context.dotted or dated else ""


def is_week_day(text: str, before: str, following: str) -> bool:
    """Whether a full stop belongs to a day of the week in short; "Sat." and "Sun." are words."""
    if text not in ("Sat", "Sun"):
        return text in DAYS or text.rpartition("-")[2] in DAYS
    return before.lower() in BEFORE_DAYS or following[:1].isdigit() or following in MONTH_NAMES


def time_of(hour: str, minute: str | None) -> str:
    """An hour with its minutes: "nine thirty", "nine oh five", "nine"."""
    if not minute or not int(minute):
        return cardinal(hour)
    return f"{cardinal(hour)} {'oh ' if int(minute) < 10 else ''}{cardinal(minute)}"


def with_seconds(match: re.Match[str], context: Context) -> str:
    """A time or duration with seconds: "3:11.2" and "2:10:30"."""
    if match[3] == ".":
        return f"{_pair(match[1])} {_pair(match[2])} point {digits(match[4])}"
    return " ".join(_pair(match[i]) for i in (1, 2, 4)) if len(match[4]) == 2 else ""


def _pair(number: str) -> str:
    return f"oh {cardinal(number)}" if re.fullmatch("0[1-9]", number) else cardinal(number)


def clock(match: re.Match[str], context: Context) -> str:
    """A time of day: "10:05", "3.14" before "p.m."."""
    half = match["half"]
    later = MERIDIEM.fullmatch(context.after)
    hour, minute = int(match["hour"]), int(match["minute"])
    if not (half or ":" in match[0] or later) or hour > 24:
        return ""
    if minute:
        said = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half or later:
        said = cardinal(hour)
    else:
        said = f"{cardinal(hour)} o'clock" if 0 < hour <= 12 else f"{cardinal(hour)} hundred"
    return f"{said} {meridiem(half)}" if half else said


def clock_range(match: re.Match[str], context: Context) -> str:
    """Two times of day: "9:30-11am", "3-5pm"."""
    if not (match["half"] or match["first"] or (match["m1"] and match["m2"])):
        return ""
    ends = []
    for hour, minute, half in (("h1", "m1", "first"), ("h2", "m2", "half")):
        if int(match[hour]) > 24:
            return ""
        said = time_of(match[hour], match[minute])
        ends.append(f"{said} {meridiem(match[half])}" if match[half] else said)
    return " to ".join(ends)


def year_range(match: re.Match[str], context: Context) -> str:
    """Two years: "1914-18"."""
    last = match[2]
    return f"{year(match[1])} to {year(last) if len(last) == 4 else cardinal(last)}"


def decade(match: re.Match[str], context: Context) -> str:
    """A decade: "1990s", "'80s"."""
    return _decade(match[1] or "", int(match[2]))


def decades(match: re.Match[str], context: Context) -> str:
    """Two decades: "1960s-70s"."""
    first = _decade(match[1] or "", int(match[2]))
    last = _decade(match[3] or "", int(match[4]))
    return f"{first} to {last}" if first and last else ""


def _decade(century: str, tens: int) -> str:
    if not century:
        return TENS[tens] if tens > 1 else ""
    if tens:
        return f"{cardinal(century)} {TENS[tens]}"
    return "two thousands" if century == "20" else f"{cardinal(century)} hundreds"
