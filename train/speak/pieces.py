"""Long texts in pieces that are no longer than what a model was trained on.

A text is cut after sentences, and short neighbours are joined; a sentence that is too long is cut
after clauses, then between words, and where a script has no spaces, between letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.text.sentences import paragraphs, sentences
from ns2.train.speak.lines import Words

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Letters of scripts without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_PARAGRAPH, _SENTENCE, _CLAUSE, _WORD = 1.5, 1.0, 0.6, 0.25
"""The pause behind a piece that ends as named, in pauses between sentences."""
_CUTS = (
    (re.compile(r"(?<=[,;:])(?=\s)|(?<=\s[—–])(?=\s)|(?<=[，；：、])"), _CLAUSE),
    (re.compile(r"(?=\s)"), _WORD),
    (re.compile(rf"(?<=[{_UNSPACED}])(?=[{_UNSPACED}])"), _WORD),
)
"""Where a sentence may be cut, in the order in which cuts are tried, and the pause there."""
_WELL_WITHIN = 2_000
"""A length in letters above which a text is certainly too long for one piece, so that it is cut
without being pronounced first."""
_JOINED = 0.5
"""The share of the longest utterance up to which short sentences are spoken as one."""
_FIRST = 0.1
"""The share of the longest utterance that is enough for the first piece of a long text."""
_LONG = 3
"""How many of the longest utterances a long text has."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a text is spoken.

    Attributes:
        ids: (N,) phoneme ids.
        words: for each word how it is written, its first token, and the token behind its last.
    """

    ids: np.ndarray
    words: Words = ()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a text that is spoken at once.

    Attributes:
        text: as written.
        said: how it is spoken.
        rest: the pause behind it, in pauses between sentences.
    """

    text: str
    said: Said
    rest: float

    @property
    def ids(self) -> np.ndarray:
        """The phoneme ids (N,)."""
        return self.said.ids

    @property
    def words(self) -> Words:
        """The words, see `Said`."""
        return self.said.words


def pieces(text: str, say: Callable[[str], Said], longest: int, language: str) -> list[Piece]:
    """The pieces of a text, in order.

    Sentences without a letter or digit are left out, as long as there is another one.

    Args:
        say: tells how a short text is spoken; raises UserError where it can't be.
        longest: the most phonemes that a piece may have; a single word may have more.
        language: the name of an espeak-ng voice, which tells where sentences end.

    Raises:
        UserError: nothing is left to speak, or a sentence can't be spoken.
    """
    found: list[Piece] = []
    first_error: UserError | None = None
    for paragraph in paragraphs(text):
        for sentence in sentences(paragraph, language):
            try:
                found += _spoken(sentence, say, longest, _SENTENCE)
            except UserError as error:
                if any(char.isalnum() for char in sentence):
                    raise
                first_error = first_error or error
        if found:
            found[-1] = replace(found[-1], rest=_PARAGRAPH)
    if not found:
        raise first_error or UserError("the text is empty: there is nothing to speak")
    return [one for part in _neighbours(found, longest) for one in _as_one(part, say, longest)]


def _spoken(text: str, say: Callable[[str], Said], longest: int, rest: float) -> list[Piece]:
    """A text as a piece where it fits, else in halves that are cut likewise."""
    if len(text) <= _WELL_WITHIN:
        whole = say(text)
        if len(whole.ids) <= longest:
            return [Piece(text=text, said=whole, rest=rest)]
    for cut, pause in _CUTS:
        halves = [half for half in _halves(cut.split(text)) if any(map(str.isalnum, half))]
        if len(halves) > 1:
            first, second = halves
            return [*_spoken(first, say, longest, pause), *_spoken(second, say, longest, rest)]
    return [Piece(text=text, said=say(text), rest=rest)]


def _halves(parts: list[str]) -> list[str]:
    """Parts of a text joined to two of about the same length; a single part stays alone."""
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return parts
    total, before = sum(map(len, parts)), 0
    best, at = total, 1
    for i, part in enumerate(parts[:-1], 1):
        before += len(part)
        if abs(2 * before - total) < best:
            best, at = abs(2 * before - total), i
    return ["".join(parts[:at]).strip(), "".join(parts[at:]).strip()]


def _neighbours(found: list[Piece], longest: int) -> Iterator[list[Piece]]:
    """Pieces in groups that are spoken as one: a model never learned single words.

    A group ends with its paragraph. The first of a long text is short, since it is waited for.
    """
    group: list[Piece] = []
    tokens = 0
    is_long = sum(len(piece.ids) for piece in found) > _LONG * longest
    least = _FIRST * longest if is_long else longest
    for piece in found:
        ended = bool(group) and (group[-1].rest == _PARAGRAPH or tokens >= least)
        if group and (ended or tokens + len(piece.ids) > _JOINED * longest):
            yield group
            group, tokens, least = [], 0, longest
        group.append(piece)
        tokens += len(piece.ids)
    yield group


def _as_one(group: list[Piece], say: Callable[[str], Said], longest: int) -> list[Piece]:
    """A group in one piece; each alone where that can't be spoken."""
    if len(group) == 1:
        return group
    text = " ".join(piece.text for piece in group)
    try:
        together = say(text)
    except UserError:
        return group
    if len(together.ids) > longest:
        return group
    return [Piece(text=text, said=together, rest=group[-1].rest)]
