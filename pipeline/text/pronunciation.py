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
from itertools import groupby

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import BORDER, SILENCE, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.capitals import steady_acronyms
from ns2.pipeline.text.clauses import clauses
from ns2.pipeline.text.engine import STRESSES, Engine, bare, bare_phones, engine_of
from ns2.pipeline.text.lexicon import Lexicon, Tokens, placed
from ns2.pipeline.text.mandarin import (
    ERHUA,
    cut_at_lost,
    lost_character,
    lost_syllable,
    plain_pinyin,
)
from ns2.pipeline.text.matching import match_words
from ns2.pipeline.text.numbers.amounts import has_unit
from ns2.pipeline.text.numbers.locales import locale_of
from ns2.pipeline.text.numbers.unit_words import units_of
from ns2.pipeline.text.reading import Reading, reading_of
from ns2.pipeline.text.scripts import (
    check_scripts,
    cut_at_latin,
    in_script,
    is_latin,
    is_latin_word,
    said_apart,
)
from ns2.pipeline.text.spoken import words_for_espeak
from ns2.pipeline.text.tables import PINYIN
from ns2.pipeline.text.tones import cut_tone, mandarin_sandhi
from ns2.pipeline.text.written import Word, base_language

_LINE_BYTES = 400  # of decomposed UTF-8: beyond its buffer of 800 espeak-ng loses words
_FOREIGN_VOICE = "en-gb"  # to which espeak-ng changes for Latin letters in other languages
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


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """What decides a pronunciation beside the text and its language.

    Attributes:
        lexicon: pronunciations of the user's own.
        g2p: the names of readings that go before espeak-ng, see `ns2.pipeline.text.reading`.
        tones: whether phones have all digits of their tones; only the first in tables of ns2 0.1.
    """

    lexicon: Lexicon | None = None
    g2p: tuple[str, ...] = ()
    tones: bool = True


