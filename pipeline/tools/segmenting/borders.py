"""What lies between the words of a recording: pauses in which it may be cut, sound without words.

Letters for shapes: S spoken words, L windows of the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.align.long.following import Followed
from ns2.pipeline.align.long.recorded import WINDOW, Recorded
from ns2.pipeline.tools.segmenting.written_words import WrittenText

MARGIN = 0.07
"""Seconds of a pause that a piece has at its ends, at most."""
_LEAST_PAUSE = 0.08
"""Seconds of the shortest pause in which a recording is cut."""
_LONGEST_PAUSE = 3.0
"""Seconds of the longest pause inside of a piece."""
_LEAST_SOUND = 0.3
"""Seconds of filler that is not quiet, from which on something is spoken that is not written."""


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
    """

    stop: float | None
    go: float | None
    pause: float
    joined: bool
    sentence: bool = False
    clause: bool = False
    why: str = ""


def find_borders(
    recorded: Recorded, followed: Followed, written: WrittenText, spoken: Sequence[int]
) -> list[Border]:
    """The borders before each spoken word and behind the last: (S + 1).

    Args:
        spoken: the numbers of the spoken words.
    """
    runs = _quiet_runs(recorded)
    starts = np.array([a for a, _ in runs])
    sounds = _sounds(recorded, followed)
    sound_starts = np.array([a for a, _ in sounds])
    cut_short = {i for start, end, _ in written.unspoken for i in _words_at(written, start, end)}
    middle = (followed.begin + followed.end) / 2
    found = []
    for n in range(len(spoken) + 1):
        before = spoken[n - 1] if n else None
        after = spoken[n] if n < len(spoken) else None
        low = 0.0 if before is None else float(middle[before])
        high = recorded.seconds if after is None else float(middle[after])
        here = runs[max(0, np.searchsorted(starts, low) - 1) : np.searchsorted(starts, high)]
        here = [(max(a, low), min(b, high)) for a, b in here if min(b, high) > max(a, low)]
        foreign = sounds[
            np.searchsorted(sound_starts, low) : np.searchsorted(sound_starts, high)
        ]
        sound = (foreign[0][0], foreign[-1][1]) if foreign else None
        ends = before is None, after is None
        stop, go, pause = _cuts(here, ends, sound)
        why = ""
        if before is None or after is None:
            why = "end"
        elif after != before + 1:
            why = "not_spoken"
        elif before in cut_short or after in cut_short:
            why = "unpronounceable"
        elif foreign:
            why = "not_written"
        elif pause > _LONGEST_PAUSE:
            why = "pause"
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
            )
        )
    return found


def _cuts(
    quiet: Sequence[tuple[float, float]],
    ends: tuple[bool, bool],
    sound: tuple[float, float] | None,
) -> tuple[float | None, float | None, float]:
    """Where a piece ends and the next begins between two words, and the length of the pause.

    Args:
        quiet: from the middle of the first word to that of the second.
        ends: whether there is no first word, and no second.
        sound: from where to where there is sound that no word stands for.
    """
    usable = [(a, b) for a, b in quiet if b - a >= _LEAST_PAUSE]
    if not usable:
        return None, None, 0.0
    behind = ahead = max(usable, key=lambda run: run[1] - run[0])
    pause = behind[1] - behind[0]
    if any(ends):
        behind, ahead, pause = usable[0], usable[-1], 0.0
    elif sound is not None:
        pause = 0.0
        before = [run for run in usable if run[0] <= sound[0] + _LEAST_SOUND / 2]
        after = [run for run in usable if run[1] >= sound[1] - _LEAST_SOUND / 2]
        behind, ahead = (before or [None])[0], (after or [None])[-1]
    stop = None if behind is None else behind[0] + min(MARGIN, (behind[1] - behind[0]) / 2)
    go = None if ahead is None else ahead[1] - min(MARGIN, (ahead[1] - ahead[0]) / 2)
    return stop, go, pause


def _quiet_runs(recorded: Recorded) -> list[tuple[float, float]]:
    """Where it is quiet, in seconds; the ends of the recording count as quiet."""
    values = np.concatenate([[False], recorded.quiet, [False]]).astype(np.int8)
    change = np.flatnonzero(np.diff(values)) * WINDOW
    return [(float(a), float(b)) for a, b in zip(change[::2], change[1::2], strict=True)]


def _sounds(recorded: Recorded, followed: Followed) -> list[tuple[float, float]]:
    """Filler that is not quiet, and long enough to be something."""
    loud = np.concatenate([[0], np.cumsum(~recorded.quiet)])
    found = []
    for a, b in followed.filler:
        first, end = (min(round(s / WINDOW), len(loud) - 1) for s in (a, b))
        if (loud[end] - loud[first]) * WINDOW >= _LEAST_SOUND:
            found.append((a, b))
    return found


def _words_at(written: WrittenText, start: int, end: int) -> list[int]:
    """The words whose part of the text holds a part of it."""
    starts = [word.start for word in written.words]
    first = max(0, int(np.searchsorted(starts, start, "right")) - 1)
    return [
        k
        for k in range(first, len(written.words))
        if written.words[k].start < end and written.words[k].end > start
    ][:50]
