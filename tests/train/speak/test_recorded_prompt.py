"""What is taken of a recording of a voice, whatever lies around the voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.sound.decode import resample
from ns2.train.speak.recorded_prompt import voice_of

RATE = 24_000
GRID = FrameGrid(sample_rate=RATE, hop_length=320)
NOISE = np.random.default_rng(0).standard_normal(RATE * 150).astype(np.float32)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    samples, rate, _ = speak("Nothing moved; even the birds were quiet.", "en-us+f1")
    return resample(samples.astype(np.float32) / 32768, rate, RATE)


def silence(seconds: float, level: float = 0.0) -> np.ndarray:
    return level * NOISE[: round(seconds * RATE)]


def slam(peak: float = 0.99) -> np.ndarray:
    """A third of a second of noise that decays by 60 dB."""
    decay = 10 ** (-3 * np.arange(RATE // 3) / (RATE // 3))
    burst = NOISE[: len(decay)] * decay.astype(np.float32)
    return burst * peak / np.abs(burst).max()


def middle(wave: np.ndarray, what: np.ndarray) -> np.ndarray:
    """A wave with something within its longest pause, between its two clauses."""
    loud = np.convolve(np.square(wave), np.ones(1200), mode="same")
    at = len(wave) // 5 + int(np.argmin(loud[len(wave) // 5 : -len(wave) // 2]))
    return np.concatenate([wave[:at], what, wave[at:]])


AROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nothing": lambda wave: wave,
    "silence": lambda wave: np.concatenate([silence(2), wave, silence(2)]),
    "quiet noise": lambda wave: (
        np.concatenate([silence(2), wave, silence(2)])
        + silence(len(wave) / RATE + 4, 1e-4)[: len(wave) + 4 * RATE]
    ),
    "a slam before": lambda wave: np.concatenate([slam(), silence(0.3), wave]),
    "a slam beside": lambda wave: np.concatenate([wave, slam()]),
    "a slam within": lambda wave: middle(wave, slam()),
    "very quiet": lambda wave: wave * 0.01,
    "two minutes": lambda wave: np.concatenate([silence(60, 1e-3), wave, silence(60, 1e-3)]),
}


@pytest.mark.parametrize("name", AROUND)
def test_the_voice_is_taken_and_nothing_around_it(name: str, voice: np.ndarray) -> None:
    wave = AROUND[name](voice)
    plain, found = voice_of(voice, GRID, 10_000), voice_of(wave, GRID, 10_000)
    assert found.voiced_seconds == pytest.approx(plain.voiced_seconds, rel=0.12)
    assert len(found.wave) == pytest.approx(len(plain.wave), abs=0.25 * RATE)  # a slam fades
    quieter = 0.01 if name == "very quiet" else 1.0
    assert np.abs(found.wave).max() <= 1.05 * quieter * np.abs(voice).max()


def test_of_a_long_recording_the_stretch_with_most_voice(voice: np.ndarray) -> None:
    wave = np.concatenate([voice[: RATE // 2], silence(5), voice, silence(5)])
    found = voice_of(wave, GRID, 60)
    assert len(found.wave) == 60 * 320
    assert found.voiced_seconds > 0.6 * 60 / 75


def test_a_stretch_is_typical_of_the_whole(voice: np.ndarray) -> None:
    """Not the shout within it, though that has as much voice, nor the end of a sentence."""
    samples, rate, _ = speak("Nothing moved; even the birds were quiet.", "en-us+f1", pitch=90)
    shout = 3 * resample(samples.astype(np.float32) / 32768, rate, RATE)
    wave = np.concatenate([shout, voice, voice, voice])
    found = voice_of(wave, GRID, 100)
    whole = np.median(voice_of(voice, GRID, 10_000).f0)
    assert np.median(found.f0) == pytest.approx(whole, rel=0.04)
    heard = voice_of(found.wave, GRID, 10_000)
    assert 12 * abs(np.log2(np.median(heard.f0) / whole)) < 0.5
    assert np.abs(found.wave).max() <= 1.05 * np.abs(voice).max()


@pytest.mark.parametrize("seed", range(4))
def test_a_little_noise_gives_no_other_voice(voice: np.ndarray, seed: int) -> None:
    """Where it decides which of two stretches is taken, both have the same pitch and level."""
    samples, rate, _ = speak("How now? The cows are out, and they will not come back.", "en-us+f1")
    other = resample(samples.astype(np.float32) / 32768, rate, RATE)
    wave = np.concatenate([voice, other])
    noise = 0.003 * np.random.default_rng(seed).standard_normal(len(wave)).astype(np.float32)
    plain, found = voice_of(wave, GRID, 90), voice_of(wave + noise, GRID, 90)
    levels = [10 * np.log10(np.square(one.wave).mean()) for one in (plain, found)]
    assert levels[0] == pytest.approx(levels[1], abs=0.5)
    pitches = [np.median(voice_of(one.wave, GRID, 90).f0) for one in (plain, found)]
    assert 12 * abs(np.log2(pitches[0] / pitches[1])) < 0.3


def test_what_has_no_voice_has_no_seconds_of_it() -> None:
    for wave in (silence(2, 0.1), slam(), silence(1)):
        assert voice_of(wave, GRID, 60).voiced_seconds == 0


def test_the_same_part_is_taken_at_any_level(voice: np.ndarray) -> None:
    wave = AROUND["a slam within"](voice)
    loud, quiet = voice_of(wave, GRID, 90), voice_of(wave * 0.01, GRID, 90)
    np.testing.assert_allclose(quiet.wave, loud.wave * 0.01, atol=1e-6)