_PLAIN = TextSettings()


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A word with what is spoken for it.

    Attributes:
        said: the text that espeak-ng speaks.
        voice: the voice that speaks it.
        apart: whether it is spoken with a space before it, though none may be written.
        given: its phones, where espeak-ng is not to say it.
        stays: whether they come from the user, so that no neighbour changes them.
    """

    word: Word
    said: str
    voice: Engine
    apart: bool = False
    given: Tokens | None = None
    stays: bool = False


_Entry = tuple[int, int, list[str]]
"""[first, end) of the words that are spoken as one, and their tokens."""


def pronounce(
    text: str,
    language: str,
    settings: TextSettings = _PLAIN,
    phones: Sequence[Tokens] = (),
) -> Pronunciation:
    """Turn a written text into phones, as espeak-ng speaks it.

    Args:
        text: the text as written, at most 5,000 characters.
        language: the name of an espeak-ng voice, such as "en-us", "de" or "fr-fr".
        settings: a lexicon, readings, and how tones are written.
        phones: what `lexicon.take_phones` took out of the text.

    Raises:
        UtteranceError: UNKNOWN_LANGUAGE, WRONG_SCRIPT, NOT_UNDERSTOOD, TEXT_TOO_LONG or
            NOTHING_SPEAKABLE.
        UserError: the library of a reading is not installed.
    """
    voice = engine_of(language, settings.tones)
    parts = [
        (_parts(voice, clause.words, settings, phones), clause.mark)
        for clause in clauses(text, language)
    ]
    reading = reading_of(settings.g2p, language)
    check_scripts(
        [
            part.word
            for clause, _ in parts
            for part in clause
            if part.given is None and not _is_written_out(part, language)
        ],
        language,
        foreign_sound=lambda text: voice.foreign(text) or _rewritten(text, parts),
        more=reading.scripts if reading else (),
    )
    tokens = [SILENCE]
    words: list[tuple[str, int, int]] = []
    mark = ""
    for clause, its_mark in parts:
        entries = _speak_clause(clause, phones)
        for i, (surface, said) in enumerate(entries):
            if words:
                tokens.append((mark if i == 0 else "") or BORDER)
            words.append((surface, len(tokens), len(tokens) + len(said)))
            tokens += said
        if entries:
            mark = its_mark
    if not words:
        raise UtteranceError(
            Reason.NOTHING_SPEAKABLE, f"nothing in the text can be spoken: {text.strip()[:60]!r}"
        )
    if mark:
        tokens.append(mark)
    tokens.append(SILENCE)
    return Pronunciation(tuple(tokens), tuple(words))


def _is_written_out(part: _Part, language: str) -> bool:
    """Whether a rule says a number or unit in the script of the language: "5 km" in Chinese."""
    text, base = part.word.surface, base_language(language)
    if part.said == text or (text.isalpha() and base != "cmn" and text not in units_of(base)):
        return False
    return in_script([Word(surface=part.said)], language)


def _rewritten(text: str, parts: Sequence[tuple[Sequence[_Part], str]]) -> str:
    """What a rule of numbers says for a word in place of its letters, as for "No1"; else ""."""
    if not any(char.isdigit() or "Α" <= char <= "ω" for char in text):
        return ""
    said = (part.said for clause, _ in parts for part in clause if part.word.surface == text)
    return next((other for other in said if other != text), "")


def _parts(
    voice: Engine, words: Sequence[Word], settings: TextSettings, phones: Sequence[Tokens]
) -> list[_Part]:
    """The words of a clause, each with what is spoken for it."""
    lexicon = settings.lexicon
    if lexicon is not None:
        words = lexicon.words_of(words, voice.language)
    if _spells(voice):
        words = [
            part
            for word in words
            for part in ([word] if _is_whole(word, voice.language) else cut_at_latin([word]))
        ]
    if voice.language == PINYIN:
        words = cut_at_lost(words)
    given = [_given(word, lexicon, phones) for word in words]
    reading = reading_of(settings.g2p, voice.language)
    if reading is None:
        said = steady_acronyms(voice, words_for_espeak(words, voice.language))
        if not is_latin(voice.language):
            said = [said_apart(text, voice.language) for text in said]
        return [
            _part(word, text, _voice_of(text, voice), tokens)
            for word, text, tokens in zip(words, said, given, strict=True)
        ]
    parts: list[_Part] = []
    for is_given, run in groupby(zip(words, given, strict=True), lambda pair: pair[1] is not None):
        if is_given:
            parts += [_part(word, "", voice, its) for word, its in run]
        else:
            parts += _read_parts(voice, [word for word, _ in run], reading, settings)
    return parts


def _is_whole(word: Word, language: str) -> bool:
    """Whether a word has phones of its own, or is a number with a unit: "25°C"."""
    return placed(word) is not None or has_unit(word.surface, locale_of(language))


def _read_parts(
    voice: Engine, words: Sequence[Word], reading: Reading, settings: TextSettings
) -> list[_Part]:
    """The words of a part of a clause as a reading has them; it leaves numbers as they are."""
    numbers = {
        id(word): said
        for word, said in zip(words, words_for_espeak(words, voice.language), strict=True)
    }
    parts = []
    for read in reading.read(words):
        speaker = engine_of(read.voice, settings.tones) if read.voice else voice
        unread = read.said == read.word.written and not read.voice
        said = numbers.get(id(read.word), read.said) if unread else read.said
        parts.append(_part(read.word, said, speaker, None, apart=True))
    return parts


def _part(
    word: Word, said: str, voice: Engine, given: Tokens | None, *, apart: bool = False
) -> _Part:
    """A word with what is spoken for it; espeak-ng is helped where it can't read Mandarin."""
    stays = given is not None
    if given is None and base_language(voice.language) == "cmn":
        if said in ERHUA and word.glued:
            given = ERHUA[said]
        elif voice.language == PINYIN:
            said = plain_pinyin(said)
            given = lost_syllable(said)
        elif len(said) == 1 and not said.isascii():
            given = lost_character(voice.foreign(said))
        if given is not None:
            said = ""  # and would read its neighbours wrongly, too
            given = given if voice.tones.names else tuple(map(cut_tone, given))
    return _Part(word=word, said=said, voice=voice, apart=apart, given=given, stays=stays)


