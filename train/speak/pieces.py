"""Long texts in pieces that are no longer than what a model was trained on.

A text is cut after sentences; a sentence that is too long after clauses, then between words; a word
that is too long is spoken whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ns2.pipeline.core.errors import UserError

_CUTS = (
    re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)\]])\s+|(?<=[。！？])\s*"),
    re.compile(r"(?<=[,;:])\s+|(?<=[—–，；：、])\s*"),
    re.compile(r"\s+"),
)
"""Where a text may be cut, in the order in which cuts are tried."""
_NO_END = re.compile(r"\b(\w|Mrs?|Ms|Dr|St|Prof|Sr|Jr|vs|etc|No|Gen|Col|Capt|Rev)\.$")
"""Initials and common abbreviations, whose full stop does not end a sentence."""
_WELL_WITHIN = 2_000
"""A length in letters above which a text is certainly too long for one piece, so that it is cut
without being pronounced first."""


def pieces(text: str, ids: Callable[[str], np.ndarray], longest: int) -> list[np.ndarray]:
    """The phoneme ids of each piece of a text, in order.

    Sentences without a letter or digit are left out, as long as there is another one.

    Args:
        ids: gives the phoneme ids of a short text; raises UserError where it can't be spoken.
        longest: the most phonemes that a piece may have.

    Raises:
        UserError: nothing is left to speak, or a sentence can't be spoken.
    """
    found: list[np.ndarray] = []
    first_error: UserError | None = None
    for part in _parts(text, 0):
        try:
            found += _spoken(part, ids, longest, 1)
        except UserError as error:
            if any(char.isalnum() for char in part):
                raise
            first_error = first_error or error
    if not found:
        raise first_error or UserError("the text is empty: there is nothing to speak")
    return found


def _spoken(
    text: str, ids: Callable[[str], np.ndarray], longest: int, level: int
) -> list[np.ndarray]:
    """The ids of a text, whole where they fit, else in halves that are cut likewise.

    Args:
        level: the first of `_CUTS` that may be tried.
    """
    if len(text) <= _WELL_WITHIN:
        whole = ids(text)
        if len(whole) <= longest:
            return [whole]
    for cut in range(level, len(_CUTS)):
        halves = _halves(_parts(text, cut))
        if len(halves) > 1:
            return [
                piece
                for half in halves
                if any(char.isalnum() for char in half)
                for piece in _spoken(half, ids, longest, level)
            ]
    return [ids(text)]


def _parts(text: str, cut: int) -> list[str]:
    """A text cut at all places of one of `_CUTS`."""
    parts: list[str] = []
    for part in _CUTS[cut].split(text):
        if not part or not part.strip():
            continue
        if cut == 0 and parts and (_NO_END.search(parts[-1]) or part.lstrip()[:1].islower()):
            parts[-1] += f" {part.strip()}"  # the full stop was an abbreviation's
        else:
            parts.append(part.strip())
    return parts


def _halves(parts: list[str]) -> list[str]:
    """Parts joined to two of about the same length; a single part stays alone."""
    if len(parts) < 2:
        return parts
    total, before = sum(map(len, parts)), 0
    best, at = total, 1
    for i, part in enumerate(parts[:-1], 1):
        before += len(part)
        if abs(2 * before - total) < best:
            best, at = abs(2 * before - total), i
    return [" ".join(parts[:at]), " ".join(parts[at:])]
