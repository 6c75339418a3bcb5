"""Writes out English numbers, money, times, units and abbreviations as they are spoken.

espeak-ng reads most of them itself. This module covers those that it reads wrongly ("dollar two
point five zero", "ten dash twenty", "one hundred th") or without borders between the words. The
first pattern of a table that matches a word decides; a word that no pattern matches is left to
espeak-ng, such as "1.2.3", "x86-64" or "R&D".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ns2.pipeline.text.clauses import Word
from ns2.pipeline.text.tables import ABBREVIATIONS, word_set

_N = r"\d{1,3}(?:,\d{3})+|\d{1,15}"  # 1,000 or 1000
_D = rf"(?:{_N})(?:\.\d+)?"  # with decimals

_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
_C = "[$£€¥₹]"
_SCALES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million",
    "b": "billion", "B": "billion", "bn": "billion", "tn": "trillion",
}  # fmt: skip
_S = "(?:[kKmMbB]|mn|bn|tn)"
_SCALE_WORDS = frozenset({"hundred", "thousand", "million", "billion", "trillion"})
_UNITS = {
    "kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"),
    "km": ("kilometer", "kilometers"), "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"), "ml": ("milliliter", "milliliters"),
    "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"), "yd": ("yard", "yards"), "yds": ("yard", "yards"),
    "mi": ("mile", "miles"), "mph": ("mile per hour", "miles per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "hr": ("hour", "hours"), "hrs": ("hour", "hours"), "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"), "sec": ("second", "seconds"), "secs": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz",) * 2,
    "MHz": ("megahertz",) * 2, "GHz": ("gigahertz",) * 2, "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"), "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
}  # fmt: skip
_U = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_PARTS = {2: ("half", "halves"), 3: ("third", "thirds"), 4: ("quarter", "quarters"),
          5: ("fifth", "fifths"), 8: ("eighth", "eighths"), 10: ("tenth", "tenths")}  # fmt: skip
_VULGAR = {"½": "a half", "¼": "a quarter", "¾": "three quarters", "⅓": "a third",
           "⅔": "two thirds", "⅛": "an eighth"}  # fmt: skip
_TENS = ("", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies",
         "eighties", "nineties")  # fmt: skip
_NUMBERED = {"No": "number", "no": "number", "Nos": "numbers", "nos": "numbers", "p": "page",
             "pp": "pages", "vol": "volume", "Vol": "volume", "ch": "chapter", "Ch": "chapter",
             "fig": "figure", "Fig": "figure", "Jan": "January", "Feb": "February",
             "Mar": "March", "Apr": "April", "Aug": "August", "Sep": "September",
             "Sept": "September", "Oct": "October", "Nov": "November",
             "Dec": "December"}  # fmt: skip
_PLAIN = {"Mr": "mister", "Ms": "miz", "Dr": "doctor", "vs": "versus", "w/": "with",
          "w/o": "without", "and/or": "and or", "24/7": "twenty four seven",
          "№": "number"}  # fmt: skip
_ROMAN = {"I": 1, "V": 5, "X": 10}
_REIGNING = word_set(
    "Albert Alexander Alfonso Benedict Catherine Charles Christian Clement Edward Elizabeth "
    "Ferdinand Francis Frederick George Gregory Gustav Haakon Henry Innocent Ivan James John Leo "
    "Leopold Louis Mary Napoleon Nicholas Paul Peter Philip Pius Ptolemy Ramses Richard Urban "
    "Victor Wilhelm William"
)
_AMOUNT = re.compile(rf"{_C}?{_D}(?:-{_C}?{_D})?")
_MERIDIEM = re.compile(r"([AaPp])\.?[Mm]")


@dataclass(frozen=True)
class _Context:
    """What stands around a word: the words before and after, "" at the ends of a clause."""

    before: str
    after: str
    british: bool  # "one hundred and one" instead of "one hundred one"


def speak_english(words: Sequence[Word], language: str) -> list[str]:
    """The text to speak for each word of an English clause, in words that espeak-ng reads well."""
    british = language.startswith("en-gb")
    spoken = []
    for i, word in enumerate(words):
        context = _Context(
            words[i - 1].surface if i else "",
            words[i + 1].surface if i + 1 < len(words) else "",
            british,
        )
        spoken.append(_speak(word, context))
    return spoken


def _speak(word: Word, context: _Context) -> str:
    text = word.surface
    if word.dotted or text in _PLAIN:
        said = _abbreviation(word, context)
        if said:
            return said
    if _AMOUNT.fullmatch(context.before):
        if text in _UNITS and context.before[0] not in _MONEY:
            return _UNITS[text][context.before != "1"]
        if text in _SCALE_WORDS and context.before[0] in _MONEY:
            return f"{text} {_MONEY[context.before[0]][1]}"
    if (said := _meridiem(text)) and ("." in text or re.match(r"\d", context.before)):
        return said
    for pattern, rule in _RULES:
        match = pattern.fullmatch(text)
        if match and (said := rule(match, context)):
            return said
    if word.dotted and len(text) == 1:
        return "eigh" if text == "A" else f"{text}."  # "A." may become the article
    return text


def _abbreviation(word: Word, context: _Context) -> str:
    text = word.surface
    if text == "St":
        return "saint" if context.after[:1].isupper() else "street"
    if text == "Dr" and not context.after[:1].isupper() and context.before[:1].isupper():
        return "drive"
    if text in _NUMBERED and word.dotted:
        return _NUMBERED[text]
    if text in _PLAIN:
        return _PLAIN[text]
    return ABBREVIATIONS["en"].get(text) or ""


def _meridiem(text: str) -> str:
    # With the dot espeak-ng spells it; "am" would be the verb, "a m" begin with the article.
    match = _MERIDIEM.fullmatch(text)
    return f"{match[1].lower()}.m" if match else ""


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


def _money(match: re.Match[str], context: _Context) -> str:
    sign = match["sign"]
    one, many, cent, cents = _MONEY[sign]
    whole, places, scale = match["whole"], match["places"], match["scale"]
    amount = f"{whole}.{places}" if places else whole
    if scale:
        return f"{decimal(amount, context.british)} {_SCALES[scale]} {many}"
    if context.after in _SCALE_WORDS:
        return decimal(amount, context.british)  # the scale word is spoken with the currency
    if places and len(places) != 2:
        return f"{decimal(amount, context.british)} {many}"
    units = f"{cardinal(whole, context.british)} {one if whole == '1' else many}"
    small = int(places or 0)
    if not small:
        return units
    coins = f"{cardinal(small)} {cent if small == 1 else cents}"
    if whole.strip("0,") == "":
        return coins
    return f"{units} and {coins}" if small < 10 else f"{units} {cardinal(small)}"


def _money_range(match: re.Match[str], context: _Context) -> str:
    low, high = decimal(match["low"], context.british), decimal(match["high"], context.british)
    if context.after in _SCALE_WORDS:
        return f"{low} to {high}"
    scale = f" {_SCALES[match['scale']]}" if match["scale"] else ""
    return f"{low} to {high}{scale} {_MONEY[match['sign']][1]}"


def _clock(match: re.Match[str], context: _Context) -> str:
    half = match["half"]
    is_time = half or ":" in match[0] or _MERIDIEM.fullmatch(context.after)
    hour, minute = int(match["hour"]), int(match["minute"])
    if not is_time or hour > 24:
        return ""
    if minute:
        said = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half or _MERIDIEM.fullmatch(context.after):
        said = cardinal(hour)
    else:
        said = f"{cardinal(hour)} o'clock" if 0 < hour <= 12 else f"{cardinal(hour)} hundred"
    return f"{said} {_meridiem(half)}" if half else said


def _range(match: re.Match[str], context: _Context) -> str:
    low, high, unit = match["low"], match["high"], match["unit"]
    if any(re.match(r"0\d", end) for end in (low, high)):
        return ""  # a date or a part number
    said = f"{decimal(low, context.british)} to {decimal(high, context.british)}"
    if unit == "%":
        return f"{said} percent"
    return f"{said} {_UNITS[unit][1]}" if unit else said


def _year_range(match: re.Match[str], context: _Context) -> str:
    last = match[2]
    return f"{year(match[1])} to {year(last) if len(last) == 4 else cardinal(last)}"


def _decade(match: re.Match[str], context: _Context) -> str:
    century, tens = match[1], int(match[2])
    if not century:
        return _TENS[tens] if tens > 1 else ""
    if tens:
        return f"{cardinal(century)} {_TENS[tens]}"
    return "two thousands" if century == "20" else f"{cardinal(century)} hundreds"


def _fraction(match: re.Match[str], context: _Context) -> str:
    over, under = int(match[1]), int(match[2])
    if under in _PARTS and 0 < over < under:
        return f"{cardinal(over)} {_PARTS[under][over > 1]}"
    return f"{cardinal(over)} {cardinal(under)}"  # 9/11


def _roman(match: re.Match[str], context: _Context) -> str:
    # espeak-ng says "roman eight".
    number = 0
    for digit, following in pairwise([*map(_ROMAN.__getitem__, match[0]), 0]):
        number += -digit if digit < following else digit
    if context.before in _REIGNING:
        return f"the {ordinal(str(number))}"
    return ordinal(str(number)) if context.after.startswith("centur") else cardinal(number)


def _unit(match: re.Match[str], context: _Context) -> str:
    number, unit = match[1], _UNITS[match[2]]
    return f"{decimal(number, context.british)} {unit[number != '1']}"


_Rule = Callable[[re.Match[str], _Context], str]
_RULES: tuple[tuple[re.Pattern[str], _Rule], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (
            rf"(?P<sign>{_C})(?P<low>{_D}){_S}?-{_C}?(?P<high>{_D})(?P<scale>{_S})?",
            _money_range,
        ),
        (
            rf"(?:US|A|C|NZ|HK)?(?P<sign>{_C})(?P<whole>{_N})(?:\.(?P<places>\d+))?"
            rf"(?P<scale>{_S})?",
            _money,
        ),
        (rf"(?P<whole>{_N})(?:\.(?P<places>\d+))?(?P<scale>)(?P<sign>{_C})", _money),
        (r"(?P<hour>\d{1,2})[:.](?P<minute>[0-5]\d)(?P<half>[AaPp]\.?[Mm])?", _clock),
        (
            r"(1[0-2]|0?[1-9])([AaPp]\.?[Mm])",
            lambda m, c: f"{cardinal(m[1])} {_meridiem(m[2])}",
        ),
        (
            r"\+?(?:\d{1,3}[-.])?\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d{4}",  # telephone
            lambda m, c: digits(m[0]),
        ),
        (r"(1\d{3}|20\d\d)-(\d\d|1\d{3}|20\d\d)", _year_range),
        (rf"(?P<low>{_D})-(?P<high>{_D})(?P<unit>%|{_U})?", _range),
        (r"'?(1[1-9]|20|)(\d)0'?s", _decade),
        (rf"({_N})(?:st|nd|rd|th)", lambda m, c: ordinal(m[1], c.british)),
        (r"1[1-9]\d\d|20[1-9]\d", lambda m, c: year(m[0])),
        (
            r"(\d{1,2}):(\d{1,2})",  # a score, a ratio
            lambda m, c: f"{cardinal(m[1])} to {cardinal(m[2])}",
        ),
        (r"(\d{1,2})/(\d{1,2})", _fraction),
        (
            rf"({_N})([{''.join(_VULGAR)}])",
            lambda m, c: f"{cardinal(m[1], c.british)} and {_VULGAR[m[2]]}",
        ),
        (rf"({_D})({_U})", _unit),
        (r"(?=..)X{0,3}(?:IX|IV|V?I{0,3})", _roman),
        (r"([A-Za-z-]+):([A-Za-z-]+)", lambda m, c: f"{m[1]} {m[2]}"),  # twelve:thirty
        (  # espeak-ng says "dot" where a part has two letters: LL.D., Ph.D.
            r"(?=.*[A-Za-z]{2})((?:[A-Za-z]{1,2}\.)+[A-Za-z]{1,2})('s)?",
            lambda m, c: ".".join(filter(str.isalpha, m[1])).upper() + (m[2] or ""),
        ),
        (
            r"([A-Za-z]+)\.'s",  # Co.'s
            lambda m, c: f"{ABBREVIATIONS['en'].get(m[1]) or m[1]}'s",
        ),
        (r"[#№](\d+)", lambda m, c: f"number {cardinal(m[1], c.british)}"),
        (r"\.(\d+)", lambda m, c: f"point {digits(m[1])}"),
        (r"0\d+|\d{7,}(?<!000)|\d{16,}", lambda m, c: digits(m[0])),
        (_D, lambda m, c: decimal(m[0], c.british)),
    )
)
