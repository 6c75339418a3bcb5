"""Loudness as people hear it, by pyloudnorm (MIT licence): ITU-R BS.1770-4."""

from __future__ import annotations

import math
import warnings

import numpy as np

BLOCK_SECONDS = 0.4
"""A recording that is shorter has no loudness."""


def integrated_loudness(wave: np.ndarray, rate: int) -> float | None:
    """The integrated loudness of a wave (S,) in LUFS; None where it is too short or too quiet."""
    from pyloudnorm import Meter

    if len(wave) < BLOCK_SECONDS * rate:
        return None
    with warnings.catch_warnings():  # of empty means, where every block is below the gate
        warnings.simplefilter("ignore")
        found = float(Meter(rate).integrated_loudness(np.asarray(wave, np.float64)))
    return found if math.isfinite(found) else None


def at_loudness(wave: np.ndarray, rate: int, target: float) -> np.ndarray:
    """A wave (S,) float32 at a loudness in LUFS.

    It gets no louder than a full scale allows, so that nothing is clipped. One that is too short is
    repeated to be measured; one without a loudness, which is nearly silent, stays as it is.
    """
    least = math.ceil(BLOCK_SECONDS * rate)
    measured = wave if len(wave) >= least else np.resize(wave, least)
    found = integrated_loudness(measured, rate)
    if found is None:
        return wave
    gain = min(10 ** ((target - found) / 20), 1 / float(np.max(np.abs(wave))))
    return (wave * np.float32(gain)).astype(np.float32)
