"""Markup in a transcript, which is not spoken: HTML, marks of footnotes, "https://"."""

from __future__ import annotations

import html
import re

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8}\d{0,2});")
_TAG = re.compile(r"</?(?:i|b|u|s|em|strong|small|sub|sup|span|font|p|q|a|cite|blockquote)"
                  r"(?:\s[^<>]*)?>|<(?:br|hr)\s*/?>", re.IGNORECASE)  # fmt: skip
_FOOTNOTE = re.compile(
    r"(?<=[\w.,;:?!\"'”’»)\]])\[(?:\d{1,3}|[a-z]|note \d+|nota \d+|citation needed)\]"
    r"|(?<=[^\W\d_]{3})[¹²³⁴-⁹]+(?!\w)|(?<=[.,;:?!\"”’»])[¹²³⁴-⁹]+(?!\w)"
)
_ADDRESS = re.compile(r"(?<![\w@.])(?:https?://|www\.)[^\s<>\"”»]+")
_ENDS = ".,;:?!)]}'’…/"


def without_markup(text: str) -> str:
    """A text without what only an editor or a browser reads.

    Entities become their characters ("&amp;"), tags a space. Numbers in square brackets or raised
    digits behind a word are marks of footnotes; those behind a letter or two are powers ("m²").
    """
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    text = _FOOTNOTE.sub("", text)
    return _ADDRESS.sub(_spoken_address, text)


def _spoken_address(match: re.Match[str]) -> str:
    """An address without "https://", and without marks at which a sentence would end."""
    end = match[0].rstrip(_ENDS)
    tail = match[0][len(end) :].lstrip("/")
    return re.sub(r"[?&=#,;:!~]+", "/", re.sub(r"^https?://", "", end)) + tail
