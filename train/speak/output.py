"""Speech as sound files and as a stream: never clipped, never with values that are not finite.

Letters for shapes: S samples.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError

FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
"""By the ending of a file's name its format and coding, as soundfile names them."""
_AROUND = 0.005
"""Seconds around a sample that is too loud in which a stream is made quieter."""
_UNKNOWN = 0xFFFFFFFF
"""The length in the header of a stream, which is not known when it begins."""


def save_sound(path: Path, wave: np.ndarray, rate: int) -> float:
    """Write speech as a file that appears whole or not at all; its ending says in which format.

    Args:
        path: a name with one of the endings in `FORMATS`.
        wave: (S,) float.
        rate: the sampling rate in Hz.

    Returns:
        the dB by which it was brought down, since it was louder than full scale; 0 otherwise.

    Raises:
        UserError: the wave has values that are not finite; nothing is written.
    """
    import soundfile

    check_finite(wave, str(path))
    gain = full_scale_gain(wave)
    kind, coding = FORMATS[path.suffix.lower()]
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave * gain, -1, 1), rate, coding, format=kind)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
    return _down(gain)


def check_finite(wave: np.ndarray, name: str) -> None:
    """See that a wave (S,) can be heard.

    Raises:
        UserError: it has values that are not finite.
    """
    if not np.isfinite(wave).all():
        raise UserError(
            f"{name}: the model made values that are not finite, and nothing is written; try other "
            "weights (--weights) or fewer steps of another --sampler"
        )


def full_scale_gain(wave: np.ndarray) -> float:
    """The factor that brings a wave (S,) within full scale; 1 where it is."""
    return 1 / max(1.0, float(np.abs(wave).max(initial=0.0)))


def limiting_gain(wave: np.ndarray, around: int) -> np.ndarray:
    """The smooth factor (S,) that brings a wave (S,) within full scale: 1 where nothing near is.

    Args:
        around: the samples on either side over which it falls and rises.
    """
    if full_scale_gain(wave) == 1:
        return np.ones(len(wave))
    # a mean of minima over as many samples: each of these minima has seen the sample
    needed = 1 / np.maximum(1.0, np.abs(wave, dtype=np.float64))
    size = 2 * around + 1
    lowest = sliding_window_view(np.pad(needed, 2 * around, mode="edge"), size).min(axis=1)
    return np.convolve(lowest, np.full(size, 1 / size), mode="valid")


def _down(gain: float) -> float:
    return float(-20 * np.log10(gain)) if gain < 1 else 0.0


class SoundStream:
    """A WAV file of unknown length that is written piece by piece, 16 bits, mono.

    What comes later is not known, so the whole can't be brought down as a file is. Only what is
    louder than full scale is, with the moments around it, and not what was written before or comes
    behind: a shout does not change the level of all the speech that follows.
    """

    def __init__(self, out: BinaryIO, rate: int) -> None:
        self._out, self._rate, self._begun, self._least = out, rate, False, 1.0

    @property
    def down(self) -> float:
        """The dB by which the loudest moment was brought down; 0 if none was."""
        return _down(self._least)

    def write(self, wave: np.ndarray) -> None:
        """Write the next piece (S,), and see that it leaves.

        Raises:
            UserError: it has values that are not finite.
            BrokenPipeError: nobody reads any more.
        """
        check_finite(wave, "standard output")
        if not self._begun:
            self._out.write(_header(self._rate))
            self._begun = True
        gain = limiting_gain(wave, round(_AROUND * self._rate))
        self._least = min(self._least, float(gain.min(initial=1.0)))
        self._out.write((np.clip(wave * gain, -1, 1) * 32767).round().astype("<i2").tobytes())
        self._out.flush()


def _header(rate: int) -> bytes:
    """The header of a WAV file whose length is unknown."""
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    riff = b"RIFF" + struct.pack("<I", _UNKNOWN) + b"WAVE"
    return (
        riff + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", _UNKNOWN)
    )
