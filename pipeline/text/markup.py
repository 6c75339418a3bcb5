"""Markup in a transcript, which is not spoken: HTML, footnotes, "https://", names of noises."""

from __future__ import annotations

import html
import re

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8}\d{0,2});")
_TAG = re.compile(r"</?(?:i|b|u|s|em|strong|small|sub|sup|span|font|p|q|a|cite|blockquote)"
                  r"(?:\s[^<>]*)?>|<(?:br|hr)\s*/?>", re.IGNORECASE)  # fmt: skip
_FOOTNOTE = re.compile(
    r"(?<=[\w.,;:?!\"'”’»)\]])\[(?:\d{1,3}|[a-z]|note \d+|nota \d+|citation needed)\]"
    r"|(?<=[^\W\d_]{3})[¹²³⁴-⁹]+(?!\w)|(?<=[.,;:?!\"”’»])[¹²³⁴-⁹]+(?!\w)"
)
_ADDRESS = re.compile(r"(?<![\w@.])(?:https?://|www\.)[^\s<>\"”»]+")
_SOUND = (
    r"(?:(?:back\s?ground|breath|vocalized|human|speaker|static)[\s_-]?)?(?:noises?|sounds?|music)"
    r"|laugh(?:s|ter|ing)?|chuckles?|giggles?|cough(?:s|ing)?|sneezes?|sniffs?|sniffles?|sighs?|gasps?"
    r"|(?:in|ex)hales?|breath(?:s|es|ing)?|lip[\s_-]?smacks?|smacks?|clicks?|applause|cheer(?:s|ing)"
    r"|sil(?:ence)?|(?:short |long )?pauses?|cross[\s_-]?talk|beeps?|nsn|spn|ringing|clears throat"
)
_NOISE = re.compile(
    rf"\[\s*(?:{_SOUND})\s*\]|<\s*(?:{_SOUND}|other)\s*/?>|\{{\s*(?:{_SOUND})\s*\}}"
    rf"|\(\s*(?:{_SOUND})\s*\)",
    re.IGNORECASE,
)
_UNHEARD = re.compile(
    r"<\s*unk(?:nown)?\s*>|[\[(<{]\s*(?:unk|unintelligible|inaudible|indiscernible|incomprehensible)"
    r"(?:\s[^\])>}]*)?\s*[\])>}]|\(\(\s*\)\)",
    re.IGNORECASE,
)
_NAMED_MARK = re.compile(r"\s*<(COMMA|PERIOD|QUESTIONMARK|EXCLAMATIONPOINT)>")
_NAMED_MARKS = {"COMMA": ",", "PERIOD": ".", "QUESTIONMARK": "?", "EXCLAMATIONPOINT": "!"}
_ENDS = ".,;:?!)]}'’…/"


def without_markup(text: str) -> str:
    """A text without what only an editor or a browser reads.

    Entities become their characters ("&amp;"), tags a space. Numbers in square brackets or raised
    digits behind a word are marks of footnotes; those behind a letter or two are powers ("m²").
    Names of noises in brackets ("[laughter]") are not said either, and marks that are named
    ("<COMMA>") are marks.

    Raises:
        UtteranceError: NOT_UNDERSTOOD, a word is spoken that the transcript does not have.
    """
    if unheard := _UNHEARD.search(text):
        raise UtteranceError(
            Reason.NOT_UNDERSTOOD,
            f"{unheard[0]} stands for something that is spoken: write what it is, or cut it out",
        )
    text = _NAMED_MARK.sub(lambda match: _NAMED_MARKS[match[1]], text)
    text = _NOISE.sub(" ", text)
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
