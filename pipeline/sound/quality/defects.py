"""What can be measured of a recording's signal alone: band, noise, clipping, peaks and silence.

Letters for shapes: S samples, F windows, K frequency bins.
"""

from __future__ import annotations

import numpy as np

from ns2.pipeline.sound.decode import resample, without_offset

OVERSAMPLING = 4
"""The factor by which a wave is resampled for its true peak (ITU-R BS.1770-4, annex 2)."""

BAND_WINDOW, BAND_DEPTH, BAND_SHARE = 0.032, 60.0, 0.95
"""Seconds of a window; dB below the strongest frequency where there is nothing; and the share of
windows in which a frequency may be weaker than it is said to be."""
_MOST_WINDOWS = 4096
_SMOOTHED_HZ = 120.0

NOISE_WINDOW, NOISE_SHARE, SPEECH_SHARE = 0.02, 0.1, 0.5
"""Seconds of a window; the share of windows, the quietest, that are taken for noise; and the share,
the loudest, that are taken for speech."""
_HIGHEST_SNR, _FEWEST_WINDOWS = 100.0, 25

SILENCE_WINDOW, SILENCE_DEPTH = 0.01, 40.0
"""Seconds of a window, and how many dB below the loudest one it is silent; as `--trim` has it."""

CLIPPED_RUN, CLIPPED_NEAR = 3, 1e-3
"""The fewest samples in a row, and how near to the peak, as a share of it, that are clipped."""


def true_peak(wave: np.ndarray, rate: int) -> float | None:
    """The true peak of a wave (S,) in dBTP, between its samples too; None for a wave of zeros."""
    between = resample(wave, rate, OVERSAMPLING * rate)
    peak = max(float(np.abs(wave).max(initial=0)), float(np.abs(between).max(initial=0)))
    return 20 * float(np.log10(peak)) if peak > 0 else None


def bandwidth(wave: np.ndarray, rate: int) -> float | None:
    """The frequency in Hz above which there is nothing in a wave (S,).

    It is the highest frequency whose level is at most `BAND_DEPTH` dB below that of the strongest
    one, where a frequency's level is what it exceeds in the loudest windows. None for a wave
    shorter than a window, or of zeros.
    """
    size = round(BAND_WINDOW * rate)
    if len(wave) < size:
        return None
    spectra = _spectra(without_offset(wave), size)
    level = np.quantile(spectra, BAND_SHARE, axis=0)
    width = max(1, round(_SMOOTHED_HZ * size / rate)) | 1
    level = np.convolve(level, np.ones(width) / width, "same")
    strongest = float(level.max())
    if strongest <= 0:
        return None
    above = np.flatnonzero(level >= strongest * 10 ** (-BAND_DEPTH / 10))
    return float(min((above[-1] + 0.5) * rate / size, rate / 2))


def _spectra(wave: np.ndarray, size: int) -> np.ndarray:
    """Power spectra (F, K) of windows that overlap by half, evenly taken where there are many."""
    starts = np.arange(0, len(wave) - size + 1, size // 2)
    starts = starts[:: -(-len(starts) // _MOST_WINDOWS)]
    windows = np.lib.stride_tricks.sliding_window_view(wave, size)[starts]
    tapered = windows * np.hanning(size).astype(np.float32)
    return np.square(np.abs(np.fft.rfft(tapered, axis=1)))


def snr(wave: np.ndarray, rate: int) -> float | None:
    """An estimate of the ratio of speech to noise in a wave (S,), in dB.

    The power of the quietest windows is that of noise; the loudest windows hold speech and noise.
    Windows of nothing but zeros are left out: no microphone was on. None where less than half a
    second is left.
    """
    power = _window_powers(wave, NOISE_WINDOW, rate)
    power = np.sort(power[power > 0])
    if len(power) < _FEWEST_WINDOWS:
        return None
    noise = float(power[: max(1, round(NOISE_SHARE * len(power)))].mean())
    speech = float(power[-round(SPEECH_SHARE * len(power)) :].mean()) - noise
    if speech <= 0:
        return 0.0
    return float(np.clip(10 * np.log10(speech / noise), 0, _HIGHEST_SNR))


def _window_powers(wave: np.ndarray, seconds: float, rate: int) -> np.ndarray:
    """The power (F,) of adjoining windows, each less its own mean; a rest is left out.

    A recording may have an offset that drifts, or an end of zeros that has none.
    """
    size = max(1, round(seconds * rate))
    return np.var(wave[: len(wave) // size * size].reshape(-1, size), axis=1, dtype=np.float64)


def clipped_share(wave: np.ndarray) -> float:
    """The share of samples of a wave (S,) that lie on a flat top, whatever its level is.

    A flat top is a run of `CLIPPED_RUN` samples or more at the highest or lowest value of the wave.
    """
    clipped = 0
    for side in (wave, -wave):
        peak = float(side.max(initial=0))
        if peak > 0:
            clipped += _in_runs(side >= peak * (1 - CLIPPED_NEAR), CLIPPED_RUN)
    return clipped / max(len(wave), 1)


def _in_runs(marked: np.ndarray, least: int) -> int:
    """How many entries of a mask (S,) are in runs of at least this length."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marked.view(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= least].sum())


def silences(wave: np.ndarray, rate: int) -> tuple[float, float]:
    """The silence before and behind what is heard in a wave (S,), in seconds.

    A window is silent if its power is `SILENCE_DEPTH` dB below that of the loudest one.
    """
    power = _window_powers(wave, SILENCE_WINDOW, rate)
    heard = np.flatnonzero(power >= power.max(initial=0) * 10 ** (-SILENCE_DEPTH / 10))
    if not len(heard):
        return 0.0, 0.0
    seconds = len(wave) / rate
    return heard[0] * SILENCE_WINDOW, max(0.0, seconds - (heard[-1] + 1) * SILENCE_WINDOW)
