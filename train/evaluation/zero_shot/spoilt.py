"""Prompts as they come from bad places: with noise, and by telephone.

Letters for shapes: S samples.
"""

from __future__ import annotations

import numpy as np

NOISE_DB = 10.0
"""The level of the voice over the noise, in dB."""
TELEPHONE = (300.0, 3400.0)
"""The band of a telephone, in Hz."""


def with_noise(wave: np.ndarray, seed: int, decibels: float = NOISE_DB) -> np.ndarray:
    """A wave (S,) with white noise that is so many dB below its mean power; float32."""
    noise = np.random.default_rng(seed).standard_normal(len(wave))
    power = float(np.mean(np.square(wave, dtype=np.float64)))
    level = np.sqrt(power / 10 ** (decibels / 10) / max(float(np.mean(noise**2)), 1e-12))
    return (wave + level * noise).astype(np.float32)


def by_telephone(wave: np.ndarray, rate: int) -> np.ndarray:
    """A wave (S,) with nothing outside the band of a telephone; float32."""
    spectrum = np.fft.rfft(wave.astype(np.float64))
    frequency = np.fft.rfftfreq(len(wave), 1 / rate)
    spectrum[(frequency < TELEPHONE[0]) | (frequency > TELEPHONE[1])] = 0
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)
