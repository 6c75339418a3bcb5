"""Candidates for the pitch of each frame, and what speaks for them.

Shapes: S samples, T frames, L lags, K candidates of a frame, C kinds of evidence for a candidate,
U for a frame. Frame i stands for its centre, sample hop * i + hop / 2.

A pitch repeats: stretches of 20 ms that lie a period apart about the centre correlate. That is
looked at in three bands at about 8 kHz: `wide`, where the harmonics of speech lie, `low`, where
those of a breathy voice are left, and `full`, where formants tell an octave from the next. Any
multiple of a period correlates as well, so it also counts whether a fraction of the lag does. Where
a formant lies on the second harmonic, half a period correlates nearly as well; there the spectrum
tells, which has peaks at the multiples of F0 and none between them. Only what a recording has in
the mean is looked at: on a telephone nothing is left below 300 Hz, and the edge of the band is no
peak, nor does DIO find there what has lost its fundamental.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.sound.f0.config import PitchConfig
from ns2.pipeline.sound.f0.voicing import speech_band
from ns2.pipeline.sound.f0.world import dithered

CANDIDATE_EVIDENCE = (
    "one", "wide", "low", "full", "wide_squared", "low_squared", "octaves", "octaves_squared",
    "dio", "twice", "wide_fraction_near", "wide_fraction_far", "low_fraction_near",
    "low_fraction_far", "full_fraction_near", "full_fraction_far", "comb",
)  # fmt: skip
"""C kinds of evidence for a candidate: a constant, the correlations in all bands and two squares
(signed), the distance from 150 Hz in octaves and its square, whether DIO says the same (as far as
there is something below it), the correlation at twice the lag, how nearly a fraction of the lag
correlates as well, and by how much the spectrum at its multiples lies above that between them
(nepers)."""

FRAME_EVIDENCE = ("low_share", "best_wide", "has_dio", "faint")
"""U kinds of evidence that a frame is voiced: the share of the low band in the energy (log10; what
it lacks of that of a hiss counts more), the best correlation at any lag, whether DIO finds a pitch,
and by how much the energy lies 35 dB below that of the signal (log10)."""

VERSION = 2
"""Of how evidence is found; higher where the same recording has other values."""

PROPOSALS = 7
"""The number of candidates that correlations propose; DIO proposes one more."""

_RATE = 8000
_WINDOW_SECONDS = 0.02
_LOW_HZ = 800.0
_LEAST = 0.1  # correlation of a candidate
_OCTAVE = 0.03  # by which the correlation of a candidate has to be better than that an octave above
_CENTRE_HZ = 150.0
_SAME = 0.06  # octaves
_PARTS = tuple(1 / n for n in range(2, 17))  # of a lag
_NEAR, _FAR = 0.01, 0.08  # what a fraction lacks of the correlation at the lag
_COMB_SECONDS, _COMB_SIZE = 0.04, 512  # window, Fourier transform at about 8 kHz
_COMB_HZ, _COMB_MOST = 3200.0, 10  # the highest multiple that is looked at, and how many
_COMB_SMOOTH_HZ = 250.0  # on either side, of which the mean is what a formant adds
_COMB_RANGE = (-2.0, 4.0)
_COMB_FLOOR = 1e-3
_BAND_HZ, _EDGE = 400.0, 2  # of speech, at least; bins of the edge below it
_AUDIBLE, _NOTHING = 1e-4, 1e-5  # mean power, as a share of that of the loudest frequency
_DIO_TRUST = 0.5  # for an octave above the lowest frequency that a recording has
_HALF_ENERGY_SECONDS = 1 / 60
_FAINT = -3.5  # log10 of energy; that of the signal is 0
_FAINTEST = 1e-10  # energy
_HISS, _DROWNED = -1.5, 4.0
"""The share of the low band (log10) below which hiss drowns any voice, and how many times more what
lies below it counts: synthetic hisses have a faint voice in them, which is not heard."""
_DITHER = 0.005  # of the RMS, -46 dB


@dataclass(frozen=True)
class Evidence:
    """What is known of each frame.

    Attributes:
        f0: (T, K) float64 Hz of the candidates, 0 where there are fewer.
        candidates: (T, K, C) float64, in the order of `CANDIDATE_EVIDENCE`.
        frames: (T, U) float64, in the order of `FRAME_EVIDENCE`.
    """

    f0: np.ndarray
    candidates: np.ndarray
    frames: np.ndarray


@dataclass(frozen=True)
class _Band:
    """Correlations of a band.

    Attributes:
        at: (T, L) float64, by frame and lag.
        first: the first lag, in samples.
    """

    at: np.ndarray
    first: int

    def near(self, lags: np.ndarray) -> np.ndarray:
        """Correlations (T, K) at lags (T, K) that need not be whole; 0 at lags out of range."""
        from ns2.pipeline.sound.f0.kernels import interpolate

        out = np.empty_like(lags)
        interpolate(self.at, lags, self.first, out)
        return out

    def fractions(self, lags: np.ndarray, least: int) -> np.ndarray:
        """The best correlations (T, K) at fractions of lags (T, K), -1 where all are too short."""
        from ns2.pipeline.sound.f0.kernels import best_fraction

        out = np.empty_like(lags)
        best_fraction(self.at, lags, self.first, least, np.array(_PARTS), out)
        return out


def find_evidence(
    signal: np.ndarray, dio: np.ndarray, config: PitchConfig, *, drown: bool = True
) -> Evidence:
    """Propose candidates for the pitch of each frame and collect what speaks for them.

    Args:
        signal: (S,) float64 with a mean of 0 and an RMS of 1.
        dio: (T,) Hz, 0 where DIO finds none.
        config: the range of F0, and the grid.
        drown: hiss drowns a faint voice. Not where weights are learned: of such hisses the
            recordings hold too few, and the weights would make up for it.
    """
    factor = max(1, config.sample_rate // _RATE)
    rate = config.sample_rate / factor
    heard = dithered(signal, _DITHER)
    slow = _slower(heard, factor)
    low_band = _lowpass(slow, _LOW_HZ / rate, 33)
    bands = [speech_band(slow, round(rate)), low_band, np.diff(slow, prepend=slow[:1])]
    middle = config.hop_length * (np.arange(len(dio)) + 0.5)
    centres = np.round(middle / factor).astype(np.int64)
    first, last = max(2, int(rate / config.f0_max)), int(np.ceil(rate / config.f0_min)) + 1
    heard_in = [_Band(_correlations(band, centres, first, last, rate), first) for band in bands]
    wide, low, _ = heard_in
    f0 = np.concatenate([_proposed(wide, low, rate), dio[:, None]], axis=1)
    f0 = np.where((f0 >= config.f0_min) & (f0 <= config.f0_max), f0, 0.0)
    energy = _energy(heard, middle, config.sample_rate)
    share = np.log10(_energy(low_band, middle / factor, rate) / energy)
    spectra = _spectra(slow, centres, rate)
    lowest = _lowest(spectra, rate)
    comb = _comb(spectra, f0, rate, lowest)
    faint = np.maximum(_FAINT - np.log10(energy), 0.0)
    has_dio = (dio > 0).astype(np.float64)
    share = np.maximum(share, -4.0)
    if drown:
        share += _DROWNED * np.minimum(share - _HISS, 0.0)
    frames = [share, wide.at.max(axis=1), has_dio, faint]
    candidates = [_for_candidates(f0, dio, heard_in, rate, lowest), comb[..., None]]
    return Evidence(f0, np.concatenate(candidates, axis=-1), np.stack(frames, axis=-1))


def _proposed(wide: _Band, low: _Band, rate: float) -> np.ndarray:
    """The best peaks (T, `PROPOSALS`) of the mean of both bands' correlations, in Hz."""
    both = 0.5 * (wide.at + low.at)
    left, peak, right = both[:, :-2], both[:, 1:-1], both[:, 2:]
    lags = wide.first + 1 + np.arange(peak.shape[1])
    is_peak = (peak >= left) & (peak > right) & (peak > _LEAST)
    worth = np.where(is_peak, peak - _OCTAVE * np.log2(lags / wide.first), -np.inf)
    best = np.argsort(-worth, axis=1, kind="stable")[:, :PROPOSALS]
    frames = np.arange(len(best))[:, None]
    before, at, after = left[frames, best], peak[frames, best], right[frames, best]
    bend = before - 2 * at + after
    shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.where(bend < -1e-9, bend, 1.0), 0.0)
    f0 = rate / (lags[best] + np.clip(shift, -0.5, 0.5))
    f0 = np.where(np.isfinite(worth[frames, best]), f0, 0.0)
    return np.pad(f0, ((0, 0), (0, PROPOSALS - f0.shape[1])))


