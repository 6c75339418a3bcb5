"""Text to IPA tokens, spoken by espeak-ng.

A text is split into clauses at its punctuation marks (`clauses`), numbers and abbreviations are
written out (`spoken`), espeak-ng speaks each clause (`engine`), and its spoken words are matched
to the words as written (`matching`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import BORDER, SILENCE, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.capitals import steady_acronyms
from ns2.pipeline.text.clauses import clauses
from ns2.pipeline.text.engine import STRESSES, Engine, bare, bare_phones, engine_of
from ns2.pipeline.text.matching import match_words
from ns2.pipeline.text.spoken import words_for_espeak
from ns2.pipeline.text.written import Word

_LINE_BYTES = 400  # of decomposed UTF-8: beyond its buffer of 800 espeak-ng loses words
_WORD_PHONES = 100  # from about 110 phones on espeak-ng 1.52 drops the rest of a word


@dataclass(frozen=True)
class Pronunciation:
    """How a text is spoken.

    Attributes:
        tokens: N strings. A token is an IPA phone with its stress mark in front; `<sil>` at both
            ends; or, between two spoken words, `|` or the punctuation mark that stands there.
        words: (word as written, first token, end token), in order and disjoint. Every phone lies
            in exactly one word; `<sil>` and marks lie in none. Words that are spoken as one are
            one entry ("of the"). A word that is spoken as several is one entry too, with the
            borders between its spoken words inside ("$2.50").
    """

    tokens: tuple[str, ...]
    words: tuple[tuple[str, int, int], ...]


def pronounce(text: str, language: str) -> Pronunciation:
    """Turn a written text into phones, as espeak-ng speaks it.

    Args:
        text: the text as written, at most 5,000 characters.
        language: the name of an espeak-ng voice, such as "en-us", "de" or "fr-fr".

    Raises:
        UtteranceError: UNKNOWN_LANGUAGE, WRONG_SCRIPT, TEXT_TOO_LONG or NOTHING_SPEAKABLE.
    """
    voice = engine_of(language)
    tokens = [SILENCE]
    words: list[tuple[str, int, int]] = []
    mark = ""
    for clause in clauses(text, language):
        entries = _speak_clause(voice, clause.words)
        for i, (surface, phones) in enumerate(entries):
            if words:
                tokens.append((mark if i == 0 else "") or BORDER)
            words.append((surface, len(tokens), len(tokens) + len(phones)))
            tokens += phones
        if entries:
            mark = clause.mark
    if not words:
        raise UtteranceError(
            Reason.NOTHING_SPEAKABLE, f"nothing in the text can be spoken: {text.strip()[:60]!r}"
        )
    if mark:
        tokens.append(mark)
    tokens.append(SILENCE)
    return Pronunciation(tuple(tokens), tuple(words))


def _speak_clause(voice: Engine, words: Sequence[Word]) -> list[tuple[str, list[str]]]:
    """The words of one clause as (words as written, tokens)."""
    said = steady_acronyms(voice, words_for_espeak(words, voice.language))
    entries: list[tuple[str, list[str]]] = []
    start = size = 0
    for end, part in enumerate(said):
        length = len(unicodedata.normalize("NFD", part).encode()) + 1
        if size and size + length > _LINE_BYTES:
            entries += _speak_line(voice, words[start:end], said[start:end])
            start, size = end, 0
        size += length
    return entries + _speak_line(voice, words[start:], said[start:])


def _speak_line(
    voice: Engine, words: Sequence[Word], said: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Like `_speak_clause`, for as many words as espeak-ng can take at once."""
    line = "".join(
        part if word.glued or not i else f" {part}"
        for i, (word, part) in enumerate(zip(words, said, strict=True))
    )
    spoken = voice.speak(line)
    for phones in spoken:
        if len(phones) >= _WORD_PHONES:
            raise UtteranceError(
                Reason.TEXT_TOO_LONG, f"a word of {len(phones)} phones in {line[:60]!r}; split it"
            )
    written = [voice.alone(part) for part in said]
    entries = []
    for (first, end), (start, stop) in match_words(
        written, [bare_phones(phones) for phones in spoken]
    ):
        surface = words[first].written
        for word in words[first + 1 : end]:
            surface += word.written if word.glued else f" {word.written}"
        tokens: list[str] = []
        for phones in spoken[start:stop]:
            more = _tokens(phones)
            tokens += [BORDER, *more] if tokens and more else more
        entries.append((surface, tokens))
    return [entry for entry in entries if entry[1]]


def _tokens(phones: Sequence[str]) -> list[str]:
    """Phones as tokens: the stress mark in front, and phones that were run together split.

    espeak-ng forgets the separator where it joins certain words and syllables (Korean, Tamil) and
    before a phone that is written with a raised letter.
    """
    tokens = []
    for phone in phones:
        for part in re.findall(f"[{STRESSES}]*[^{STRESSES}]+", phone):
            body = bare(part)
            if not body:
                continue
            stress = next((s for s in STRESSES if s in part), "")
            first, *rest = _split_phones(body)
            tokens += [stress + first, *rest]
    return tokens


@lru_cache(maxsize=10_000)
def _split_phones(body: str) -> tuple[str, ...]:
    """A phone of the table as it is, else the fewest phones of the table that it is made of."""
    known = PhonemeTable.default()
    best: list[tuple[str, ...] | None] = [()]
    for end in range(1, len(body) + 1):
        options = [
            (*before, body[start:end])
            for start in range(end)
            if (before := best[start]) is not None and body[start:end] in known
        ]
        # The longest phone first: the choice is then the same everywhere.
        best.append(min(options, key=lambda o: (len(o), [-len(p) for p in o]), default=None))
    return best[-1] or (body,)
