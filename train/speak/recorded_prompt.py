"""What of a recording is taken as a prompt: its voice, without silence and slams around it.

Letters for shapes: S samples, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0

_LONGEST_LOOKED_AT = 300.0
"""The seconds of a recording that are looked at: of a longer one the loudest."""
_SHORTEST_VOICE = 3
"""Frames of a voice in a row that are none alone: a click, or a chair."""
_AROUND = 0.25
"""Seconds around voiced frames in which consonants may stand."""
_QUIETER = 35.0
"""dB below the voice from which on sound around it is silence."""
_LOUDER = 3.0
"""dB by which what has no voice is louder than the voice and no consonant."""
_FALL = 15.0
"""dB below the voice to which a slam is followed while it rings."""
_FADE = 0.005
"""Seconds of the fade where something was cut out."""
_ENOUGH = 0.95
"""The share of the most voiced frames that a stretch may have, from which on others matter more."""
_SEMITONE, _DECIBELS = float(np.log(2) / 12), 3.0
"""Differences of pitch and of level from the whole recording that count alike in a stretch."""


@dataclass(frozen=True, kw_only=True)
class VoiceStretch:
    """The part of a recording that is taken.

    Attributes:
        wave: (S,) float32.
        voiced_seconds: the time with a voice in it.
        f0: (K,) Hz, F0 of the voiced frames of the whole recording.
    """

    wave: np.ndarray
    voiced_seconds: float
    f0: np.ndarray


def voice_of(wave: np.ndarray, grid: FrameGrid, longest: int) -> VoiceStretch:
    """Take a stretch of a recording that is full of its voice, and typical of it.

    Silence and noise before and after the voice are cut, and so is what is louder than the voice
    and has none, such as a door that slams, wherever it stands. Of the stretches with nearly as
    many voiced frames as any, the one is taken whose pitch and level are nearest to those of the
    whole: a sentence's end or a shout would give the model another voice, and where stretches have
    equally many voiced frames, the least noise would decide.

    Args:
        wave: (S,) float32 at the grid's sampling rate.
        grid: the frame grid of the codec.
        longest: the most frames that the stretch may have.

    Returns:
        the stretch; where there is no voice the loudest one, with no seconds of voice.
    """
    hop, per_second = grid.hop_length, grid.sample_rate / grid.hop_length
    wave = loudest_stretch(wave, round(_LONGEST_LOOKED_AT * grid.sample_rate))
    f0 = extract_f0(wave, PitchConfig(sample_rate=grid.sample_rate, hop_length=hop))
    voiced = _without_short(f0 > 0, _SHORTEST_VOICE)
    if not voiced.any():
        stretch = loudest_stretch(wave, longest * hop)
        return VoiceStretch(wave=stretch, voiced_seconds=0.0, f0=f0[:0])
    levels = _levels(wave, hop, len(voiced))
    kept = _kept(voiced, levels, round(_AROUND * per_second))
    first, end = _typical(np.where(voiced, f0, 0)[kept], levels[kept], longest)
    chosen = np.flatnonzero(kept)[first:end]
    return VoiceStretch(
        wave=_joined(wave, chosen, hop, round(_FADE * grid.sample_rate)),
        voiced_seconds=float(voiced[chosen].sum() / per_second),
        f0=f0[kept & voiced],
    )


def loudest_stretch(wave: np.ndarray, longest: int) -> np.ndarray:
    """The stretch of a wave (S,) with the most energy, of `longest` samples at most."""
    if len(wave) <= longest:
        return wave
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    first = int(np.argmax(energy[longest:] - energy[:-longest]))
    return wave[first : first + longest]


def _without_short(flags: np.ndarray, shortest: int) -> np.ndarray:
    """Flags (T,) without runs that are shorter."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    found = np.zeros_like(flags)
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        found[first:end] = end - first >= shortest
    return found


def _levels(wave: np.ndarray, hop: int, frames: int) -> np.ndarray:
    """The level (T,) of each frame in dB."""
    padded = np.zeros(frames * hop)
    padded[: len(wave)] = wave[: frames * hop]
    power = np.square(padded).reshape(frames, hop).mean(axis=1)
    return np.asarray(10 * np.log10(power + 1e-12))


def _kept(voiced: np.ndarray, levels: np.ndarray, around: int) -> np.ndarray:
    """Which frames (T,) are kept: from the first to the last sound of the voice, without slams."""
    voice = float(np.percentile(levels[voiced], 90))
    near = np.convolve(voiced, np.ones(2 * around + 1))[around:-around] > 0
    slams = _spread(~voiced & (levels > voice + _LOUDER), ~voiced & (levels > voice - _FALL))
    sounding = np.flatnonzero(voiced | (near & (levels > voice - _QUIETER) & ~slams))
    kept = np.zeros_like(voiced)
    kept[sounding[0] : sounding[-1] + 1] = True
    return kept & ~slams


def _spread(seeds: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The runs of `allowed` (T,) that hold one of `seeds` (T,)."""
    edges = np.flatnonzero(np.diff(allowed.astype(np.int8), prepend=0, append=0))
    found = np.zeros_like(allowed)
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        found[first:end] = seeds[first:end].any()
    return found


def _typical(f0: np.ndarray, levels: np.ndarray, longest: int) -> tuple[int, int]:
    """The stretch of `longest` frames at most that is full of the voice and most like all of it.

    Args:
        f0: (T,) Hz, 0 where unvoiced.
        levels: (T,) dB.
    """
    if len(f0) <= longest:
        return 0, len(f0)
    voiced = f0 > 0
    pitch = np.log(np.where(voiced, f0, 1.0))
    pitch -= np.median(pitch[voiced])
    pitch = np.clip(pitch, -np.log(2), np.log(2))  # an octave is an error of the extractor
    level = levels - np.median(levels[voiced])
    count = _sums(voiced, longest)
    far = (
        np.abs(_sums(voiced * pitch, longest)) / _SEMITONE
        + np.abs(_sums(voiced * level, longest)) / _DECIBELS
    ) / np.maximum(count, 1)
    first = int(np.argmin(np.where(count >= _ENOUGH * count.max(), far, np.inf)))
    return first, first + longest


def _sums(values: np.ndarray, size: int) -> np.ndarray:
    """The sums (T - size + 1,) of all stretches of so many values (T,)."""
    total = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(total[size:] - total[:-size])


def _joined(wave: np.ndarray, frames: np.ndarray, hop: int, fade: int) -> np.ndarray:
    """The frames of a wave (S,) one after the other, with a short fade wherever one is missing."""
    cuts = np.flatnonzero(np.diff(frames) > 1) + 1
    parts = [
        wave[run[0] * hop : (run[-1] + 1) * hop].copy()
        for run in np.split(frames, cuts)
        if len(run)
    ]
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    for one, following in pairwise(parts):
        one[-fade:] *= ramp[::-1][-len(one) :]
        following[:fade] *= ramp[: len(following)]
    return np.concatenate(parts).astype(np.float32)
