"""Long texts in pieces that are no longer than what a model was trained on.

A text is cut after sentences, and short neighbours are joined; a sentence that is too long is cut
after clauses, then between words, and where a script has no spaces, between letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.text.sentences import sentences

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Letters of scripts without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_CUTS = (
    re.compile(r"(?<=[,;:])(?=\s)|(?<=\s[—–])(?=\s)|(?<=[，；：、])"),
    re.compile(r"(?=\s)"),
    re.compile(rf"(?<=[{_UNSPACED}])(?=[{_UNSPACED}])"),
)
"""Where a sentence may be cut, in the order in which cuts are tried."""
_WELL_WITHIN = 2_000
"""A length in letters above which a text is certainly too long for one piece, so that it is cut
without being pronounced first."""
_JOINED = 0.5
"""The share of the longest utterance up to which short sentences are spoken as one."""


def pieces(
    text: str, ids: Callable[[str], np.ndarray], longest: int, language: str
) -> list[np.ndarray]:
    """The phoneme ids of each piece of a text, in order.

    Sentences without a letter or digit are left out, as long as there is another one.

    Args:
        ids: gives the phoneme ids of a short text; raises UserError where it can't be spoken.
        longest: the most phonemes that a piece may have; a single word may have more.
        language: the name of an espeak-ng voice, which tells where sentences end.

    Raises:
        UserError: nothing is left to speak, or a sentence can't be spoken.
    """
    found: list[tuple[str, np.ndarray]] = []
    first_error: UserError | None = None
    for sentence in sentences(text, language):
        try:
            found += _spoken(sentence, ids, longest)
        except UserError as error:
            if any(char.isalnum() for char in sentence):
                raise
            first_error = first_error or error
    if not found:
        raise first_error or UserError("the text is empty: there is nothing to speak")
    return [one for part in _neighbours(found, longest) for one in _as_one(part, ids, longest)]


def _spoken(
    text: str, ids: Callable[[str], np.ndarray], longest: int
) -> list[tuple[str, np.ndarray]]:
    """A text and its ids, whole where they fit, else in halves that are cut likewise."""
    if len(text) <= _WELL_WITHIN:
        whole = ids(text)
        if len(whole) <= longest:
            return [(text, whole)]
    for cut in _CUTS:
        halves = [half for half in _halves(cut.split(text)) if any(map(str.isalnum, half))]
        if len(halves) > 1:
            return [piece for half in halves for piece in _spoken(half, ids, longest)]
    return [(text, ids(text))]


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


def _neighbours(
    found: list[tuple[str, np.ndarray]], longest: int
) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Texts with their ids in groups that are spoken as one: a model never learned single words."""
    group: list[tuple[str, np.ndarray]] = []
    tokens = 0
    for piece in found:
        if group and tokens + len(piece[1]) > _JOINED * longest:
            yield group
            group, tokens = [], 0
        group.append(piece)
        tokens += len(piece[1])
    yield group


def _as_one(
    group: list[tuple[str, np.ndarray]], ids: Callable[[str], np.ndarray], longest: int
) -> list[np.ndarray]:
    """The ids of a group's texts in one piece; each alone where that can't be spoken."""
    alone = [phonemes for _, phonemes in group]
    if len(group) == 1:
        return alone
    try:
        together = ids(" ".join(text for text, _ in group))
    except UserError:
        return alone
    return [together] if len(together) <= longest else alone
