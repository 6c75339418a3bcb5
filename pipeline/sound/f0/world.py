"""WORLD (Morise et al., 2016) on our frame grid: DIO, Harvest and StoneMask.

Shapes: S samples, T = ceil(S / hop) frames; frame i stands for its centre, sample
hop * i + hop / 2.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.sound.f0.config import PitchConfig

if TYPE_CHECKING:
    from types import ModuleType

_DITHER = 0.02  # of the RMS, -34 dB
_MOST_NOISE = 2**19  # samples of noise that are kept, 22 s at 24 kHz
_OVERTONES = 0.2  # gain of the added overtones; 0.1 leaves gaps in pure sines above 800 Hz


def levelled(wave: np.ndarray, config: PitchConfig) -> tuple[np.ndarray | None, int]:
    """The signal (S,) with a mean of 0 and an RMS of 1, None for silence; and its frames, T.

    Raises:
        ValueError: the wave has more than one axis or values that are not finite.
    """
    if wave.ndim != 1:
        raise ValueError(f"expected one channel (S,), got shape {wave.shape}: mix it down first")
    frames = config.grid.frames(len(wave))
    signal = wave.astype(np.float64)
    signal -= signal.mean() if frames else 0.0
    rms = float(np.sqrt(np.mean(signal**2))) if frames else 0.0
    if not np.isfinite(rms):
        raise ValueError("the wave holds NaN or infinity: reject it when decoding")
    return (signal / rms if rms > 0 else None), frames


def dio(signal: np.ndarray, frames: int, config: PitchConfig) -> tuple[np.ndarray, np.ndarray]:
    """F0 as `bare_dio` finds it, and the same refined by StoneMask: (T,) Hz each."""
    padded, lead = _on_frame_centres(signal, frames, config)
    found, times = _dio(padded, lead, frames, config)
    return found, pyworld_module().stonemask(padded, found, times, config.sample_rate)


def bare_dio(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    """F0 by DIO (Morise et al., 2009), not refined: (T,) Hz, 0 where there is none.

    DIO judges continuity over frames: with frames of 13.3 ms its errors of voicing and octave are
    three times as many, so it runs on frames of a third. It works at about 8 kHz, as Harvest does
    by itself: at 24 kHz that takes a third of the time, with the same voicing and errors.
    """
    return _dio(*_on_frame_centres(signal, frames, config), frames, config)[0]


def harvest(signal: np.ndarray, frames: int, config: PitchConfig) -> tuple[np.ndarray, np.ndarray]:
    """F0 by Harvest (Morise, 2017), and the same refined by StoneMask.

    Harvest works on a grid of 1 ms whatever the frame period, so a finer one would change nothing.

    Returns:
        (T,) Hz each, 0 where there is none.
    """
    padded, lead = _on_frame_centres(signal, frames, config)
    heard = dithered(padded + _OVERTONES * _overtones(padded, config.sample_rate))
    found, times = _harvest(heard, lead, frames, config)
    return found, pyworld_module().stonemask(padded, found, times, config.sample_rate)


def bare_harvest(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    """F0 by Harvest, of the signal as it is: (T,) Hz, 0 where it finds none."""
    padded, lead = _on_frame_centres(signal, frames, config)
    return _harvest(padded, lead, frames, config)[0]


def refined(signal: np.ndarray, f0: np.ndarray, config: PitchConfig) -> np.ndarray:
    """F0 (T,) in Hz, refined by StoneMask; 0 stays 0, and so becomes what it refuses to refine."""
    padded, lead = _on_frame_centres(signal, len(f0), config)
    times = np.arange(len(f0) + 2 * lead) * (config.hop_length / config.sample_rate)
    found = pyworld_module().stonemask(padded, np.pad(f0, lead), times, config.sample_rate)
    return np.asarray(found[lead : lead + len(f0)])


def _dio(
    padded: np.ndarray, lead: int, frames: int, config: PitchConfig
) -> tuple[np.ndarray, np.ndarray]:
    """F0 (T,) in Hz, and the times (T,) of its frames in seconds."""
    found, times = pyworld_module().dio(
        dithered(padded),
        config.sample_rate,
        f0_floor=config.f0_min,
        f0_ceil=config.f0_max,
        frame_period=_period(config) / 3,
        speed=min(max(config.sample_rate // 8000, 1), 12),
    )
    kept = slice(3 * lead, 3 * (lead + frames), 3)
    return found[kept].copy(), times[kept].copy()


def _harvest(
    padded: np.ndarray, lead: int, frames: int, config: PitchConfig
) -> tuple[np.ndarray, np.ndarray]:
    """F0 (T,) in Hz, and the times (T,) of its frames in seconds."""
    found, times = pyworld_module().harvest(
        padded,
        config.sample_rate,
        f0_floor=config.f0_min,
        f0_ceil=config.f0_max,
        frame_period=_period(config),
    )
    kept = slice(lead, lead + frames)
    return found[kept].copy(), times[kept].copy()


def _period(config: PitchConfig) -> float:
    """The time from a frame to the next, in milliseconds."""
    return 1000 * config.hop_length / config.sample_rate


def pyworld_module() -> ModuleType:
    """The package pyworld, imported when it is first needed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld imports the deprecated pkg_resources
        import pyworld
    return pyworld


def _on_frame_centres(
    signal: np.ndarray, frames: int, config: PitchConfig
) -> tuple[np.ndarray, int]:
    """Zeros around the signal, so that multiples of the hop are centres of our frames.

    WORLD's frames lie at multiples of its period. DIO gives up as many frames at both ends as last
    two periods of f0_min, and writes past its buffers if there are fewer.

    Returns:
        the padded signal, and the number of hops before frame 0.
    """
    hop = config.hop_length
    lead = int(np.ceil(3 * config.sample_rate / config.f0_min / hop)) + 2
    padded = np.zeros((frames + 2 * lead) * hop)
    start = lead * hop - hop // 2
    padded[start : start + len(signal)] = signal
    return padded, lead


def dithered(signal: np.ndarray, level: float = _DITHER) -> np.ndarray:
    """The signal with white noise, under which faint hum is not regular.

    RandomState is the generator whose stream numpy promises never to change.

    Args:
        signal: (S,) samples with an RMS of 1.
        level: the RMS of the noise.
    """
    return signal + level * np.sqrt(12) * _noise(len(signal))


def _noise(samples: int) -> np.ndarray:
    """White noise (S,) within half a unit of 0: always the begin of the same stream."""
    if samples > _MOST_NOISE:
        return np.random.RandomState(0).random_sample(samples) - 0.5
    return _longest_noise()[:samples]


@lru_cache(maxsize=1)
def _longest_noise() -> np.ndarray:
    """The noise for all but the longest signals, drawn once."""
    return np.random.RandomState(0).random_sample(_MOST_NOISE) - 0.5


def _overtones(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """All harmonics of whatever is periodic in the signal, at the level of the signal.

    Harvest scores a candidate by its first six harmonics, so it finds no pitch in a pure sine.
    Rectifying twice makes harmonics from any wave: the first time the even ones, and the second
    time, about another zero, the odd ones.
    """
    half = np.maximum(signal, 0.0)
    width = sample_rate // 20
    sums = np.cumsum(np.concatenate([np.zeros(width // 2 + 1), half, np.zeros(width)]))
    mean = (sums[width : width + len(half)] - sums[: len(half)]) / width
    return np.maximum(half - mean, 0.0)
