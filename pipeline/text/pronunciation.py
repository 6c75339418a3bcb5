"""Text to IPA tokens, by phonemizer with the espeak-ng inside espeakng-loader.

A text is split into clauses at its marks (`pipeline/text_clauses.py`), English numbers and
abbreviations are written out (`pipeline/text_english.py`), espeak-ng speaks each clause, and its
words are matched to the words as written.
"""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import BORDER, SILENCE, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.clauses import Word, base_language, clauses
from ns2.pipeline.text.english import speak_english
from ns2.pipeline.text.tables import ABBREVIATIONS

STRESSES = "ˈˌ"
_LINE_BYTES = 400  # of decomposed UTF-8: beyond its buffer of 800 espeak-ng loses words
_WORD_PHONES = 100  # from about 110 phones on espeak-ng 1.52 drops the rest of a word
_STRESS = re.compile(f"[{STRESSES}]")
_NO_PHONE = re.compile(r"\(.*?\)|[\x00-\x1f%|]")  # flags of a language, control characters
_UNSAFE = frozenset({"kl"})  # espeak-ng 1.52 ends the process at its digit 0
_EDIT = 10  # cost of one edit, where written and spoken words are matched
_BORDER_WORTH = 9  # less than an edit, or leaving words out would pay

Phones = tuple[str, ...]


@dataclass(frozen=True)
class Pronunciation:
    """What a text sounds like.

    Attributes:
        tokens: N strings. One IPA phone, its stress mark in front; `<sil>` at both ends; between
            two spoken words either `|` or the punctuation mark that stands there.
        words: (word as written, first token, end token), in order and disjoint. Every phone lies
            in exactly one of them; `<sil>` and marks lie in none. What is spoken as one word is
            one entry ("of the"). What is written as one is one too, with the borders between
            its spoken words inside ("$2.50"); so numbers have the tokens of their words.
    """

    tokens: tuple[str, ...]
    words: tuple[tuple[str, int, int], ...]


def pronounce(text: str, language: str) -> Pronunciation:
    """Speak a text.

    Args:
        text: as written, any length up to 5,000 characters.
        language: an espeak-ng voice, such as "en-us", "de" or "fr-fr".

    Raises:
        UtteranceError: UNKNOWN_LANGUAGE, WRONG_SCRIPT, TEXT_TOO_LONG or NOTHING_SPEAKABLE.
    """
    engine = _engine(language)
    tokens = [SILENCE]
    words: list[tuple[str, int, int]] = []
    mark = ""
    for clause in clauses(text, language):
        entries = _speak_clause(engine, clause.words)
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


def languages() -> tuple[str, ...]:
    """The voices that can be asked for, sorted."""
    return tuple(sorted(_voices()))


@cache
def _wrapper() -> Any:
    """phonemizer's wrapper class, told where espeak-ng and its data are."""
    import espeakng_loader
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    # Both are needed: without the data path espeak-ng ends the process.
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakWrapper


@cache
def _voices() -> frozenset[str]:
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    found = set()
    for voice in _wrapper()().available_voices():
        file = data / "lang" / voice.identifier
        if not file.is_file():  # mbrola voices need programs that are not there
            continue
        named = re.search(r"^\s*dictionary\s+(\w+)", file.read_text("utf-8", "replace"), re.M)
        dictionary = named[1] if named else base_language(voice.language)
        if (data / f"{dictionary}_dict").is_file():  # three voices come without one
            found.add(voice.language)
    return frozenset(found - _UNSAFE)


class _Engine:
    """One voice of espeak-ng; it keeps no state from call to call."""

    def __init__(self, language: str) -> None:
        _wrapper()
        from phonemizer.backend import EspeakBackend
        from phonemizer.separator import Separator

        quiet = logging.getLogger("ns2.phonemizer")
        quiet.setLevel(logging.CRITICAL)  # it warns of every foreign word
        self.language = language
        self._lock = threading.Lock()
        self._separator = Separator(phone="_", word=" ")
        self._backend = EspeakBackend(
            language,
            # With these two nothing is split and nothing removed: we did that.
            preserve_punctuation=False,
            punctuation_marks=re.compile(r"(?!)"),
            language_switch="remove-flags",
            with_stress=True,
            logger=quiet,
        )
        self.alone = lru_cache(maxsize=50_000)(self._alone)

    def speak(self, text: str) -> list[Phones]:
        """The spoken words of one clause, each with its phones as espeak-ng gives them."""
        with self._lock:
            lines = self._backend.phonemize([text], separator=self._separator, strip=True)
        assert len(lines) == 1, f"{len(lines)} lines for {text!r}"
        spoken = [tuple(phone for phone in w.split("_") if phone) for w in lines[0].split(" ")]
        return [phones for phones in spoken if _bare(phones)]

    def _alone(self, text: str) -> Phones:
        """Phones of one written word spoken alone, without stress."""
        return tuple(p for phones in self.speak(text) for p in _bare(phones))


