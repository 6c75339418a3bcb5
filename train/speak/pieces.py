"""Long texts in pieces that a model has learned to speak at once.

A text is cut behind sentences; a sentence that is too long behind clauses, then between words; a
word that is too long is spoken as it is.
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
"""Where a text may be cut: the earlier ones first."""
_NO_END = re.compile(r"\b(\w|Mrs?|Ms|Dr|St|Prof|Sr|Jr|vs|etc|No|Gen|Col|Capt|Rev)\.$")
"""What ends with a point and no sentence: initials, and usual abbreviations."""
_WELL_WITHIN = 2_000
"""Letters that are surely more than one piece; below, they are spoken to see."""


def pieces(text: str, ids: Callable[[str], np.ndarray], longest: int) -> list[np.ndarray]:
    """Phoneme ids of each piece of a text, in order.

    Parts with nothing to speak are left out, as long as something is left.

    Args:
        ids: of a short text; raises UserError where nothing in it can be spoken.
        longest: phonemes of a piece.

    Raises:
        UserError: nothing can be spoken, or a part can't for another reason.
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
    """A text's ids, whole where they fit, else in parts of about half."""
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
    parts: list[str] = []
    for part in _CUTS[cut].split(text):
        if not part or not part.strip():
            continue
        if cut == 0 and parts and (_NO_END.search(parts[-1]) or part.lstrip()[:1].islower()):
            parts[-1] += f" {part.strip()}"  # the point was an abbreviation's
        else:
            parts.append(part.strip())
    return parts


def _halves(parts: list[str]) -> list[str]:
    """Parts joined to two of about the same length."""
    if len(parts) < 2:
        return parts
    total, before = sum(map(len, parts)), 0
    best, at = total, 1
    for i, part in enumerate(parts[:-1], 1):
        before += len(part)
        if abs(2 * before - total) < best:
            best, at = abs(2 * before - total), i
    return [" ".join(parts[:at]), " ".join(parts[at:])]
