"""Fundamental frequency (F0) on the frame grid: four extractors.

Shapes: S samples, T = ceil(S / hop) frames; frame i stands for its centre, sample
hop * i + hop / 2. K candidates a frame.

`path` (see `ns2.pipeline.sound.f0.path`) weighs candidates by evidence and chooses one path over
time. The others decide frame by frame. Those of WORLD ask for regularity alone, so they also follow
mains hum far below the speech and call a good part of noise voiced. So each candidate is compared
with the signal (`f0.voicing`): the correlation of two stretches one period apart, in the band where
the harmonics of speech lie. The best candidate is kept; if even that does not repeat, the frame is
unvoiced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ns2.pipeline.sound.f0 import world
from ns2.pipeline.sound.f0.config import PitchConfig
from ns2.pipeline.sound.f0.path import path_f0
from ns2.pipeline.sound.f0.voicing import periodicity, speech_band, voiced_frames


def extract_f0(wave: np.ndarray, config: PitchConfig) -> np.ndarray:
    """F0 of every frame; a pure function of its arguments that ignores the level of the wave.

    Args:
        wave: (S,) samples at `config.sample_rate`.
        config: the extractor and its range.

    Returns:
        (T,) float32 Hz, each in [f0_min, f0_max], or 0 where unvoiced.

    Raises:
        ValueError: the wave has more than one axis or values that are not finite.
    """
    signal, frames = world.levelled(wave, config)
    f0 = np.zeros(frames)
    if signal is not None:
        f0 = _EXTRACTORS[config.method](signal, frames, config)
    return f0.astype(np.float32)


def every_f0(wave: np.ndarray, config: PitchConfig) -> tuple[np.ndarray, np.ndarray]:
    """F0 of every frame that Harvest gives one, also of frames that are not voiced.

    Returns:
        (T,) float32 Hz, 0 where Harvest finds none; and (T,) bool, the voiced frames.
    """
    signal, frames = world.levelled(wave, config)
    if signal is None:
        return np.zeros(frames, np.float32), np.zeros(frames, bool)
    f0 = world.bare_harvest(signal, frames, config)
    return f0.astype(np.float32), _repeats(signal, f0, config)


def continued_f0(wave: np.ndarray, config: PitchConfig) -> tuple[np.ndarray, np.ndarray]:
    """F0 of the extractor, followed from its voiced frames to neighbours that repeat, too.

    Returns:
        (T,) float32 Hz, 0 in frames that are not voiced; and (T,) bool, the voiced frames.
    """
    known = extract_f0(wave, config)
    signal, frames = world.levelled(wave, config)
    places = np.flatnonzero(known)
    if signal is None or not len(places):
        return known, known > 0
    between = np.exp(np.interp(np.arange(frames), places, np.log(known[places])))
    refined = world.refined(signal, between, config)
    refined = np.where((refined >= config.f0_min) & (refined <= config.f0_max), refined, 0.0)
    f0 = np.where(known > 0, known, refined)
    voiced = _repeats(signal, f0, config)
    return np.where(voiced, f0, 0).astype(np.float32), voiced


def _repeats(signal: np.ndarray, f0: np.ndarray, config: PitchConfig) -> np.ndarray:
    """The frames (T,) in which a signal (S,) repeats after a period of F0 (T,)."""
    harmonic = speech_band(signal, config.sample_rate)
    return voiced_frames(periodicity(harmonic, f0, config.grid, config.f0_min))


def f0_scalars(f0: np.ndarray) -> dict[str, float]:
    """Scalars of the index: the share of voiced frames, and their median F0 in Hz (0 without any).

    Args:
        f0: (T,) Hz, 0 where unvoiced.
    """
    voiced = f0[f0 > 0]
    return {
        "voiced_share": len(voiced) / max(len(f0), 1),
        "f0_median": float(np.median(voiced)) if len(voiced) else 0.0,
    }


def f0_sums(arrays: Sequence[np.ndarray]) -> dict[str, float]:
    """Float64 sums over the voiced frames of several utterances, in order.

    Args:
        arrays: (T,) Hz each, 0 where unvoiced.

    Returns:
        voiced and frames (counts), log_sum and log_sum_squares (of natural logarithms of Hz);
        and, if any frame is voiced, min and max in Hz.
    """
    sums: dict[str, float] = {"voiced": 0, "frames": 0, "log_sum": 0.0, "log_sum_squares": 0.0}
    for f0 in arrays:
        voiced = f0[f0 > 0].astype(np.float64)
        sums["voiced"] += len(voiced)
        sums["frames"] += len(f0)
        if len(voiced):
            logs = np.log(voiced)
            sums["log_sum"] += float(logs.sum())
            sums["log_sum_squares"] += float((logs**2).sum())
            sums["min"] = min(sums.get("min", np.inf), float(voiced.min()))
            sums["max"] = max(sums.get("max", 0.0), float(voiced.max()))
    return sums


def _autocorrelation(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    """F0 by Praat's autocorrelation (Boersma, 1993) through parselmouth: (T,) Hz.

    Praat centres its frames in the sound. Equal padding on both sides, of half an analysis window
    and 0.75 hops, puts its frames on ours, with one more at each end.
    """
    import parselmouth

    hop, window = config.hop_length, 3 / config.f0_min * config.sample_rate
    pad = int(np.ceil((window + 1.5 * hop) / 2))
    padded = np.zeros(2 * pad + frames * hop)
    padded[pad : pad + len(signal)] = signal
    pitch = parselmouth.Sound(padded, config.sample_rate).to_pitch_ac(
        time_step=hop / config.sample_rate,
        pitch_floor=config.f0_min,
        pitch_ceiling=config.f0_max,
    )
    centres = pitch.xs()[1:-1] * config.sample_rate - pad
    assert np.allclose(centres, hop * (np.arange(frames) + 0.5), atol=0.01)
    return np.asarray(pitch.selected_array["frequency"][1:-1])


def _best(signal: np.ndarray, candidates: np.ndarray, config: PitchConfig) -> np.ndarray:
    """Of candidates (K, T) in Hz those that repeat best, 0 where none repeats well: (T,) Hz."""
    in_range = (candidates >= config.f0_min) & (candidates <= config.f0_max)
    candidates = np.where(in_range, candidates, 0.0)
    harmonic = speech_band(signal, config.sample_rate)
    scores = np.stack([periodicity(harmonic, f0, config.grid, config.f0_min) for f0 in candidates])
    best = scores.argmax(axis=0), np.arange(candidates.shape[1])
    return np.where(voiced_frames(scores[best]), candidates[best], 0.0)


def _dio(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    found, refined = world.dio(signal, frames, config)
    return _best(signal, np.stack([refined, found]), config)


def _harvest(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    found, refined = world.harvest(signal, frames, config)
    return _best(signal, np.stack([refined, found]), config)


def _praat(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    return _best(signal, _autocorrelation(signal, frames, config)[None], config)


_EXTRACTORS: dict[str, Callable[[np.ndarray, int, PitchConfig], np.ndarray]] = {
    "path": path_f0,
    "dio": _dio,
    "harvest": _harvest,
    "praat": _praat,
}
"""The extractors by name: each takes a signal as `levelled` gives it, T and the settings."""

__all__ = ["PitchConfig", "continued_f0", "every_f0", "extract_f0", "f0_scalars", "f0_sums"]
