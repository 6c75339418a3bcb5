"""A long recording as the aligner sees it: its mel, its level, and where it is not silent.

Letters for shapes: M mel bins, T frames of the mel, L windows of the level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.model.log_mel import MelConfig
from ns2.pipeline.sound.streamed import streamed

WINDOW = 0.01
"""Seconds of a window of the level."""
_DEPTH, _LEAST_DEPTH = 25.0, 15.0
"""A window is quiet if its level lies so many dB below that of the speech around it; or below the
second value, where it is near the noise of a pause."""
_ABOVE_NOISE = 0.25
"""The share of the way from the noise near a window to the speech around it that is near."""
_AROUND, _NEAR = 10.0, 2.0
"""Seconds on either side that are around a window, and near it."""
_MARGIN = 0.1
"""Seconds of a pause that are kept on either side of speech; what is between them is silence."""
_LONGEST, _SHORTEST = 16.0, 8.0
"""Seconds of speech that are normalised together."""
_EDGE = 4
"""Frames at both ends of a block of samples that need more samples than the block has."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A recording.

    Attributes:
        mel: (M, T) float16, natural log.
        quiet: (L,) bool, the windows that are no speech.
        level: (L,) float32, dB.
        speech: (L,) float32, dB, the level of the speech around each window.
        seconds: its length.
        frame_rate: of the mel, in Hz.
    """

    mel: np.ndarray
    quiet: np.ndarray
    level: np.ndarray
    speech: np.ndarray
    seconds: float
    frame_rate: float

    def parts(self) -> list[np.ndarray]:
        """The frames that are not silent, in groups that are normalised together.

        Each group is like an utterance: some seconds of speech with short pauses between.
        """
        frames = self.mel.shape[1]
        windows = ((np.arange(frames) + 0.5) / self.frame_rate / WINDOW).astype(np.int64)
        margin = round(_MARGIN / WINDOW)
        near = _near(~self.quiet, margin)
        kept = near[np.minimum(windows, len(near) - 1)]
        longest, shortest = (round(s * self.frame_rate) for s in (_LONGEST, _SHORTEST))
        groups: list[np.ndarray] = []
        group: list[np.ndarray] = []
        size = 0
        for start, end in _runs(kept):
            for island in self._split(start, end, longest):
                if size and (size >= shortest or size + len(island) > longest):
                    groups.append(np.concatenate(group))
                    group, size = [], 0
                group.append(island)
                size += len(island)
        if group:
            groups.append(np.concatenate(group))
        return groups

    def _split(self, start: int, end: int, longest: int) -> Iterator[np.ndarray]:
        """Frames [start, end) in parts that are not too long, cut where the mel is weakest."""
        while end - start > longest:
            middle = self.mel[:, start + longest // 2 : start + longest].astype(np.float32).mean(0)
            cut = start + longest // 2 + int(middle.argmin())
            yield np.arange(start, cut)
            start = cut
        yield np.arange(start, end)


def record(path: Path, progress: Callable[[float], None] = lambda seconds: None) -> Recorded:
    """Decode a recording block by block; all that is kept of it is 50 MB an hour.

    Args:
        path: of the recording.
        progress: called with the seconds of audio that were decoded since.

    Raises:
        UtteranceError: see `streamed`.
    """
    import torch

    from ns2.model.codec.interface import one_thread
    from ns2.model.log_mel import LogMel

    config = MelConfig()
    mel, hop, rate = LogMel(config), config.hop_length, config.sample_rate
    window = round(WINDOW * rate)
    mels: list[np.ndarray] = []
    levels: list[np.ndarray] = []
    samples = 0
    rest, short = np.zeros(0, np.float32), np.zeros(0, np.float32)
    edge = _EDGE * hop
    first = True
    with one_thread(), torch.inference_mode():

        def analyse(wave: np.ndarray, start: int, end: int) -> None:
            found = mel(torch.from_numpy(wave)).numpy()
            mels.append(found[:, start : end or None].astype(np.float16))

        for block in streamed(path, rate):
            samples += len(block)
            short = np.concatenate([short, block])
            whole = len(short) // window * window
            levels.append(_level(short[:whole].reshape(-1, window)))
            short = short[whole:]
            rest = np.concatenate([rest, block])
            whole = len(rest) // hop * hop
            if whole > 4 * edge:
                analyse(rest[:whole], 0 if first else _EDGE, -_EDGE)
                rest, first = rest[whole - 2 * edge :], False
            progress(len(block) / rate)
        if len(short):
            levels.append(_level(short[None]))
        if len(rest):
            analyse(rest, 0 if first else _EDGE, 0)
    level = np.concatenate(levels)
    quiet, speech = _quiet(level)
    return Recorded(
        mel=np.concatenate(mels, axis=1),
        quiet=quiet,
        level=level,
        speech=speech,
        seconds=samples / rate,
        frame_rate=rate / hop,
    )


def _level(windows: np.ndarray) -> np.ndarray:
    """Level (L,) in dB of windows (L, S)."""
    power = np.square(windows, dtype=np.float64).mean(1)
    return np.asarray(10 * np.log10(power + 1e-10), np.float32)


def _quiet(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The windows (L,) of a level that are no speech, and the level (L,) of speech around them."""
    smooth = np.convolve(10 ** (level / 10), np.full(3, 1 / 3), "same")[: len(level)]
    level = 10 * np.log10(smooth + 1e-10)
    step = round(0.5 / WINDOW)
    places = np.arange(0, len(level), step)
    around, near = (round(seconds / WINDOW) for seconds in (_AROUND, _NEAR))
    high = [np.quantile(level[max(0, p - around) : p + around + 1], 0.95) for p in places]
    low = [np.quantile(level[max(0, p - near) : p + near + 1], 0.05) for p in places]
    at = np.arange(len(level))
    speech, noise = np.interp(at, places, high), np.interp(at, places, low)
    above = np.minimum(noise + _ABOVE_NOISE * (speech - noise), speech - _LEAST_DEPTH)
    quiet = level < np.maximum(speech - _DEPTH, above)
    return np.asarray(quiet), np.asarray(speech, np.float32)


def _near(values: np.ndarray, reach: int) -> np.ndarray:
    """Whether any of the values around each is true."""
    counts = np.concatenate([[0], np.cumsum(values)])
    at = np.arange(len(values))
    ends = np.minimum(at + reach + 1, len(values))
    return np.asarray(counts[ends] > counts[np.maximum(at - reach, 0)])


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Where runs of true values begin and end."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], values, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(change[::2], change[1::2], strict=True)]
