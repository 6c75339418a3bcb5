"""A long text as words with their phones, each with its place in the text as it is written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.pronunciation import pronounce

_CHUNK = 600
"""The most characters that are pronounced at once, unless a sentence is longer."""
_SENTENCE_END = re.compile(r"[.!?…。！？।؟]")
_CLAUSE_END = re.compile(r"[,;:—–、，；：،؛]|\s-\s")
_BREAK = re.compile(r"(?<=[.!?…।؟])[^\w\s]*\s+|(?<=[。！？])|\n\s*\n")
_UNSPACED = (0x0E00, 0xA000)
"""Letters in this range (Thai to Chinese) are written without spaces between words."""


@dataclass(frozen=True, slots=True)
class WrittenWord:
    """A word, or several that are spoken as one, in a text.

    Attributes:
        start, end: its place in the text, with the marks around it.
        phones: what is spoken for it, at least one.
        ends_sentence, ends_clause: whether a mark behind it says so.
        parted: whether the text may be cut behind it.
    """

    start: int
    end: int
    phones: tuple[str, ...]
    ends_sentence: bool = False
    ends_clause: bool = False
    parted: bool = True


@dataclass(frozen=True)
class WrittenText:
    """A text, its words, and what of it can't be pronounced.

    Attributes:
        unspoken: (start, end, why) of parts of the text that can't be pronounced.
    """

    text: str
    words: tuple[WrittenWord, ...]
    unspoken: tuple[tuple[int, int, str], ...] = ()

    def passage(self, first: int, end: int) -> str:
        """The words [first, end) as they are written, on one line."""
        if first >= end:
            return ""
        return " ".join(self.text[self.words[first].start : self.words[end - 1].end].split())


def written_words(text: str, language: str) -> WrittenText:
    """Find the words of a text and what is spoken for each.

    Args:
        text: the text as written, of any length.
        language: the name of an espeak-ng voice.

    Raises:
        UtteranceError: UNKNOWN_LANGUAGE, espeak-ng has no such voice.
    """
    found: list[_Spoken] = []
    unspoken: list[tuple[int, int, str]] = []
    for start, end in _chunks(text):
        _speak(text, start, end, language, found, unspoken)
    return WrittenText(text, tuple(_placed(text, found)), tuple(unspoken))


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Parts of a text that are pronounced at once: sentences, several of them if they are short."""
    start = last = 0
    for found in _BREAK.finditer(text):
        if last > start and found.end() - start > _CHUNK:
            yield start, last
            start = last
        last = found.end()
        if "\n" in found[0] and found[0].count("\n") > 1:
            yield start, last
            start = last
    if last > start and len(text) - start > _CHUNK:
        yield start, last
        start = last
    if start < len(text):
        yield start, len(text)


@dataclass
class _Spoken:
    """Letters [start, end) of the text, without the marks around them, and their phones."""

    start: int
    end: int
    phones: list[str]


def _speak(
    text: str,
    start: int,
    end: int,
    language: str,
    found: list[_Spoken],
    unspoken: list[tuple[int, int, str]],
) -> None:
    """Add the words of a part of the text; what can't be pronounced is found by halving."""
    part = text[start:end]
    if not part.strip():
        return
    try:
        spoken = pronounce(part, language)
    except UtteranceError as error:
        if error.reason is Reason.UNKNOWN_LANGUAGE:
            raise
        middle = _middle(part)
        if error.reason is Reason.NOTHING_SPEAKABLE or middle is None:
            if any(char.isalnum() for char in part):
                unspoken.append((start, end, error.message))
            return
        _speak(text, start, start + middle, language, found, unspoken)
        _speak(text, start + middle, end, language, found, unspoken)
        return
    table = PhonemeTable.default()
    words = [
        (name, [t for t in spoken.tokens[first:stop] if t in table and t not in table.optional])
        for name, first, stop in spoken.words
    ]
    for (first, stop), phones in zip(_places(part, [n for n, _ in words]), words, strict=True):
        if not phones[1]:
            continue
        if first < 0 or (found and start + first < found[-1].end):  # a sign without letters
            if found and found[-1].end > start:
                found[-1].phones += phones[1]
                found[-1].end = max(found[-1].end, start + stop)
                continue
            first, stop = max(first, 0), max(stop, 1)
        found.append(_Spoken(start + first, start + stop, list(phones[1])))


def _middle(part: str) -> int | None:
    """A place near the middle of a part where it may be cut, or None if it is a single word."""
    places = [m.end() for m in re.finditer(r"\s+", part.strip())]
    lead = len(part) - len(part.lstrip())
    if places:
        return lead + min(places, key=lambda place: abs(place - len(part) / 2))
    return len(part) // 2 if len(part) > 1 and ord(max(part)) >= _UNSPACED[0] else None


def _letters(text: str) -> Iterator[str]:
    """Letters and digits of a text in one form, for comparison."""
    for char in unicodedata.normalize("NFKC", text).casefold():
        if char.isalnum():
            yield char


def _places(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand in a text, as [start, end) of their letters; (-1, -1) where it is open."""
    here = [(letter, i) for i, char in enumerate(text) for letter in _letters(char)]
    there = [(letter, k) for k, name in enumerate(names) for letter in _letters(name)]
    one, other = "".join(c for c, _ in here), "".join(c for c, _ in there)
    spans = [(-1, -1)] * len(names)
    blocks = [(0, 0, len(one))] if one == other else _matches(one, other)
    for a, b, size in blocks:
        for (_, i), (_, k) in zip(here[a : a + size], there[b : b + size], strict=True):
            first, end = spans[k]
            spans[k] = (i if first < 0 else min(first, i), max(end, i + 1))
    return spans


def _matches(one: str, other: str) -> list[tuple[int, int, int]]:
    found = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in found]


def _placed(text: str, found: Sequence[_Spoken]) -> Iterator[WrittenWord]:
    """Words with the marks around them: what stands between two words is parted at its blanks."""
    start = 0
    for k, word in enumerate(found):
        follows = found[k + 1].start if k + 1 < len(found) else len(text)
        between = text[word.end : follows]
        cut = len(between) if k + 1 == len(found) else _cut(between)
        behind = between[:cut]
        yield WrittenWord(
            start=start,
            end=word.end + cut,
            phones=tuple(word.phones),
            ends_sentence=bool(_SENTENCE_END.search(behind)) or behind.count("\n") > 1,
            ends_clause=bool(_CLAUSE_END.search(behind)) or "\n" in behind,
            parted=any(not char.isalnum() and char not in "'’-" for char in between)
            or (not between and _is_unspaced(text[word.end - 1])),
        )
        start = word.end + cut


def _cut(between: str) -> int:
    """How much of what stands between two words belongs to the first of them."""
    blanks = [m.end() for m in re.finditer(r"\s+", between)]
    if blanks:
        return blanks[-1]
    return next(
        (i for i, char in enumerate(between) if unicodedata.category(char) in ("Ps", "Pi")),
        len(between),
    )


def _is_unspaced(char: str) -> bool:
    return _UNSPACED[0] <= ord(char) < _UNSPACED[1] or ord(char) >= 0x20000