def _for_candidates(
    f0: np.ndarray, dio: np.ndarray, bands: Sequence[_Band], rate: float, lowest: float
) -> np.ndarray:
    """The evidence (T, K, C - 1) for candidates (T, K) in Hz, but for the comb."""
    known = np.where(f0 > 0, f0, _CENTRE_HZ)
    lags = rate / known
    wide, low, full = bands
    in_wide, in_low, in_full = (band.near(lags) for band in bands)
    octaves = np.log2(known / _CENTRE_HZ)
    said = np.where(dio > 0, dio, 1.0)[:, None]
    same = (dio[:, None] > 0) & (np.abs(np.log2(known / said)) < _SAME)
    trusted = np.clip(_DIO_TRUST * np.log2(said / lowest), 0.0, 1.0)
    twice = np.maximum(wide.near(2 * lags), low.near(2 * lags))
    fractions = [
        np.clip(enough - lacking, 0, None) / enough
        for band, here in ((wide, in_wide), (low, in_low), (full, in_full))
        for lacking in [here - band.fractions(lags, wide.first)]
        for enough in (_NEAR, _FAR)
    ]
    squares = [in_wide * np.abs(in_wide), in_low * np.abs(in_low)]
    one = np.ones_like(f0)
    every = [one, in_wide, in_low, in_full, *squares, octaves, octaves**2]
    every += [same * trusted, twice]
    return np.where((f0 > 0)[..., None], np.stack([*every, *fractions], axis=-1), 0.0)


