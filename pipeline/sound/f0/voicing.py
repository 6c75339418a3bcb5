"""Which frames are voiced: whether the signal repeats after one period of a proposed F0.

Shapes: S samples, T frames; frame i stands for its centre, sample hop * i + hop / 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ns2.pipeline.core.schema import FrameGrid

_WINDOW_SECONDS = 0.02
_LEAST = 0.25  # correlation of every voiced frame
_ENOUGH = 0.5  # correlation that at least one frame of every voiced run must reach
_CHUNK = 1024  # frames correlated at once, bounds the memory


def speech_band(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """Filter a signal (S,): rising by 6 dB an octave, falling beyond 1.5 kHz.

    The rise takes the correlation out of pink and brown noise, and the weight from rumble and
    hum; the fall removes most of the noise of breath.
    """
    risen = np.diff(signal, prepend=signal[:1])
    window = np.hanning(2 * round(sample_rate / 3000) + 1)
    return np.convolve(risen, window / window.sum())[len(window) // 2 :][: len(signal)]


def periodicity(signal: np.ndarray, f0: np.ndarray, grid: FrameGrid, f0_min: float) -> np.ndarray:
    """Pearson's r of two stretches of 20 ms that lie one period apart about each frame's centre.

    For a period that is not a whole number of samples, r is interpolated between the two nearest.

    Args:
        signal: (S,) samples.
        f0: (T,) Hz, 0 where unvoiced.
        grid: gives the sample rate and the hop.
        f0_min: lowest F0 in Hz.

    Returns:
        (T,) float64, -1 where unvoiced.
    """
    window = round(_WINDOW_SECONDS * grid.sample_rate)
    margin = window + int(grid.sample_rate / f0_min) + grid.hop_length
    padded = np.pad(signal, margin)
    out = np.full(len(f0), -1.0)
    for part in _chunks(np.flatnonzero(f0)):
        period = grid.sample_rate / f0[part]
        whole = period.astype(np.int64)
        centre = margin + grid.hop_length * part + grid.hop_length // 2
        below = _correlation(padded, centre, whole, window)
        above = _correlation(padded, centre, whole + 1, window)
        out[part] = below + (period - whole) * (above - below)
    return out


def _chunks(indices: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(indices), _CHUNK):
        yield indices[start : start + _CHUNK]


def _correlation(
    signal: np.ndarray, centre: np.ndarray, lag: np.ndarray, window: int
) -> np.ndarray:
    """Pearson's r of two stretches `lag` samples apart about each centre; 0 if either is flat."""
    first = (centre - (window + lag) // 2)[:, None] + np.arange(window)
    early, late = signal[first], signal[first + lag[:, None]]
    early -= early.mean(axis=1, keepdims=True)
    late -= late.mean(axis=1, keepdims=True)
    power: Any = (early**2).sum(axis=1) * (late**2).sum(axis=1)
    # the signal's RMS is about 1; below this there is nothing but rounding
    return np.where(power > 1e-24, (early * late).sum(axis=1) / np.sqrt(power + 1e-30), 0.0)


def voiced_frames(scores: np.ndarray) -> np.ndarray:
    """Frames whose score is high enough, in runs of which a frame scores well: (T,) bool.

    Args:
        scores: (T,) as `periodicity` gives them.
    """
    voiced = scores >= _LEAST
    edges = np.flatnonzero(np.diff(voiced.astype(np.int8), prepend=0, append=0))
    for start, end in edges.reshape(-1, 2):
        if scores[start:end].max() < _ENOUGH:
            voiced[start:end] = False
    return voiced
