"""Measures of signals whose peaks, bands, noise and silence are known."""

from __future__ import annotations

import numpy as np
import pytest

from ns2.pipeline.sound.quality.defects import bandwidth, clipped_share, silences, snr, true_peak
from ns2.pipeline.sound.quality.lufs import at_loudness, integrated_loudness, loudness_of_speech

RATES = (8_000, 22_050, 48_000)


def sine(hz: float, rate: int, seconds: float = 1.0, phase: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * hz * t + phase).astype(np.float32)


def band(high: float, rate: int, seed: int = 0) -> np.ndarray:
    """Noise of two seconds up to a frequency in Hz, and nothing above it."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=2 * rate))
    spectrum[np.fft.rfftfreq(2 * rate, 1 / rate) > high] = 0
    return np.fft.irfft(spectrum).astype(np.float32)


def bursts(rate: int, decibels: float) -> np.ndarray:
    """Four seconds, half of them a tone, all of them noise so many dB below the tone."""
    tone = sine(300, rate, 4) * (np.arange(4 * rate) // (rate // 2) % 2)
    noise = np.random.default_rng(0).normal(0, np.sqrt(0.5) * 10 ** (-decibels / 20), 4 * rate)
    return (tone + noise).astype(np.float32)


def test_a_true_peak_lies_between_samples() -> None:
    wave = sine(2_000, 8_000, phase=np.pi / 4)  # its samples reach 0.71
    middle = wave * np.hanning(len(wave)).astype(np.float32)
    assert true_peak(middle, 8_000) == pytest.approx(0, abs=0.1)
    assert true_peak(middle / 2, 8_000) == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_band_ends_where_there_is_nothing(rate: int, share: float) -> None:
    high = share * rate / 2
    assert bandwidth(band(high, rate), rate) == pytest.approx(high, abs=250)
    assert bandwidth(band(rate / 2, rate), rate) == pytest.approx(rate / 2, abs=50)


@pytest.mark.parametrize("decibels", [10, 20, 40])
def test_noise_is_told_from_what_is_above_it(decibels: float) -> None:
    assert snr(bursts(16_000, decibels), 16_000) == pytest.approx(decibels, abs=1)


def test_an_offset_and_zeros_are_no_noise_and_no_sound() -> None:
    wave = bursts(16_000, 30)
    shifted = np.concatenate([wave + 0.2, np.zeros(16_000)]).astype(np.float32)
    assert snr(shifted, 16_000) == pytest.approx(30, abs=1)
    # the tone begins after 0.5 s and ends with the fourth; 30 dB of noise are no silence at -40
    tone = np.concatenate([0.2 + sine(300, 16_000), np.zeros(8_000)]).astype(np.float32)
    assert silences(tone, 16_000) == pytest.approx((0, 0.5), abs=0.02)


@pytest.mark.parametrize("rate", RATES)
def test_silence_is_measured_at_both_ends(rate: int) -> None:
    wave = np.pad(sine(200, rate), (rate // 2, 2 * rate))
    wave += np.random.default_rng(0).normal(0, 1e-4, len(wave)).astype(np.float32)
    assert silences(wave, rate) == pytest.approx((0.5, 2.0), abs=0.02)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_flat_tops_are_counted_at_any_level(gain: float) -> None:
    wave = sine(100, 48_000)
    cut = gain * np.clip(wave, -0.5, 0.5)
    assert clipped_share(cut) == pytest.approx(2 / 3, abs=0.01)  # asin(0.5) is 30 degrees
    speech = band(4_000, 48_000)
    assert clipped_share(speech * gain) == 0


def test_what_is_too_short_has_no_measure() -> None:
    short = np.ones(10, np.float32)
    assert snr(short, 16_000) is None and bandwidth(short, 16_000) is None
    assert silences(short, 16_000) == (0.0, 0.0)
    assert true_peak(np.zeros(100, np.float32), 16_000) is None
    assert clipped_share(np.zeros(100, np.float32)) == 0


@pytest.mark.parametrize(("level", "target"), [(0.01, -23), (0.5, -23), (0.2, -40)])
@pytest.mark.parametrize("seconds", [3.0, 0.2])
def test_a_wave_gets_its_loudness(level: float, target: float, seconds: float) -> None:
    pytest.importorskip("pyloudnorm", reason="pip install 'ns2[quality]'")
    """A tone of 997 Hz at 0 dBFS has -3.01 LUFS by ITU-R BS.1770-4."""
    wave = level * sine(997, 48_000, seconds)
    made = at_loudness(wave, 48_000, target)
    level_db = 20 * np.log10(np.sqrt(2) * np.sqrt(np.mean(made**2)))
    assert made.dtype == np.float32 and level_db - 3.01 == pytest.approx(target, abs=0.1)
    assert np.corrcoef(made, wave)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("peak", [0.003, 0.5, 3.0])
@pytest.mark.parametrize("seconds", [3.0, 0.2])
def test_loudness_of_speech(peak: float, seconds: float) -> None:
    """A tone of 997 Hz at 0 dBFS has -3.01 LUFS, and what is louder than full scale is not cut."""
    found = loudness_of_speech(peak * sine(997, 24_000, seconds), 24_000)
    assert found == pytest.approx(-3.01 + 20 * np.log10(peak), abs=0.1)
    assert loudness_of_speech(np.zeros(24_000, np.float32), 24_000) is None


def test_loudness_of_speech_is_that_of_the_standard() -> None:
    pytest.importorskip("pyloudnorm", reason="pip install 'ns2[quality]'")
    rng = np.random.default_rng(0)
    level = np.repeat([0.3, 0.0001, 0.02, 0.1], 12_000)  # of which the gates leave two out
    for wave in (rng.normal(0, level), np.cumsum(rng.normal(0, level)) / 300):
        wave = wave.astype(np.float32)
        expected = integrated_loudness(wave, 24_000)
        assert loudness_of_speech(wave, 24_000) == pytest.approx(expected, abs=0.15)


def test_nothing_is_clipped_for_loudness_and_silence_stays() -> None:
    pytest.importorskip("pyloudnorm", reason="pip install 'ns2[quality]'")
    rng = np.random.default_rng(0)
    peaky = rng.normal(0, 0.01, 48_000).astype(np.float32)
    peaky[24_000] = 0.5
    made = at_loudness(peaky, 48_000, -10)
    assert np.abs(made).max() == pytest.approx(1)
    faint = np.full(48_000, 1e-7, np.float32)
    assert at_loudness(faint, 48_000, -23) is faint