@cache
def _engine(language: str) -> _Engine:
    if language not in _voices():
        near = get_close_matches(language.lower().replace("_", "-"), languages(), n=4, cutoff=0.5)
        near += [v for v in languages() if base_language(v) == base_language(language.lower())]
        hint = f"near names: {', '.join(dict.fromkeys(near))}" if near else "such as en-us, de, es"
        raise UtteranceError(
            Reason.UNKNOWN_LANGUAGE, f"espeak-ng has no voice {language!r} ({hint})"
        )
    return _Engine(language)


def _speak_clause(engine: _Engine, words: Sequence[Word]) -> list[tuple[str, list[str]]]:
    """(words as written, tokens) of what one clause sounds like."""
    base = base_language(engine.language)
    said = speak_english(words, engine.language) if base == "en" else _say(words, base)
    entries: list[tuple[str, list[str]]] = []
    start = size = 0
    for end, part in enumerate(said):
        length = len(unicodedata.normalize("NFD", part).encode()) + 1
        if size and size + length > _LINE_BYTES:
            entries += _speak_line(engine, words[start:end], said[start:end])
            start, size = end, 0
        size += length
    return entries + _speak_line(engine, words[start:], said[start:])


def _speak_line(
    engine: _Engine, words: Sequence[Word], said: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """As `_speak_clause`, for what espeak-ng can take at once."""
    line = "".join(
        part if word.glued or not i else f" {part}"
        for i, (word, part) in enumerate(zip(words, said, strict=True))
    )
    spoken = engine.speak(line)
    for phones in spoken:
        if len(phones) >= _WORD_PHONES:
            raise UtteranceError(
                Reason.TEXT_TOO_LONG, f"a word of {len(phones)} phones in {line[:60]!r}; split it"
            )
    written = [engine.alone(part) for part in said]
    entries = []
    for (first, end), (start, stop) in _match(written, [_bare(phones) for phones in spoken]):
        surface = words[first].written
        for word in words[first + 1 : end]:
            surface += word.written if word.glued else f" {word.written}"
        tokens: list[str] = []
        for phones in spoken[start:stop]:
            more = _tokens(phones)
            tokens += [BORDER, *more] if tokens and more else more
        entries.append((surface, tokens))
    return [entry for entry in entries if entry[1]]


def _say(words: Sequence[Word], base: str) -> list[str]:
    """What to say for each word of a clause in a language without a normaliser."""
    table = ABBREVIATIONS.get(base, {})
    said = []
    before = ""
    for word in words:
        text = word.surface
        if word.dotted:
            if base == "de" and text.isdigit():
                text = _german_rank(text, before.lower())
            else:  # espeak-ng tells initials from words by their full stop
                text = table.get(text) or (f"{text}." if len(text) == 1 else text)
        said.append(text)
        before = word.surface
    return said


def _german_rank(number: str, before: str) -> str:
    """ "3." before a month or a small letter: "dritte" after an article, else inflected."""
    from num2words import num2words

    ending = "" if before in ("der", "die", "das", "jede", "jeder") else "r"
    if before in ("am", "vom", "zum", "im", "beim", "dem", "den", "des", "seit", "bis", "ab"):
        ending = "n"
    return f"{num2words(int(number), lang='de', to='ordinal')}{ending}"


def bare(phone: str) -> str:
    """A phone as espeak-ng gives it without stress; "" for what is no phone.

    "?" is a glottal stop in Danish and Oromo; here it is the mark.
    """
    return _NO_PHONE.sub("", _STRESS.sub("", phone)).replace("?", "ʔ")


def _bare(phones: Sequence[str]) -> Phones:
    return tuple(b for phone in phones if (b := bare(phone)))


def _tokens(phones: Sequence[str]) -> list[str]:
    """Phones as tokens: stress in front, and two that espeak-ng ran together taken apart.

    It forgets the separator where it joins some words and syllables (Korean, Tamil) and before a
    phone that is written with a raised letter.
    """
    tokens = []
    for phone in phones:
        for part in re.findall(f"[{STRESSES}]*[^{STRESSES}]+", phone):
            body = bare(part)
            if not body:
                continue
            stress = next((s for s in STRESSES if s in part), "")
            first, *rest = _take_apart(body)
            tokens += [stress + first, *rest]
    return tokens


@lru_cache(maxsize=10_000)
def _take_apart(body: str) -> tuple[str, ...]:
    """A phone of the table as it is, else the fewest phones that it is made of."""
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


def _match(
    written: Sequence[Phones], spoken: Sequence[Phones]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Match written words to spoken words by their sound.

    The phones of both are aligned by edit distance. Where the cheapest path passes a border of
    both, it is cut; passing one is worth almost an edit. So "1984" gets all its spoken words, and
    "of the" stays together where espeak-ng speaks it as one.

    Args:
        written: phones of each written word spoken alone, without stress.
        spoken: phones of each spoken word, without stress; none is empty.

    Returns:
        pairs ([first, end) of written words, [first, end) of spoken words); every spoken word is
        in exactly one, a written word without sound in none.
    """
    if not spoken:
        return []
    audible = [i for i, phones in enumerate(written) if phones]
    if not audible:
        return [((0, len(written)), (0, len(spoken)))]
    word_at = {0: 0}  # from the number of phones so far to the number of words
    for k, i in enumerate(audible, 1):
        word_at[max(word_at) + len(written[i])] = k
    spoken_at = {0: 0}
    for k, phones in enumerate(spoken, 1):
        spoken_at[max(spoken_at) + len(phones)] = k
    left = [phone for i in audible for phone in written[i]]
    right = [phone for phones in spoken for phone in phones]
    cuts = _cuts(left, right, frozenset(word_at), sorted(spoken_at))
    pairs = []
    for (i, j), (end, stop) in pairwise(cuts):
        words = audible[word_at[i]], audible[word_at[end] - 1] + 1
        if stop > j:
            pairs.append((words, (spoken_at[j], spoken_at[stop])))
    return pairs


def _cuts(
    left: Sequence[str], right: Sequence[str], rows: frozenset[int], columns: list[int]
) -> list[tuple[int, int]]:
    """Align two sequences by edit distance; the borders that the cheapest path passes.

    Args:
        rows: borders in `left`, as numbers of symbols before them, with 0 and the end.
        columns: borders in `right`.

    Returns:
        (border in left, border in right), from (0, 0) to both ends.
    """
    code = {symbol: k for k, symbol in enumerate(dict.fromkeys((*left, *right)))}
    target = np.array([code[symbol] for symbol in right])
    slope = _EDIT * np.arange(len(right) + 1)
    # `plain` is the cost without, `best` with what passing a border here is worth.
    plain = np.empty((len(left) + 1, len(right) + 1), np.int64)
    best = np.empty_like(plain)
    plain[0] = best[0] = slope
    for i, symbol in enumerate(left, 1):
        row = best[i - 1] + _EDIT
        np.minimum(row[1:], best[i - 1, :-1] + _EDIT * (target != code[symbol]), out=row[1:])
        plain[i] = best[i] = np.minimum.accumulate(row - slope) + slope
        if i in rows:
            best[i, columns] -= _BORDER_WORTH
            best[i] = np.minimum.accumulate(best[i] - slope) + slope
    borders = frozenset(columns)
    i, j = len(left), len(right)
    cuts = []
    passing = True  # whether the border at (i, j), if there is one, may count
    while i or j:
        if passing and best[i, j] != plain[i, j]:
            if i in rows and j in borders and best[i, j] == plain[i, j] - _BORDER_WORTH:
                cuts.append((i, j))
                passing = False
            else:
                j -= 1
            continue
        cost = plain[i, j]
        if i and j and cost == best[i - 1, j - 1] + _EDIT * (left[i - 1] != right[j - 1]):
            i, j, passing = i - 1, j - 1, True
        elif i and cost == best[i - 1, j] + _EDIT:
            i, passing = i - 1, True
        else:
            j -= 1
            passing = False
    return [(0, 0), *cuts[::-1]]