def _spells(voice: Engine) -> bool:
    """Whether a voice of another script spells words in Latin letters."""
    return not is_latin(voice.language) and voice.spells


def _voice_of(text: str, voice: Engine) -> Engine:
    """The voice that speaks a word: British English for one that the text's own would spell."""
    return engine_of(_FOREIGN_VOICE) if is_latin_word(text) and _spells(voice) else voice


def _given(word: Word, lexicon: Lexicon | None, phones: Sequence[Tokens]) -> Tokens | None:
    """The phones that the text or the lexicon gives for a word, if one does."""
    number = placed(word)
    if number is not None and number < len(phones):
        return phones[number]
    entry = lexicon.of(word) if lexicon is not None else None
    return entry[1] if entry else None


def _speak_clause(parts: Sequence[_Part], phones: Sequence[Tokens]) -> list[tuple[str, list[str]]]:
    """The words of one clause as (words as written, tokens)."""
    entries: list[_Entry] = []
    start = size = 0
    for end, part in enumerate(parts):
        length = len(unicodedata.normalize("NFD", part.said).encode()) + 1
        if size and (size + length > _LINE_BYTES or part.voice is not parts[start].voice):
            entries += _speak_line(parts, start, end)
            start, size = end, 0
        size += length
    entries += _speak_line(parts, start, len(parts))
    if parts and parts[0].voice.tones.names and base_language(parts[0].voice.language) == "cmn":
        stay = [parts[first].stays for first, _, _ in entries]
        mandarin_sandhi([tokens for _, _, tokens in entries], stay)
    return [
        (_written(parts[first:end], phones), tokens) for first, end, tokens in entries if tokens
    ]


def _written(parts: Sequence[_Part], phones: Sequence[Tokens]) -> str:
    """Words as they are written."""
    surface = ""
    for part in parts:
        number = placed(part.word)
        written = part.word.written if number is None else f"[[{' '.join(phones[number])}]]"
        surface += written if part.word.glued or not surface else f" {written}"
    return surface


def _speak_line(parts: Sequence[_Part], start: int, stop: int) -> list[_Entry]:
    """Like `_speak_clause`, for as many words as espeak-ng can take at once."""
    given = [i for i in range(start, stop) if parts[i].given is not None]
    if all(parts[i].said and placed(parts[i].word) is None for i in given):
        # The words around it are spoken as they are beside it.
        entries = _speak(parts, start, stop)
        alone = {first for first, end, _ in entries if end == first + 1}
        if alone.issuperset(given):
            return [(i, end, list(parts[i].given or said)) for i, end, said in entries]
    # Otherwise they are spoken without it.
    entries = []
    for i in (*given, stop):
        entries += _speak(parts, start, i)
        if i < stop:
            entries.append((i, i + 1, list(parts[i].given or ())))
        start = i + 1
    return entries


def _speak(parts: Sequence[_Part], start: int, stop: int) -> list[_Entry]:
    """The entries of some words that espeak-ng speaks at once."""
    if start >= stop:
        return []
    some, voice = parts[start:stop], parts[start].voice
    line = some[0].said
    for part in some[1:]:
        line += f" {part.said}" if part.apart or not part.word.glued else part.said
    spoken = voice.speak(line)
    for phones in spoken:
        if len(phones) >= _WORD_PHONES:
            raise UtteranceError(
                Reason.TEXT_TOO_LONG, f"a word of {len(phones)} phones in {line[:60]!r}; split it"
            )
    written = [voice.alone(part.said) for part in some]
    entries: list[_Entry] = []
    for (first, end), (one, other) in match_words(
        written, [bare_phones(phones) for phones in spoken]
    ):
        tokens: list[str] = []
        for phones in spoken[one:other]:
            more = as_tokens(phones)
            tokens += [BORDER, *more] if tokens and more else more
        entries.append((start + first, start + end, tokens))
    return entries


def as_tokens(phones: Sequence[str]) -> list[str]:
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
