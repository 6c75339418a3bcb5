"""Waves as wav files: 16 bits, mono."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from ns2.pipeline.core.atomic import atomic_write


def wav_bytes(wave: np.ndarray, rate: int) -> bytes:
    """The content of a 16-bit mono wav file.

    Args:
        wave: (S,) float, clipped to [-1, 1].
        rate: the sampling rate in Hz.
    """
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1, 1), rate, "PCM_16", format="WAV")
    return buffer.getvalue()


def save_wav(path: Path, wave: np.ndarray, rate: int) -> None:
    """Write a wave, see `wav_bytes`, as a file that appears whole or not at all."""
    with atomic_write(path) as file:
        file.write(wav_bytes(wave, rate))
