"""Number words that espeak-ng reads wrongly in words and well in digits.

In German it says "fünfund-wierzig", "hundert-wier" and "vierzehn" with a long vowel, in French
"quatre-vingt-neuf" with a t. So these words are given to it in digits, whether a rule or the text
wrote them. In Italian and Portuguese it is the other way round: of digits it says "ku-aranta".
"""

from __future__ import annotations

import re
from functools import cache

from ns2.pipeline.text.numbers.number_words import cardinal_words

_ONES = "ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun"
_TENS = "zwanzig|dreißig|vierzig|fünfzig|sechzig|siebzig|achtzig|neunzig"
_ORDINAL = re.compile(rf"(.*(?:{_ONES})und)((?:{_TENS})ste[nrsm]?)", re.IGNORECASE)
_FROM = 13  # German numbers below are read well


@cache
def _numbers(base: str) -> dict[str, int]:
    """Numbers by their words: those of French that are read wrongly, or German ones below 1000."""
    if base == "fr":
        return {cardinal_words(number, base): number for number in range(80, 100)}
    numbers = {cardinal_words(number, base): number for number in range(1, 1000)}
    more = {word.removeprefix("ein"): n for word, n in numbers.items() if 100 <= n < 200}
    hundreds = {f"{word}hundert": 100 * n for word, n in numbers.items() if 11 <= n <= 19}
    return {**numbers, **more, **hundreds, "ein": 1}


def read_well(text: str, base: str) -> str:
    """A word, in digits where it is a number word that espeak-ng would read wrongly.

    Args:
        text: one word to be spoken.
        base: the language.
    """
    if base == "fr" and text[:12].lower() == "quatre-vingt":
        return str(_numbers("fr").get(text.lower(), text))
    if base in ("it", "pt") and re.fullmatch(r"0|[1-9]\d{0,14}", text):
        return cardinal_words(int(text), base)
    if base != "de":
        return text
    small = text.lower()
    if small.endswith(("zehn", "zig", "ßig")) or "hundert" in small or "tausend" in small:
        return _german(small) or text
    match = _ORDINAL.fullmatch(text) if small[-4:-1] == "ste" or small[-3:] == "ste" else None
    return f"{match[1]} {match[2]}" if match else text


def _german(small: str) -> str:
    """A German number word with what is read wrongly as digits: "neunzehnhundert 45"; else ""."""
    numbers = _numbers("de")
    if _FROM <= numbers.get(small, 0) < 100:
        return str(numbers[small])
    for mark in ("tausend", "hundert"):
        head, found, tail = small.partition(mark)
        rest = numbers.get(tail.removeprefix("und"), 0)
        if not found or (head and head not in numbers) or (tail and not rest):
            continue
        if mark == "hundert" and rest >= 100:
            continue
        apart = numbers.get(head, 0) >= 20 or (head == "acht" and mark == "hundert")
        first = f"{numbers[head]} {mark}" if apart else f"{head}{mark}"  # acht-undert
        linked = "und " if tail.startswith("und") else ""
        said = f"{first} {linked}{rest}" if rest else first
        return said if said != small else ""
    return ""
