"""Where speech ends before a pause, and begins behind it: by the level and by the network.

The level alone is not enough: the noise of a room may be as loud as a soft consonant, and goes on
where an editor has muted the rest of a pause. The network alone is not exact enough.

Letters for shapes: L windows of the level, H pairs of frames.
"""

from __future__ import annotations

import numpy as np

from ns2.pipeline.align.long.recorded import WINDOW, Recorded

_LEAD = 0.06
"""Seconds before and behind the sound of speech that a piece has."""
_MOST, _DYING = 0.08, 0.02
"""... and at most so many where noise goes on in the pause; speech needs the latter to die away."""
_FAINT, _GONE = 20.0, 34.0
"""Decibels below the level of speech: without a phone such sound is a pause, and is inaudible."""
_NEAR = 30
"""Windows beside a pause in which its edge is looked for."""
_STILL = 3
"""Windows of silence that are no gap in a sound."""
_HUSH, _HUSH_BELOW, _SMOOTH = 0.16, 8.0, 11
"""Seconds for which the network has to hear silence where there is noise; the decibels by which the
level lies below that of speech then, on the mean of so many windows."""
_LEAST_SOUND, _BESIDE = 0.6, 0.1
"""Seconds of sound between two words, from which on something is spoken that is not written; and
seconds beside a word that may still be the word."""


class Edges:
    """The pauses of a recording, and where speech ends and begins beside them."""

    def __init__(self, recorded: Recorded, silent: np.ndarray) -> None:
        """Compare the level with the speech around it.

        Args:
            silent: (H,) bool, where the network hears silence rather than a phone.
        """
        count = len(recorded.level)
        self.seconds = recorded.seconds
        per_second = len(silent) / max(recorded.seconds, WINDOW)
        pairs = ((np.arange(count) + 0.5) * WINDOW * per_second).astype(np.int64)
        pairs = np.minimum(pairs, len(silent) - 1)
        below = recorded.speech - recorded.level
        self._gone = below > _GONE
        self._faint = recorded.quiet | ((below > _FAINT) & silent[pairs])
        # In noise, such as that of a street, there is no pause by the level.
        long = np.zeros(len(silent), bool)
        for start, end in _runs(silent):
            long[start:end] = end - start >= _HUSH * per_second
        power = np.convolve(10 ** (-below / 10), np.full(_SMOOTH, 1 / _SMOOTH), "same")
        hush = long[pairs] & (power[:count] < 10 ** (-_HUSH_BELOW / 10))
        quiet = _joined(recorded.quiet, self._faint)
        self._pause = quiet | hush
        self._runs = [(start * WINDOW, end * WINDOW) for start, end in _runs(quiet)]

    def pauses(self) -> list[tuple[float, float]]:
        """Where there is no speech, in seconds."""
        return self._runs

    def sound(self, start: float, end: float) -> tuple[float, float] | None:
        """Where there is sound between two words, from its start to its end, if it is not short."""
        first, stop = (round(s / WINDOW) for s in (start + _BESIDE, end - _BESIDE))
        loud = np.flatnonzero(~self._pause[max(first, 0) : max(stop, 0)])
        if len(loud) * WINDOW < _LEAST_SOUND:
            return None
        return (first + loud[0]) * WINDOW, (first + loud[-1] + 1) * WINDOW

    def stop(self, pause: tuple[float, float]) -> float:
        """Where a piece ends that ends in a pause, in seconds."""
        first = end = round(pause[0] / WINDOW)
        while end > first - _NEAR and self._at(self._faint, end - 1):
            end -= 1
        sound = end
        while sound < end + _NEAR and not self._is_still(sound):
            sound += 1
        kept = min((sound - end) * WINDOW + _LEAD, _MOST + _DYING)
        return min(end * WINDOW + kept, sum(pause) / 2)

    def go(self, pause: tuple[float, float]) -> float:
        """Where a piece begins that begins in a pause, in seconds."""
        last = begin = round(pause[1] / WINDOW)
        while begin < last + _NEAR and self._at(self._faint, begin):
            begin += 1
        sound = begin
        while sound > begin - _NEAR and not self._is_still(sound - _STILL):
            sound -= 1
        return max(begin * WINDOW - min((begin - sound) * WINDOW + _LEAD, _MOST), sum(pause) / 2)

    def _at(self, values: np.ndarray, window: int) -> bool:
        """A value of a window; there is no sound outside of the recording."""
        return bool(values[window]) if 0 <= window < len(values) else False

    def _is_still(self, first: int) -> bool:
        return bool(self._gone[max(first, 0) : max(first, 0) + _STILL].all())


def _joined(quiet: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """The windows that are quiet, and the faint ones between two quiet ones."""
    found = quiet.copy()
    for start, end in _runs(faint & ~quiet):
        found[start:end] = start > 0 and end < len(quiet) and quiet[start - 1] and quiet[end]
    return found


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Where runs of true values begin and end."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], values, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(change[::2], change[1::2], strict=True)]
