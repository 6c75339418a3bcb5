"""Recordings made again by WORLD, and tones: waves whose F0 is known exactly.

Shapes: S samples, P frames of WORLD, T frames of the grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.sound.f0.world import pyworld_module
from ns2.train.evaluation.zero_shot.spoilt import by_telephone

PERIOD = 5.0
"""The time from a frame of WORLD to the next, in milliseconds."""

_F0_MIN, _F0_MAX = 60.0, 800.0
_NOISE = 0.99  # a mean aperiodicity of the lowest bins above this is noise alone
_LOW_BINS = 40


@dataclass(frozen=True)
class Known:
    """A wave whose F0 is known.

    Attributes:
        wave: (S,) float32.
        f0: (P,) float64 Hz every `period` seconds from the first sample on, 0 where unvoiced.
        rate: of the wave, in Hz.
        period: the time from a frame to the next, in seconds.
    """

    wave: np.ndarray
    f0: np.ndarray
    rate: int
    period: float

    def on(self, grid: FrameGrid) -> np.ndarray:
        """F0 (T,) in Hz at the centres of frames; 0 where the nearest frame is unvoiced."""
        centres = grid.hop_length * (np.arange(grid.frames(len(self.wave))) + 0.5) / self.rate
        place = np.clip(centres / self.period, 0, len(self.f0) - 1)
        before = np.floor(place).astype(np.int64)
        early, late = self.f0[before], self.f0[np.minimum(before + 1, len(self.f0) - 1)]
        nearest = self.f0[np.round(place).astype(np.int64)]
        both = (early > 0) & (late > 0)
        logs = np.log(np.where(both, early, 1.0)), np.log(np.where(both, late, 1.0))
        between = np.exp(logs[0] + (place - before) * (logs[1] - logs[0]))
        return np.where((nearest > 0) & both, between, nearest)


def made_again(wave: np.ndarray, rate: int) -> Known:
    """A recording made again by WORLD (Morise et al., 2016): as a pulse train and noise, filtered.

    F0 is that of Harvest, spectra those of CheapTrick, aperiodicity that of D4C. Where D4C finds
    noise alone, no pulse sounds, whatever Harvest says, so such frames are unvoiced.

    Args:
        wave: (S,) float32.
        rate: its sample rate in Hz.
    """
    world = pyworld_module()
    signal = wave.astype(np.float64)
    f0, times = world.harvest(signal, rate, f0_floor=_F0_MIN, f0_ceil=_F0_MAX, frame_period=PERIOD)
    spectra = world.cheaptrick(signal, f0, times, rate)
    noise = world.d4c(signal, f0, times, rate)
    made = world.synthesize(f0, spectra, noise, rate, PERIOD)[: len(signal)]
    made = np.pad(made, (0, len(signal) - len(made)))
    heard = noise[:, :_LOW_BINS].mean(axis=1) <= _NOISE
    return Known(made.astype(np.float32), np.where(heard, f0, 0.0), rate, PERIOD / 1000)


def telephoned(known: Known) -> Known:
    """A wave in the band of a telephone, 300 to 3,400 Hz, where most fundamentals are missing."""
    return replace(known, wave=by_telephone(known.wave, known.rate))


def tones_and_noises(rate: int) -> Iterator[Known]:
    """Signals that are no speech: noises, sines, breathy tones, jumps of an octave, hum, a sweep.

    Args:
        rate: of the waves, in Hz.
    """
    for seed in range(9):
        colour = ("white", "pink", "brown")[seed % 3]
        yield _known(_noise(colour, 4 * rate, 100 + seed), np.zeros(4 * rate), rate)
    time = np.arange(2 * rate) / rate
    for hz in (55.0, 70.0, 110.0, 220.0, 330.0, 440.0, 600.0, 880.0, 1000.0):
        steady = np.full(len(time), hz)
        yield _known(_tone(steady, 1, rate), steady, rate)
        if hz > 700:
            continue
        vibrato = hz * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time))
        breath = 10**-0.5 * _noise("white", len(time), round(hz))
        yield _known(_levelled(_tone(vibrato, 10, rate)) + breath, vibrato, rate)
        for partials in (1, 10):
            jump = np.where(time < 1, hz, min(2 * hz, 1000.0))
            yield _known(_tone(jump, partials, rate), jump, rate)
    yield from _over_hum(rate)
    yield _sweep(rate)


def _over_hum(rate: int) -> Iterator[Known]:
    """Tones with pauses, over mains hum at -45 dB and faint noise."""
    time = np.arange(4 * rate) / rate
    sounds = time % 1 > 0.4
    for i, hum in enumerate((50.0, 60.0, 100.0, 50.0, 60.0, 120.0)):
        f0 = (130.0 + 40 * i) * (1 + 0.05 * np.sin(time))
        below = 10 ** (-45 / 20) * np.sin(2 * np.pi * hum * time)
        noise = 1.5e-3 * _noise("white", len(time), i)
        yield _known(sounds * _tone(f0, 10, rate) + below + noise, np.where(sounds, f0, 0), rate)


def _sweep(rate: int) -> Known:
    """Song from 80 to 800 Hz in 8 s, with vibrato, faint noise, and a rest every 4 s."""
    time = np.arange(8 * rate) / rate
    glide = 80 * 10 ** (0.5 - 0.5 * np.cos(2 * np.pi * time / 16))
    f0 = glide * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * time))
    sung = time % 4 > 0.6
    fade = np.hanning(481)
    envelope = np.convolve(sung, fade / fade.sum(), "same")
    wave = envelope * _tone(f0, 20, rate) + 5e-3 * _noise("white", len(time), 0)
    return _known(wave, np.where(sung, f0, 0.0), rate)


def _known(wave: np.ndarray, f0: np.ndarray, rate: int) -> Known:
    return Known(wave.astype(np.float32), f0, rate, 1 / rate)


def _tone(f0: np.ndarray, partials: int, rate: int) -> np.ndarray:
    """A tone that follows F0 (S,) sample by sample; its partials fall as 1 / k."""
    phase = 2 * np.pi * np.cumsum(f0) / rate
    wave = np.zeros(len(f0))
    for k in range(1, partials + 1):
        wave += np.where(k * f0 < 0.45 * rate, np.sin(k * phase) / k, 0.0)
    return wave


def _noise(colour: str, samples: int, seed: int) -> np.ndarray:
    """White, pink (power as 1/f) or brown (as 1/f^2) noise of RMS 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[colour]
    frequency = np.maximum(np.fft.rfftfreq(samples), 1e-3)
    return _levelled(np.fft.irfft(spectrum / frequency**slope, samples))


def _levelled(wave: np.ndarray) -> np.ndarray:
    return wave / np.sqrt(np.mean(wave**2))
