"""English Roman numerals in words: rulers, chapters, centuries."""

from __future__ import annotations

import re

from ns2.pipeline.text.english_tables import AFTER_RULERS, DOUBTING, SCRIPTURES, THINKING, UNSPELLED
from ns2.pipeline.text.english_words import Context, cardinal, ordinal
from ns2.pipeline.text.numbers.roman import (
    NUMBERING,
    REIGNING,
    clear_roman,
    numbered_roman,
    roman_value,
)
from ns2.pipeline.text.tables import PRONOUNS


def roman(match: re.Match[str], context: Context) -> str:
    """A Roman numeral: "World War I", "Henry VIII's"; espeak-ng says "roman eight"."""
    text, owner, before = match[1], match[2] or "", context.before
    named = before in REIGNING and context.after[:1].isupper() and context.after not in PRONOUNS
    initial = context.dotted and not context.after[:1].islower()
    if len(text) == 1 and (initial or named):
        return ""  # an initial: Robert I Bouck
    lower = len(text) > 1 or context.near(-2).lower() == "world"  # world war I
    noun = before.capitalize() if lower else before
    announced = noun[:1].isupper() and numbered_roman(text, noun)
    if text == "I" and before in REIGNING and context.after not in AFTER_RULERS:
        return ""  # for Mary I would
    verbs = DOUBTING if before in ("War", "Wars") else THINKING
    if text == "I" and context.after.lower() in verbs:
        return ""
    century = context.after.startswith("centur")
    value = announced or clear_roman(text) or (len(text) > 1 and century and roman_value(text))
    if not value and text == "IV" and before[:1].isupper() and before not in UNSPELLED:
        value = 4
    if not value:
        # Those that espeak-ng would read as numbers are spelled.
        return ".".join(text) + owner if text in ("IV", "XX", "XL", "XXX", "LI") else ""
    if before in REIGNING:
        return f"the {ordinal(str(value))}{owner}"
    return (ordinal(str(value)) if century else cardinal(value)) + owner


def small_roman(text: str, context: Context) -> str:
    """A Roman numeral in small letters: "Scene ii", "page xiv"."""
    noun, value = context.before.capitalize(), roman_value(text.upper())
    book = noun in NUMBERING or noun in SCRIPTURES
    if not value or (not book and noun not in ("Page", "Pages", "P", "Pp")):
        return ""
    return cardinal(value) if len(text) > 1 or not context.after else ""


def roman_ordinal(match: re.Match[str], context: Context) -> str:
    """A Roman numeral with the ending of an ordinal number: "XIXth"."""
    value = roman_value(match[1])
    return ordinal(str(value)) if value else ""
