"""Writes out English numbers, money, times, units and abbreviations as they are spoken.

espeak-ng reads most of them itself. This module covers those that it reads wrongly ("dollar two
point five zero", "ten dash twenty", "one hundred th") or without borders between the words. The
first pattern of a table that matches a word decides; a word that no pattern matches is left to
espeak-ng, such as "x86-64" or "R&D".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ns2.pipeline.text import english_dates as dates
from ns2.pipeline.text import english_numbers as numbers
from ns2.pipeline.text import english_roman as romans
from ns2.pipeline.text.english_dates import MERIDIEM, YEAR, meridiem
from ns2.pipeline.text.english_tables import (
    GREEK,
    MONEY,
    MONTH_NAMES,
    NAMED,
    NUMBERED,
    PLAIN,
    UNITS,
    VULGAR,
    C,
    D,
    N,
    S,
    U,
)
from ns2.pipeline.text.english_words import Context, cardinal, decimal, digits, ordinal, year
from ns2.pipeline.text.tables import ABBREVIATIONS, LETTERED
from ns2.pipeline.text.written import Word, begun

__all__ = ["cardinal", "decimal", "digits", "ordinal", "speak_english", "year"]

_SIGNED = re.compile(rf"([-−+±])((?:{C})?[-−]?\.?[\d½¼¾⅓⅔⅛].*)|({C})[-−](\d.*)")
_PER = re.compile(rf"((?:{C})?\d[\d.,]*(?:%|{U})?)/([a-z]+)")
_MAY_BE_ROMAN = re.compile(r"[IVXLCDM]+(?![a-rt-z])")
_SPACE = re.compile(rf"(?<={C}) (?=\d)")
_SUMS = ("+", "=", "−", "÷", "×", "/")
_SIGNS = {"-": "minus", "−": "minus", "+": "plus", "±": "plus or minus"}


def speak_english(words: Sequence[Word], language: str) -> list[str]:
    """The text to speak for each word of an English clause, in words that espeak-ng reads well."""
    british, american = language.startswith("en-gb"), language.startswith("en-us")
    return [
        _speak(word, Context(words=words, index=i, british=british, american=american))
        for i, word in enumerate(words)
    ]


def _speak(word: Word, context: Context) -> str:
    text = _SPACE.sub("", word.surface)  # $ 5
    if word.dotted or text in PLAIN:
        said = _abbreviation(word, context)
        if said:
            return said
    if said := numbers.after_amount(text, context) or dates.week_day(text, context):
        return said
    if (said := meridiem(text)) and ("." in text or re.match(r"\d", context.before)):
        return said
    if said := _by_pattern(text, context):
        return said
    if text == "A" and (word.dotted or _is_letter(context)):
        return "eigh"  # "A." may become the article
    return f"{text}." if word.dotted and len(text) == 1 else text


def _is_letter(context: Context) -> bool:
    """Whether an A is the name of the letter, and not the article: "Plan A", "from A to B"."""
    before = context.before.lower()
    if before in LETTERED or before in ("an", "letter") or not context.after:
        return True
    return bool(before) and context.after in ("to", "and", "or") and context.near(2)[:1].isupper()


def _by_pattern(text: str, context: Context) -> str:
    """What the first rule whose pattern matches makes of a text, or ""."""
    if text[:1] in GREEK and (len(text) == 1 or text[1] == "-"):
        return GREEK[text[0]] + text[1:]  # α-rays
    if text.isalpha() and text not in MONTH_NAMES and not _MAY_BE_ROMAN.match(text):
        return romans.small_roman(text, context) if text.islower() else ""
    for pattern, rule in _RULES:
        match = pattern.fullmatch(text)
        if match and (said := rule(match, context)):
            return said
    if match := _SIGNED.fullmatch(text):  # -$5, $-5
        sign, rest = (match[1], match[2]) if match[1] else ("-", f"{match[3]}{match[4]}")
        said = _by_pattern(rest, context)
        return f"{_SIGNS[sign]} {said}" if said else ""
    if match := _PER.fullmatch(text):
        said, unit = _by_pattern(match[1], context), match[2]
        return f"{said} per {UNITS[unit][0] if unit in UNITS else unit}" if said else ""
    return ""


def _abbreviation(word: Word, context: Context) -> str:
    text = word.surface
    if text == "St":
        return "saint" if context.after[:1].isupper() else "street"
    if text == "Dr" and not context.after[:1].isupper() and context.before[:1].isupper():
        return "drive"
    if text in NUMBERED and word.dotted:
        return NUMBERED[text]
    if text in PLAIN:
        return PLAIN[text]
    known = ABBREVIATIONS["en"]
    return known.get(text) or (known.get(begun(text)) or "" if not context.index else "")


_Rule = Callable[[re.Match[str], Context], str]
_FRACTIONS = "".join(VULGAR)
_HOUR = r"(?P<h{0}>\d{{1,2}})(?::(?P<m{0}>[0-5]\d))?"
_RULES: tuple[tuple[re.Pattern[str], _Rule], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (rf"(?P<sign>{C})(?P<low>{D}){S}?-{C}?(?P<high>{D})(?P<scale>{S})?", numbers.money_range),
        (
            rf"(?:US|A|C|NZ|HK)?(?P<sign>{C})(?P<whole>{N})(?:\.(?P<places>\d+))?"
            rf"(?P<scale>{S})?",
            numbers.money,
        ),
        (rf"(?P<sign>{C})\.(?P<places>\d+)", numbers.small_money),
        (rf"(?P<whole>{N})(?:\.(?P<places>\d+))?(?P<scale>)(?P<sign>{C})", numbers.money),
        (r"(\d{1,2})¢", lambda m, c: f"{cardinal(m[1])} {MONEY['$'][2 if m[1] == '1' else 3]}"),
        (r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})", dates.date),
        (r"(\d{4})[-/](\d\d)[-/](\d\d)", dates.iso_date),
        (r"(\d{1,2}):([0-5]\d)(?:([.:])(\d{1,3}))", dates.with_seconds),
        (  # 9 a.m.-5 p.m.
            rf"({MERIDIEM.pattern})\.?-{_HOUR.format(1)}",
            lambda m, c: f"{meridiem(m[1])} to {dates.time_of(m['h1'], m['m1'])}",
        ),
        (
            rf"({'|'.join(NAMED)})\.?-({'|'.join(NAMED)})",  # Mon.-Fri.
            lambda m, c: f"{NAMED[m[1]]} to {NAMED[m[2]]}",
        ),
        (r"\d{5}(?:-\d{4})?", numbers.postal_code),
        (r"(?P<hour>\d{1,2})[:.](?P<minute>[0-5]\d)(?P<half>[AaPp]\.?[Mm])?", dates.clock),
        (
            rf"{_HOUR.format(1)}(?P<first>{MERIDIEM.pattern})?-{_HOUR.format(2)}"
            rf"(?P<half>{MERIDIEM.pattern})?",
            dates.clock_range,
        ),
        (
            r"(1[0-2]|0?[1-9])([AaPp]\.?[Mm])",
            lambda m, c: f"{cardinal(m[1])} {meridiem(m[2])}",
        ),
        (
            r"\+?(?:\d{1,3}[-.])?\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d{4}",  # telephone
            lambda m, c: digits(m[0]),
        ),
        (r"\+?\d{1,7}(?:-\d{2,7})*", numbers.telephone),
        (r"\d(?:-\d){2,}", lambda m, c: digits(m[0])),
        (r"(\d{1,2})([sd])", numbers.old_coins),
        (r"§(\d.*)", lambda m, c: f"section {_by_pattern(m[1], c)}"),
        (r"(\d{2,3})/(\d{2,3})", numbers.over),
        (r"(\d{1,2})p", lambda m, c: f"{cardinal(m[1])} pence" if c.british else ""),
        (
            r"(\d{1,3}):(\d{1,3})-(\d{1,3})",  # verses
            numbers.verses,
        ),
        (r"(\d{1,2})-(\d{1,2})", dates.days),
        (r"(1\d{3}|20\d\d)-(\d\d|1\d{3}|20\d\d)", dates.year_range),
        (r"(1[1-9]\d\d|20\d\d)/(\d\d)", lambda m, c: f"{year(m[1])} {cardinal(m[2])}"),
        (rf"(?P<low>{D}%?)-(?P<high>{D})(?P<unit>%|{U})?", numbers.number_range),
        (r"'?(1[1-9]|20|)(\d)0'?s", dates.decade),
        (r"'?(1[1-9]|20|)(\d)0'?s-'?(1[1-9]|20|)(\d)0'?s", dates.decades),
        (
            r"([A-Za-z]+)-('?(?:1[1-9]|20|)\d0'?s)",  # mid-1960s
            lambda m, c: f"{m[1]} {_by_pattern(m[2], c)}",
        ),
        (rf"([A-Za-z]{{3,}})-({YEAR})", numbers.prefixed),
        (rf"({YEAR}|\d+(?:st|nd|rd|th))-([A-Za-z-]+)", numbers.suffixed),
        (r"(\d{1,2})(?:st|nd|rd|th)?", dates.day),
        (rf"({N})(?:st|nd|rd|th)", lambda m, c: ordinal(m[1], c.british)),
        (r"1[1-9]\d\d|20[1-9]\d", lambda m, c: year(m[0])),
        (r"10\d\d", dates.early_year),
        (
            r"(\d{1,3}):(\d{1,3})",  # a score, a ratio, a verse
            lambda m, c: f"{cardinal(m[1])} {numbers.to_word(c)}{cardinal(m[2])}",
        ),
        (
            r"(?:(?P<whole>\d+)-)?(?P<over>\d{1,2})/(?P<under>\d{1,4})(?P<ending>(?:rd|th|nd)s?)?",
            numbers.fraction,
        ),
        (rf"({N})?([{_FRACTIONS}])", numbers.vulgar),
        (r"(\d)'(\d{1,2})″?", numbers.feet),
        (rf"({D})-?({U})", numbers.with_unit),
        (
            r"(\d+\.\d+)s",  # 100s is no time
            lambda m, c: f"{decimal(m[1], c.british)} seconds",
        ),
        (r"([Vv]?)(\d+(?:\.\d+){2,})", numbers.dotted),
        (r"([Vv])(\d+\.\d+)", numbers.dotted),
        (rf"((?!0[x×]){D}(?:[x×]{D})+)({U})?", numbers.size),
        (r"([A-Z]{1,3})(\d{1,4})([A-Z]{0,2})", numbers.code),
        (r"(\d{1,3})[Aa]", numbers.lettered),
        (
            rf"({D})x",  # and not 2x + 3
            lambda m, c: "" if c.after in _SUMS else f"{decimal(m[1], c.british)} times",
        ),
        (rf"({N})'?s", numbers.plural),
        (  # 1/2-inch
            r"(\d{1,2}/\d{1,2})-([A-Za-z]+)",
            lambda m, c: f"{_by_pattern(m[1], c)} {m[2]}",
        ),
        (rf"({D})(M|bn|B|tn)", numbers.scaled),
        (rf"({D})%", lambda m, c: f"{decimal(m[1], c.british)} percent"),
        (
            rf"({C})({D})-(thousand|million|billion|trillion)",
            lambda m, c: f"{decimal(m[2], c.british)} {m[3]} {MONEY[m[1]][0]}",
        ),
        (r"([IVXLCDM]+)('s)?", romans.roman),
        (r"([IVX]{2,})(?:st|nd|rd|th)", romans.roman_ordinal),
        (rf"({'|'.join(MONTH_NAMES)})", dates.month),
        (r"([A-Za-z-]+):([A-Za-z-]+)", lambda m, c: f"{m[1]} {m[2]}"),  # twelve:thirty
        (  # espeak-ng says "dot" where a part has two letters: LL.D., Ph.D.
            r"(?=.*[A-Za-z]{2})((?:[A-Za-z]{1,2}\.)+[A-Za-z]{1,2})('s)?",
            lambda m, c: ".".join(filter(str.isalpha, m[1])).upper() + (m[2] or ""),
        ),
        (
            r"([A-Za-z]+)\.'s",  # Co.'s
            lambda m, c: f"{ABBREVIATIONS['en'].get(m[1]) or m[1]}'s",
        ),
        (r"(?:[#№]|No\.)(\d+)", lambda m, c: f"number {cardinal(m[1], c.british)}"),
        (r"\.(\d+)", lambda m, c: f"point {digits(m[1])}"),
        (r"0\d+|\d{7,}(?<!000)|\d{16,}", lambda m, c: digits(m[0])),
        (D, lambda m, c: decimal(m[0], c.british)),
    )
)
