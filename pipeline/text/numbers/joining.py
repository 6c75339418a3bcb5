"""Numbers that are written in several words and spoken in another order are joined to one word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ns2.pipeline.text.numbers.telephone import calls, is_french_short, is_spanish_telephone
from ns2.pipeline.text.tables import word_set

_SPACED_THOUSANDS = word_set(
    "be bg cs da de es et fi fr hr hu it kk lt lv nb nn pl pt ro ru sk sl sr sv uk"
)
_FIRST = re.compile(r"[-−±~]?[1-9]\d{0,2}")
_GROUP = re.compile(r"\d{3}")
_LAST = re.compile(r"\d{3}(?!\d)(?:,\d+)?[^\w\s]*")
_DIGITS = re.compile(r"\+?\d+")
_COINS = r"(?:[€$£]|EUR|Euros?|euros?|Dollars?|dollars?|dólar|dólares|Franken|Pfund|reais)"
_SIGN = re.compile(r"[A-Z]{0,3}\$|[€£¥₹]")
_SPLIT_BY_WHOLE = {  # said between the whole and its parts: 3 Euro 50
    **dict.fromkeys(
        ("de", "fr", "es", "pt", "it", "nl"),
        (re.compile(r"[-−]?\d[\d., ]*[.,]\d\d"), re.compile(rf"{_COINS}[.,;:?!…]*")),
    ),
}
_CLOCK = (
    re.compile(r"\d{1,2}[:.]\d\d(?::\d\d|-\d{1,2}[:.]\d\d)?"),
    re.compile(r"(?:Uhr|uur)[.,;:?!…]*"),
)
_LASTING = (re.compile(r"\d{1,3}:\d\d:\d\d"), re.compile(r"(?:h|Std)[.,;:?!…]*"))


def join_tokens(tokens: Sequence[str], base: str) -> list[str]:
    """Join the parts of numbers: "1 000 000" of three words becomes one, as "14.30 Uhr" does.

    Args:
        tokens: the parts of a text between spaces, with their marks.
        base: the language.
    """
    joined: list[str] = []
    i = 0
    while i < len(tokens):
        end = i + 1
        if base in _SPACED_THOUSANDS and _FIRST.fullmatch(tokens[i]):
            end = i + 1 if _is_telephone(tokens, i, base) else _thousands(tokens, i)
        leads = _SIGN.fullmatch(tokens[i]) and not (i and tokens[i - 1][-1:].isdigit())
        if leads and end < len(tokens) and tokens[end][:1].isdigit():
            end += 1  # € 5
        token = " ".join(tokens[i:end])
        pairs = [_SPLIT_BY_WHOLE[base]] if base in _SPLIT_BY_WHOLE else []
        pairs += [_CLOCK] if base in ("de", "nl") else []
        pairs += [_LASTING] if base == "de" else []
        if end < len(tokens) and any(
            first.fullmatch(token) and second.fullmatch(tokens[end]) for first, second in pairs
        ):
            token, end = f"{token} {tokens[end]}", end + 1
        joined.append(token)
        i = end
    return joined


def _is_telephone(tokens: Sequence[str], i: int, base: str) -> bool:
    """Whether groups of digits are a telephone number, by the words around them."""
    if calls(tokens[max(0, i - 4) : i]):
        return True
    if base == "fr" and i and tokens[i - 1].lower() in ("le", "au", "du"):
        return is_french_short(tokens[i : i + 3])
    return base == "es" and is_spanish_telephone(tokens[i : i + 4])


def _thousands(tokens: Sequence[str], i: int) -> int:
    """The end of the groups of three digits that follow a number.

    Where other groups of digits stand beside them, they are parts of a telephone number.
    """
    end = i + 1
    while end < len(tokens) and _GROUP.fullmatch(tokens[end]):
        end += 1
    if end < len(tokens) and _LAST.fullmatch(tokens[end]):
        end += 1
    ended = not tokens[end - 1][-1:].isdigit()
    beside = (tokens[i - 1] if i else "", "" if ended or end == len(tokens) else tokens[end])
    alone = not any(_DIGITS.fullmatch(token.rstrip(".;:?!")) for token in beside)
    return end if alone else i + 1