def _spectra(slow: np.ndarray, centres: np.ndarray, rate: float) -> np.ndarray:
    """Magnitudes (T, F) about each centre (T,)."""
    size = round(_COMB_SECONDS * rate)
    rows = centres[:, None] + size - size // 2 + np.arange(size)
    windowed = np.pad(slow, size)[rows] * np.hanning(size + 2)[1:-1]
    return np.abs(np.fft.rfft(windowed, _COMB_SIZE, axis=1))


def _lowest(spectra: np.ndarray, rate: float) -> float:
    """The frequency in Hz where the band of a recording begins, of its spectra (T, F).

    Above it the mean power is not far below the greatest, as in speech, and below it there is next
    to nothing. Where there is no such frequency, as with tones and noise, it is 1 Hz.
    """
    power = np.mean(spectra**2, axis=0)
    power /= power.max()
    width = round(_BAND_HZ / rate * _COMB_SIZE)
    whole = np.convolve(power > _AUDIBLE, np.ones(width), "valid") > width - 0.5
    begin = int(np.argmax(whole))
    below = power[: max(begin - _EDGE, 0)]
    return begin * rate / _COMB_SIZE if len(below) and below.mean() < _NOTHING else 1.0


def _comb(spectra: np.ndarray, f0: np.ndarray, rate: float, lowest: float) -> np.ndarray:
    """By how much log spectra (T, F) have peaks at multiples of F0 (T, K).

    Returns:
        (T, K) the mean over multiples of the difference to half a multiple below, where that is in
        the recording's band; 0 where F0 is.
    """
    known = np.where(f0 > 0, f0, _CENTRE_HZ)
    frames, top = np.arange(len(f0))[:, None], min(_COMB_HZ, 0.4 * rate)
    begin = round(lowest * _COMB_SIZE / rate)
    levels = np.log(spectra + _COMB_FLOOR)
    levels[:, :begin] = levels[:, begin, None]
    levels -= _smooth(levels, round(_COMB_SMOOTH_HZ / rate * _COMB_SIZE))

    def level(hertz: np.ndarray) -> np.ndarray:
        place = hertz * (_COMB_SIZE / rate)
        whole = place.astype(np.int64)
        below, above = levels[frames, whole], levels[frames, whole + 1]
        return np.asarray(below + (place - whole) * (above - below))

    total, count = np.zeros_like(known), np.zeros_like(known)
    for k in range(1, _COMB_MOST + 1):
        heard = ((k * known < top) | (k == 1)) & ((k - 0.5) * known >= lowest)
        peak, between = (level(np.minimum(m * known, top)) for m in (k, k - 0.5))
        total += np.where(heard, peak - between, 0.0)
        count += heard
    return np.where(f0 > 0, np.clip(total / np.maximum(count, 1), *_COMB_RANGE), 0.0)


def _smooth(levels: np.ndarray, half: int) -> np.ndarray:
    """The running mean over `half` bins on either side of each bin of (T, F)."""
    sums = np.cumsum(np.pad(levels, ((0, 0), (half + 1, half)), mode="edge"), axis=1)
    return (sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]) / (2 * half + 1)


def _correlations(
    band: np.ndarray, centres: np.ndarray, first: int, last: int, rate: float
) -> np.ndarray:
    """Pearson's r (T, L) of two stretches about each centre (T,), for lags from first to last."""
    from ns2.pipeline.sound.f0.kernels import correlate

    window = round(_WINDOW_SECONDS * rate)
    margin = window + last + 2
    out = np.zeros((len(centres), last - first + 1))
    correlate(np.pad(band, margin), centres + margin, first, window, out)
    return out


def _slower(signal: np.ndarray, factor: int) -> np.ndarray:
    """Every n-th sample of a signal, without what lies above 0.85 of half the new rate."""
    if factor == 1:
        return signal
    return _lowpass(signal, 0.425 / factor, 8 * factor * 4 + 1)[::factor]


def _lowpass(signal: np.ndarray, cutoff: float, taps: int) -> np.ndarray:
    """A signal below a cut-off frequency, given as a share of the sample rate."""
    at = np.arange(taps) - (taps - 1) / 2
    kernel = np.sinc(2 * cutoff * at) * np.hanning(taps + 2)[1:-1]
    kernel /= kernel.sum()
    return np.convolve(signal, kernel)[(taps - 1) // 2 :][: len(signal)]


def _energy(signal: np.ndarray, centres: np.ndarray, rate: float) -> np.ndarray:
    """The mean energy (T,) about each centre (T,) in samples."""
    half = round(_HALF_ENERGY_SECONDS * rate)
    sums = np.concatenate([np.zeros(half + 1), np.cumsum(signal**2)])
    sums = np.pad(sums, (0, half + 1), mode="edge")
    at = np.clip(centres.astype(np.int64), 0, len(signal) - 1) + half
    return np.maximum((sums[at + half] - sums[at - half]) / (2 * half), _FAINTEST)
