"""Loudness as people hear it, ITU-R BS.1770-4: by pyloudnorm (MIT licence), or by torchaudio."""

from __future__ import annotations

import math
import warnings

import numpy as np

BLOCK_SECONDS = 0.4
"""A recording that is shorter has no loudness."""
_SILENT = -70.0
"""The loudness in LUFS below which nothing is heard, the standard's absolute gate."""
_FAR_FROM_FULL_SCALE = 0.1
"""The peak at which torchaudio measures, since its filters clip what is louder than full scale."""


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
    found = integrated_loudness(_long_enough(wave, rate), rate)
    if found is None:
        return wave
    gain = min(10 ** ((target - found) / 20), 1 / float(np.max(np.abs(wave))))
    return (wave * np.float32(gain)).astype(np.float32)


def loudness_of_speech(wave: np.ndarray, rate: int) -> float | None:
    """The integrated loudness of a wave (S,) float32 in LUFS by torchaudio, which is there already.

    pyloudnorm is in no installation that only speaks, and imports scipy for a second; both differ
    by hundredths of 1 LU. What is too short is repeated.

    Returns:
        the loudness; None where the wave is nearly silent.
    """
    import torch
    from torchaudio.functional import loudness

    peak = float(np.max(np.abs(wave), initial=0.0))
    if not (0 < peak < math.inf):
        return None
    scaled = _long_enough(wave, rate) * np.float32(_FAR_FROM_FULL_SCALE / peak)
    found = float(loudness(torch.from_numpy(scaled)[None], rate))
    found -= 20 * math.log10(_FAR_FROM_FULL_SCALE / peak)
    return found if found > _SILENT else None


def _long_enough(wave: np.ndarray, rate: int) -> np.ndarray:
    """A wave (S,) that has a loudness: it is repeated where it is too short."""
    least = math.ceil(BLOCK_SECONDS * rate)
    return wave if len(wave) >= least else np.resize(wave, least)
