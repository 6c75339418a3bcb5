"""What of the numbers in a corpus is not written out in its language, and left to espeak-ng."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from ns2.pipeline.text.numbers.number_words import minus_word
from ns2.pipeline.text.numbers.unit_words import units_of
from ns2.pipeline.text.written import base_language

_SIGNS = re.compile(r"\d|[IVX]{2}|[½¼¾⅓⅔⅛]")
_KINDS: dict[str, re.Pattern[str]] = {
    kind: re.compile(pattern)
    for kind, pattern in (
        ("dates", r"\b\d{1,4}([./-])\d{1,2}\1\d{1,4}\b"),
        ("ordinal numbers", r"\b\d{1,3}(?:[ºª]|°(?! ?[CF])|\.º|\.ª|[a-zà-ÿ]{1,4}\b|\.(?=\s+\w))"),
        ("Roman numerals", r"\b(?=[IVX]{2})X{0,3}(?:IX|IV|V?I{0,3})\b"),
        ("money", r"[$€£¥₹₽₴]\s?\d|\d\s?[$€£¥₹₽₴]"),
        ("units", r"\d\s?(?:km/h|km|kg|cm|mm|mg|ml|m²|m|g|l|kW|MB|GB)\b"),
        ("temperatures", r"\d\s?°[CF]\b"),
        ("ranges", r"(?<![-–./\d])\d+(?:[.,]\d+)?[-–]\d+\b(?![-–./]\d)"),
        ("negative numbers", r"(?:(?<=\s)|^)[-−]\d"),
        ("fractions", r"\b\d+/\d+\b|[½¼¾⅓⅔⅛]"),
    )
}
_FULL = frozenset(_KINDS)
_DONE = dict.fromkeys(("en", "de", "fr", "es", "it", "pt", "nl", "cmn"), _FULL)
_SOME = frozenset({"money", "negative numbers"})  # in the other languages that num2words knows
_ANY = frozenset({"Roman numerals"})
_MARKED = ("ca", "gl")  # ordinal numbers with a mark or an ending


@cache
def written_out(base: str) -> frozenset[str]:
    """The kinds of numbers that are written out in a language."""
    if base in _DONE:
        return _DONE[base]
    known = _SOME if minus_word(base) else frozenset()
    marked = frozenset({"ordinal numbers"}) if base in _MARKED else frozenset()
    named = frozenset({"units", "temperatures"}) if units_of(base) else frozenset()
    return known | marked | named | _ANY


class LeftAlone:
    """Counts the numbers of a corpus that no rule writes out."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}

    def add(self, text: str, base: str) -> None:
        """Count those of a text in a language."""
        done = written_out(base)
        if done == _FULL or not _SIGNS.search(text):
            return
        for kind, pattern in _KINDS.items():
            if kind in done:
                continue
            for match in pattern.finditer(text):
                self._counts[base, kind] += 1
                self._examples.setdefault((base, kind), match[0])

    def notes(self) -> list[str]:
        """A sentence for each language in which something was found, else nothing."""
        notes = []
        for base in sorted({base for base, _ in self._counts}):
            parts = [
                f"{count} {kind} (such as {self._examples[base, kind]!r})"
                for (language, kind), count in self._counts.most_common()
                if language == base
            ]
            notes.append(
                f"in {base} espeak-ng reads these by its own rules, some of them wrongly: "
                f"{', '.join(parts)}; write them out in the texts where it matters"
            )
        return notes


def left_alone(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences on what no rule writes out in texts, each with the name of its voice."""
    found = LeftAlone()
    for text, language in texts:
        found.add(text, base_language(language))
    return found.notes()
