"""Fundamental frequency (F0) on the frame grid: three extractors, one check of voicing.

Shapes: S samples, T = ceil(S / hop) frames; frame i stands for its centre, sample
hop * i + hop / 2. K candidates a frame.

An extractor proposes candidates. Those of WORLD ask for regularity alone, so they also follow mains
hum far below the speech and call a good part of noise voiced. So each candidate is compared with
the signal (`voicing`): the correlation of two stretches one period apart, in the band where the
harmonics of speech lie. The best candidate is kept; if even that does not repeat, the frame is
unvoiced.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.sound.voicing import periodicity, speech_band, voiced_frames

if TYPE_CHECKING:
    from types import ModuleType

_DITHER = 0.02  # of the RMS, -34 dB
_OVERTONES = 0.2  # gain of the added overtones; 0.1 leaves gaps in pure sines above 800 Hz


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """Settings of the F0 extraction.

    Attributes:
        method: the extractor: dio (DIO with StoneMask), harvest (slower, more frames are voiced)
            or praat (autocorrelation).
        f0_min: lowest F0 in Hz.
        f0_max: highest F0 in Hz.
        sample_rate: sample rate of the waves in Hz.
        hop_length: samples from one frame to the next.
    """

    method: Literal["dio", "harvest", "praat"] = "dio"
    f0_min: float = 50.0
    f0_max: float = 1100.0
    sample_rate: int = 24_000
    hop_length: int = 320

    def __post_init__(self) -> None:
        if self.method not in _EXTRACTORS:
            raise ValueError(
                f"unknown pitch method {self.method!r}: choose one of {', '.join(_EXTRACTORS)}"
            )
        if self.sample_rate < 1 or self.hop_length < 1:
            raise ValueError(
                f"sample_rate and hop_length must be positive, got {self.sample_rate} and "
                f"{self.hop_length}: take them from the codec's grid"
            )
        ceiling = self.sample_rate / 12  # above it StoneMask refuses to refine
        if not 20.0 <= self.f0_min < self.f0_max <= ceiling:
            raise ValueError(
                f"pitch range {self.f0_min:g} to {self.f0_max:g} Hz: f0_min must be at least 20, "
                f"f0_max above it and at most {ceiling:g} (a twelfth of the sample rate); "
                "50 to 1100 fits speech and song"
            )
        for name in ("f0_min", "f0_max"):  # 50 and 50.0 are one configuration
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def library(self) -> str:
        """The Python distribution whose version decides the values."""
        return "praat-parselmouth" if self.method == "praat" else "pyworld"


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
    signal, frames = _levelled(wave, config)
    f0 = np.zeros(frames)
    if signal is not None:
        grid = FrameGrid(sample_rate=config.sample_rate, hop_length=config.hop_length)
        candidates = _EXTRACTORS[config.method](signal, frames, config)  # (K, T)
        in_range = (candidates >= config.f0_min) & (candidates <= config.f0_max)
        candidates = np.where(in_range, candidates, 0.0)
        harmonic = speech_band(signal, config.sample_rate)
        scores = np.stack([periodicity(harmonic, f0, grid, config.f0_min) for f0 in candidates])
        best = scores.argmax(axis=0), np.arange(frames)
        f0 = np.where(voiced_frames(scores[best]), candidates[best], 0.0)
    return f0.astype(np.float32)


def every_f0(wave: np.ndarray, config: PitchConfig) -> tuple[np.ndarray, np.ndarray]:
    """F0 of every frame that Harvest gives one, also of frames that are not voiced.

    Returns:
        (T,) float32 Hz, 0 where Harvest finds none; and (T,) bool, the voiced frames.
    """
    signal, frames = _levelled(wave, config)
    if signal is None:
        return np.zeros(frames, np.float32), np.zeros(frames, bool)
    padded, lead = _on_frame_centres(signal, frames, config)
    period = 1000 * config.hop_length / config.sample_rate
    found, _ = _pyworld().harvest(
        padded,
        config.sample_rate,
        f0_floor=config.f0_min,
        f0_ceil=config.f0_max,
        frame_period=period,
    )
    f0 = found[lead : lead + frames]
    return f0.astype(np.float32), _repeats(signal, f0, config)


def continued_f0(wave: np.ndarray, config: PitchConfig) -> tuple[np.ndarray, np.ndarray]:
    """F0 of the extractor, followed from its voiced frames to neighbours that repeat, too.

    Returns:
        (T,) float32 Hz, 0 in frames that are not voiced; and (T,) bool, the voiced frames.
    """
    known = extract_f0(wave, config)
    signal, frames = _levelled(wave, config)
    places = np.flatnonzero(known)
    if signal is None or not len(places):
        return known, known > 0
    between = np.exp(np.interp(np.arange(frames), places, np.log(known[places])))
    padded, lead = _on_frame_centres(signal, frames, config)
    times = np.arange(frames + 2 * lead) * (config.hop_length / config.sample_rate)
    refined = _pyworld().stonemask(padded, np.pad(between, lead), times, config.sample_rate)
    refined = refined[lead : lead + frames]
    refined = np.where((refined >= config.f0_min) & (refined <= config.f0_max), refined, 0.0)
    f0 = np.where(known > 0, known, refined)
    voiced = _repeats(signal, f0, config)
    return np.where(voiced, f0, 0).astype(np.float32), voiced


def _repeats(signal: np.ndarray, f0: np.ndarray, config: PitchConfig) -> np.ndarray:
    """The frames (T,) in which a signal (S,) repeats after a period of F0 (T,)."""
    grid = FrameGrid(sample_rate=config.sample_rate, hop_length=config.hop_length)
    harmonic = speech_band(signal, config.sample_rate)
    return voiced_frames(periodicity(harmonic, f0, grid, config.f0_min))


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


def _levelled(wave: np.ndarray, config: PitchConfig) -> tuple[np.ndarray | None, int]:
    """The signal (S,) with a mean of 0 and an RMS of 1, None for silence; and its frames, T.

    Raises:
        ValueError: the wave has more than one axis or values that are not finite.
    """
    if wave.ndim != 1:
        raise ValueError(f"expected one channel (S,), got shape {wave.shape}: mix it down first")
    grid = FrameGrid(sample_rate=config.sample_rate, hop_length=config.hop_length)
    frames = grid.frames(len(wave))
    signal = wave.astype(np.float64)
    signal -= signal.mean() if frames else 0.0
    rms = float(np.sqrt(np.mean(signal**2))) if frames else 0.0
    if not np.isfinite(rms):
        raise ValueError("the wave holds NaN or infinity: reject it when decoding")
    return (signal / rms if rms > 0 else None), frames


def _dio(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    """DIO (Morise et al., 2009) refined by StoneMask, and DIO alone: (2, T) Hz.

    DIO judges continuity over frames: with frames of 13.3 ms its errors of voicing and octave are
    three times as many, so it runs on frames of a third. It works at about 8 kHz, as Harvest does
    by itself: at 24 kHz that takes a third of the time, with the same voicing and errors.
    """
    pyworld = _pyworld()
    padded, lead = _on_frame_centres(signal, frames, config)
    period = 1000 * config.hop_length / config.sample_rate / 3
    found, times = pyworld.dio(
        _dithered(padded),
        config.sample_rate,
        f0_floor=config.f0_min,
        f0_ceil=config.f0_max,
        frame_period=period,
        speed=min(max(config.sample_rate // 8000, 1), 12),
    )
    kept = slice(3 * lead, 3 * (lead + frames), 3)
    found, times = found[kept].copy(), times[kept].copy()
    return np.stack([pyworld.stonemask(padded, found, times, config.sample_rate), found])


def _harvest(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    """Harvest (Morise, 2017) refined by StoneMask, and Harvest alone: (2, T) Hz.

    Harvest works on a grid of 1 ms whatever the frame period, so a finer one would change nothing.
    """
    pyworld = _pyworld()
    padded, lead = _on_frame_centres(signal, frames, config)
    found, times = pyworld.harvest(
        _dithered(padded + _OVERTONES * _overtones(padded, config.sample_rate)),
        config.sample_rate,
        f0_floor=config.f0_min,
        f0_ceil=config.f0_max,
        frame_period=1000 * config.hop_length / config.sample_rate,
    )
    kept = slice(lead, lead + frames)
    found, times = found[kept].copy(), times[kept].copy()
    return np.stack([pyworld.stonemask(padded, found, times, config.sample_rate), found])


def _praat(signal: np.ndarray, frames: int, config: PitchConfig) -> np.ndarray:
    """Praat's autocorrelation (Boersma, 1993) through parselmouth: (1, T) Hz.

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
    return pitch.selected_array["frequency"][None, 1:-1]


_EXTRACTORS: dict[str, Callable[[np.ndarray, int, PitchConfig], np.ndarray]] = {
    "dio": _dio,
    "harvest": _harvest,
    "praat": _praat,
}


def _pyworld() -> ModuleType:
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


def _dithered(signal: np.ndarray) -> np.ndarray:
    """The signal with white noise at -34 dB, under which faint hum is not regular.

    RandomState is the generator whose stream numpy promises never to change.
    """
    noise = np.random.RandomState(0).random_sample(len(signal)) - 0.5
    return signal + _DITHER * np.sqrt(12) * noise


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
