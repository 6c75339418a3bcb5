"""What lies between the words of a recording: pauses in which it may be cut, sound without words.

Letters for shapes: S spoken words, L windows of the level.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.align.long.following import Followed
from ns2.pipeline.tools.segmenting.edges import Edges
from ns2.pipeline.tools.segmenting.written_words import WrittenText

_LEAST_PAUSE, _PAUSE_BESIDE_SOUND = 0.08, 0.2
"""Seconds of the shortest pause in which a recording is cut; and beside what is not written."""
_MOST_DOUBTED = 1.2
"""Seconds of sound that is taken for a part of the words beside it if there is no pause."""
_LONGEST_PAUSE = 3.0
"""Seconds of the longest pause inside of a piece."""
_LONGEST_CLOSURE, _LONGEST_RELEASE = 0.2, 0.35
"""Seconds of the longest closure of a stop at the end of a word, and until its release ends."""
_AT_WORD = 0.03
"""Seconds by which a pause goes beyond the place of a word that it is beside."""
_EDGE = 0.1
"""Seconds beside a word that may still be the word."""


@dataclass(frozen=True, slots=True)
class Border:
    """What lies between a spoken word and the next.

    Attributes:
        stop: where a piece ends that ends before it, in seconds; None if it can't.
        go: where a piece begins that begins behind it; None if it can't.
        pause: seconds of the pause, 0 if there is none.
        joined: whether a piece may hold both words.
        sentence, clause: whether a sentence or clause ends here.
        why: if it is not joined, the reason.
        doubt: whether there is sound that may not be that of the words.
    """

    stop: float | None
    go: float | None
    pause: float
    joined: bool
    sentence: bool = False
    clause: bool = False
    why: str = ""
    doubt: bool = False


def find_borders(
    edges: Edges, followed: Followed, written: WrittenText, spoken: Sequence[int]
) -> list[Border]:
    """The borders before each spoken word and behind the last: (S + 1).

    Args:
        edges: of the recording.
        spoken: the numbers of the spoken words.
    """
    runs = edges.pauses()
    starts = [a for a, _ in runs]
    cut_short = {i for start, end, _ in written.unspoken for i in _words_at(written, start, end)}
    middle = (followed.begin + followed.end) / 2
    found = []
    for n in range(len(spoken) + 1):
        before = spoken[n - 1] if n else None
        after = spoken[n] if n < len(spoken) else None
        low = 0.0 if before is None else float(middle[before])
        high = edges.seconds if after is None else float(middle[after])
        here = runs[max(0, bisect(starts, low) - 1) : bisect(starts, high)]
        here = [(max(a, low), min(b, high)) for a, b in here if min(b, high) > max(a, low)]
        gap = (
            0.0 if before is None else float(followed.end[before]),
            edges.seconds if after is None else float(followed.begin[after]),
        )
        sound = edges.sound(*gap)
        ends = before is None, after is None
        stop, go, pause = _cuts(edges, here, gap, ends, sound)
        if sound is None:  # a recording may begin and end without a pause
            go = 0.0 if before is None and go is None else go
            stop = edges.seconds if after is None and stop is None else stop
        doubt = (
            sound is not None
            and stop is None
            and go is None
            and not any(ends)
            and sound[1] - sound[0] <= _MOST_DOUBTED
        )
        broken = sound is not None and not doubt
        why = _why(before, after, cut_short, broken, pause)
        word = written.words[before] if before is not None else None
        parted = word is None or word.parted or why != ""
        found.append(
            Border(
                stop=stop if parted else None,
                go=go if parted else None,
                pause=pause,
                joined=not why,
                sentence=word is None or word.ends_sentence,
                clause=word is None or word.ends_clause,
                why=why,
                doubt=doubt,
            )
        )
    return found


def _why(
    before: int | None, after: int | None, cut_short: set[int], broken: bool, pause: float
) -> str:
    """Why no piece may hold two spoken words that follow each other; empty if one may."""
    if before is None or after is None:
        return "end"
    if after != before + 1:
        return "not_spoken"
    if before in cut_short or after in cut_short:
        return "unpronounceable"
    if broken:
        return "not_written"
    return "pause" if pause > _LONGEST_PAUSE else ""


def _cuts(
    edges: Edges,
    quiet: Sequence[tuple[float, float]],
    gap: tuple[float, float],
    ends: tuple[bool, bool],
    sound: tuple[float, float] | None,
) -> tuple[float | None, float | None, float]:
    """Where a piece ends and the next begins between two words, and the length of the pause.

    Args:
        quiet: from the middle of the first word to that of the second.
        gap: from the end of the first word to the start of the second.
        ends: whether there is no first word, and no second.
        sound: from where to where there is sound that no word stands for.
    """
    least = _LEAST_PAUSE if sound is None or any(ends) else _PAUSE_BESIDE_SOUND
    usable = [(a, b) for a, b in quiet if b - a >= least]
    # A word ends where the first pause begins that goes on behind it: what follows may be a breath.
    after = [run for run in usable if run[1] > gap[0] + _AT_WORD]
    before = [run for run in usable if run[0] < gap[1] - _AT_WORD]
    if sound is not None:
        after = [run for run in after if run[0] <= sound[0] + _EDGE]
        before = [run for run in before if run[1] >= sound[1] - _EDGE]
    elif usable and not any(ends) and not (after and before and after[0][0] <= before[-1][0]):
        after = before = [max(usable, key=lambda run: run[1] - run[0])]
    stop = go = None
    if after:
        stop = edges.stop(_behind(after))
    if before:
        go = edges.go(before[-1])
    whole = after and before and sound is None and not any(ends)
    return stop, go, before[-1][1] - after[0][0] if whole else 0.0


def _behind(runs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The pause in which a word ends: a short one may be the closure of a stop, before its release.

    Args:
        runs: pauses behind the word, at least one.
    """
    first = runs[0]
    long = [run for run in runs if run[1] - run[0] >= _LONGEST_CLOSURE]
    return long[0] if long and long[0][0] - first[0] <= _LONGEST_RELEASE else first


def _words_at(written: WrittenText, start: int, end: int) -> list[int]:
    """The words whose part of the text holds a part of it."""
    starts = [word.start for word in written.words]
    first = max(0, int(np.searchsorted(starts, start, "right")) - 1)
    return [
        k
        for k in range(first, len(written.words))
        if written.words[k].start < end and written.words[k].end > start
    ][:50]
