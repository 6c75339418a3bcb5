"""Text to IPA tokens, by phonemizer with the espeak-ng inside espeakng-loader.

A text is split into clauses at its marks (`pipeline/text_clauses.py`), English numbers and
abbreviations are written out (`pipeline/text_english.py`), espeak-ng speaks each clause, and its
words are matched to the words as written.
"""

from __future__ import annotations

import heapq
import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ns2.pipeline.phoneme_table import PhonemeTable
from ns2.pipeline.schema import BORDER, SILENCE, Reason, UtteranceError
from ns2.pipeline.text_clauses import ABBREVIATIONS, Word, base_language, clauses
from ns2.pipeline.text_english import speak_english

STRESSES = "ˈˌ"
_WORD_PHONES = 100  # from about 110 phones on espeak-ng 1.52 drops the rest of a word
_STRESS = re.compile(f"[{STRESSES}]")
_NO_PHONE = re.compile(r"\(.*?\)|[\x00-\x1f%|]")  # flags of a language, control characters
_UNSAFE = frozenset({"kl"})  # espeak-ng 1.52 ends the process at its digit 0
_SPAN = 4  # so many written words at most become one spoken word

Phones = tuple[str, ...]


@dataclass(frozen=True)
class Pronunciation:
    """What a text sounds like.

    Attributes:
        tokens: N strings. One IPA phone, its stress mark in front; `<sil>` at both ends; between
            two words either `|` or the punctuation mark that stands there.
        words: (word as written, first token, end token), in order and disjoint. Every phone lies
            in exactly one of them; `<sil>`, `|` and marks lie in none. What is spoken as one word
            is one entry ("of the"), and so is what is written as one ("$2.50").
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
        return [phones for phones in spoken if phones]

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
    for (first, end), (start, stop) in _match(written, [_bare(w) for w in spoken]):
        surface = words[first].written
        for word in words[first + 1 : end]:
            surface += word.written if word.glued else f" {word.written}"
        entries.append((surface, [t for phones in spoken[start:stop] for t in _tokens(phones)]))
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

    Each step takes one written word and any number of spoken ones ("1984"), or a few written and
    one spoken ("of the"), and costs the edit distance between their phones. The cheapest path
    through all of both is found by uniform-cost search.

    Args:
        written: phones of each written word spoken alone, without stress.
        spoken: phones of each spoken word, without stress.

    Returns:
        pairs ([first, end) of written words, [first, end) of spoken words); every spoken word is
        in exactly one, a written word without sound in none.
    """
    n, m = len(written), len(spoken)
    queue: list[tuple[int, int, int]] = [(0, 0, 0)]
    came: dict[tuple[int, int], tuple[int, int]] = {}
    best = {(0, 0): 0}
    while queue:
        cost, i, j = heapq.heappop(queue)
        i, j = -i, -j  # of equal costs the farthest is looked at first
        if (i, j) == (n, m):
            break
        if cost > best[i, j]:
            continue
        for end, stop, step in _steps(written, spoken, i, j):
            total = cost + step
            if total < best.get((end, stop), total + 1):
                best[end, stop] = total
                came[end, stop] = (i, j)
                heapq.heappush(queue, (total, -end, -stop))
    pairs = []
    at = (n, m)
    while at != (0, 0):
        before = came[at]
        if at[1] > before[1]:
            pairs.append(((before[0], at[0]), (before[1], at[1])))
        at = before
    return pairs[::-1]


def _steps(
    written: Sequence[Phones], spoken: Sequence[Phones], i: int, j: int
) -> list[tuple[int, int, int]]:
    """(written words done, spoken words done, cost times ten) of every step from (i, j)."""
    n, m = len(written), len(spoken)
    steps = []
    if i < n:
        alone = written[i]
        steps.append((i + 1, j, 10 * len(alone) + 5 * bool(alone)))  # not spoken at all
        joined: Phones = ()
        for stop in range(j + 1, m + 1):
            joined += spoken[stop - 1]
            if stop > j + 1 and len(joined) > 2 * len(alone) + 8 and i + 1 < n:
                break
            steps.append((i + 1, stop, 10 * _distance(alone, joined)))
    if j < m:
        for end in range(i + 2, min(i + _SPAN, n) + 1):
            whole = sum(written[i:end], ())
            steps.append((end, j + 1, 10 * _distance(whole, spoken[j]) + end - i))
    return steps


@lru_cache(maxsize=50_000)
def _distance(a: Phones, b: Phones) -> int:
    """Levenshtein distance between two sequences of phones."""
    if a == b:
        return 0
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for k, right in enumerate(b, 1):
            diagonal, row[k] = row[k], min(diagonal + (left != right), row[k] + 1, row[k - 1] + 1)
    return row[-1]
