"""Measures of speech against closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from ns2.pipeline.sound.measures import (
    DurationErrors,
    PitchErrors,
    error_interval,
    error_rate,
    log_mel,
    median_f0,
    mel_distance,
    spectrum_distance,
)
from ns2.pipeline.sound.pitch import PitchConfig

RATE = 24_000


def noise(seconds: float = 0.5, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=int(seconds * RATE))).astype(np.float32)


def voice(hertz: float, seconds: float = 0.6) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * k * hertz * times) / k for k in range(1, 12)).astype(np.float32)


def test_twice_as_loud_is_ln_2_away() -> None:
    one = log_mel(noise())
    assert mel_distance(log_mel(2 * noise()), one) == pytest.approx(np.log(2), rel=1e-4)
    assert mel_distance(one, one) == 0
    with pytest.raises(ValueError, match="must have one"):
        mel_distance(one, one[:, :-1])


def test_pitch_errors() -> None:
    truth = np.array([100.0, 200, 0, 0, 150, 150], np.float32)
    found = np.array([100 * 2 ** (1 / 12), 200, 80, 0, 0, 300], np.float32)
    errors = PitchErrors.of(found, truth)
    assert errors.cents == pytest.approx([100, 0, 1200], abs=1e-3)
    assert errors.voicing == pytest.approx(2 / 6)
    assert errors.semitones == pytest.approx(np.sqrt((1 + 0 + 144) / 3))
    assert errors.gross == pytest.approx(1 / 3)
    silent = PitchErrors.of(np.zeros(4), np.zeros(4))
    assert silent.semitones is None and silent.gross is None and silent.voicing == 0
    both = PitchErrors.together([errors, silent])
    assert both.voicing == pytest.approx(2 / 10) and both.semitones == errors.semitones
    with pytest.raises(ValueError, match="6 and 5 frames"):
        PitchErrors.of(found, truth[:5])


def test_duration_errors() -> None:
    truth = [np.array([5, 10, 0, 20]), np.array([10, 30])]
    phones = [np.array([False, True, False, True]), np.array([True, True])]
    made = [np.array([9, 12, 3, 18]), np.array([10, 36])]
    errors = DurationErrors.of(made, truth, phones, frame_rate=75)
    assert errors.milliseconds == pytest.approx((2 + 2 + 0 + 6) / 4 / 75 * 1000)
    assert errors.length == pytest.approx(88 / 75)
    one, two = np.array([12, 18, 10, 36.0]), np.array([10, 20, 10, 30.0])
    covariance = np.mean((one - one.mean()) * (two - two.mean()))
    assert errors.correlation == pytest.approx(covariance / one.std() / two.std())
    flat = DurationErrors.of([np.full(4, 7)], truth[:1], phones[:1], frame_rate=75)
    assert flat.correlation is None


def test_the_interval_is_that_of_a_mean() -> None:
    rng = np.random.default_rng(3)
    sizes = np.full(200, 50)
    errors = rng.binomial(50, 0.2, 200)
    low, high = error_interval(errors.tolist(), sizes.tolist())
    rate = error_rate(errors.tolist(), sizes.tolist())
    half = 1.96 * np.std(errors / 50) / np.sqrt(200)  # the central limit
    assert low == pytest.approx(rate - half, abs=0.003)
    assert high == pytest.approx(rate + half, abs=0.003)
    assert error_interval([3], [10]) == (0.3, 0.3)


def test_spectra_are_compared_whatever_the_level() -> None:
    flat = noise(1.0)
    spectrum = np.fft.rfft(noise(1.0, seed=1))
    tilted = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)))
    same = spectrum_distance(flat, 0.01 * noise(1.0, seed=2))
    assert same < 0.5 < 3 * same + 1 < spectrum_distance(flat, tilted.astype(np.float32))


def test_the_median_pitch_of_a_tone_and_of_noise() -> None:
    assert median_f0(voice(140), PitchConfig()) == pytest.approx(140, rel=0.01)
    assert median_f0(np.zeros(RATE, np.float32), PitchConfig()) is None
