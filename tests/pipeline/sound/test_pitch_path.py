"""The path over time: what it finds of recordings whose F0 is known, and its parts."""

from __future__ import annotations

import json
from itertools import pairwise, product

import numpy as np
import pytest

from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.f0 import world
from ns2.pipeline.sound.f0.evidence import CANDIDATE_EVIDENCE, FRAME_EVIDENCE, find_evidence
from ns2.pipeline.sound.f0.kernels import best_fraction, best_path, correlate, interpolate
from ns2.pipeline.sound.f0.path import WEIGHTS, PathWeights, learned_weights
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0
from ns2.train.bundled.resynthesis import Known, made_again, telephoned, tones_and_noises
from tests.support.factories import LJSPEECH, needs_ljspeech, tone

RATE = 24_000
CONFIG = PitchConfig(method="path")


def wrong(known: Known, config: PitchConfig) -> tuple[float, float, float, float]:
    """Shares missed, falsely voiced and off by 300 cents, away from changes; median cents."""
    truth, found = known.on(config.grid), extract_f0(known.wave, config)
    voiced, heard = truth > 0, found > 0
    kept = np.ones(len(truth), bool)
    changes = np.flatnonzero(voiced[1:] != voiced[:-1])
    kept[changes] = kept[changes + 1] = False
    both = voiced & heard & kept
    cents = np.abs(1200 * np.log2(found[both] / truth[both]))
    missed, false = (voiced & ~heard & kept).sum(), (heard & ~voiced & kept).sum()
    gross, median = (np.mean(cents > 300), np.median(cents)) if len(cents) else (0.0, 0.0)
    return missed / kept.sum(), false / kept.sum(), float(gross), float(median)


@needs_ljspeech
def test_a_voice_made_again_keeps_its_pitch() -> None:
    """LJ001-0030 trained nothing; DIO frame by frame misses more than twice as much."""
    wave, rate = read_audio(LJSPEECH / "wavs" / "LJ001-0030.wav")
    known = made_again(resample(wave, rate, RATE), RATE)
    missed, false, gross, median = wrong(known, CONFIG)
    assert missed + false < 0.04
    assert gross < 0.003
    assert median < 10
    assert wrong(known, PitchConfig(method="dio"))[0] > 2 * (missed + false)


@pytest.mark.parametrize("voice", ["en-us", "de+f4", "es+m3"])
def test_a_synthetic_voice_made_again_keeps_its_pitch(voice: str) -> None:
    samples, rate, _ = speak("Anna saw nine brown bears by the river at noon.", voice, rate=140)
    known = made_again(resample(samples / np.float32(32768), rate, RATE), RATE)
    missed, false, gross, median = wrong(known, CONFIG)
    assert missed + false < 0.06
    assert gross < 0.01
    assert median < 12


@pytest.mark.parametrize("voice", ["en-us", "de+m7", "es+m3"])
def test_a_voice_on_a_telephone_keeps_its_pitch(voice: str) -> None:
    """Its fundamental is missing; what repeats at the lower edge of the band is no pitch."""
    samples, rate, _ = speak("Anna saw nine brown bears by the river at noon.", voice, rate=140)
    known = made_again(resample(samples / np.float32(32768), rate, RATE), RATE)
    truth = known.on(CONFIG.grid)
    found = extract_f0(telephoned(known).wave, CONFIG)
    medians = [np.median(f0[f0 > 0]) for f0 in (found, truth)]
    assert abs(12 * np.log2(medians[0] / medians[1])) < 1.0
    both = (found > 0) & (truth > 0)
    assert np.mean(np.abs(np.log2(found[both] / truth[both])) > 0.25) < 0.1


def test_tones_are_followed_and_noise_is_not() -> None:
    for known in tones_and_noises(RATE):
        missed, false, gross, _ = wrong(known, CONFIG)
        assert missed < 0.01
        assert false == 0
        assert gross < 0.02


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_any_rate_gives_the_pitch(rate: int) -> None:
    time = np.arange(rate) / rate
    wave = sum(np.sin(2 * np.pi * 180 * k * time) / k for k in range(1, 9))
    config = PitchConfig(method="path", f0_max=600, sample_rate=rate, hop_length=rate // 75)
    f0 = extract_f0(np.asarray(wave), config)
    assert np.allclose(f0[3:-3], 180, rtol=0.003)


@pytest.mark.parametrize(("partials", "octave"), [((1, 2, 3, 4), 1.0), ((2, 4, 6), 2.0)])
def test_the_comb_tells_an_octave_from_the_next(partials: tuple[int, ...], octave: float) -> None:
    """Without odd multiples of 150 Hz the pitch is 300 Hz."""
    time = np.arange(RATE) / RATE
    signal = np.asarray(sum(np.sin(2 * np.pi * 150 * k * time) for k in partials))
    found = find_evidence(signal / signal.std(), np.full(75, 150 * octave), CONFIG)
    comb = found.candidates[..., CANDIDATE_EVIDENCE.index("comb")]
    for frame in (20, 40):
        near = {f: np.abs(found.f0[frame] / f - 1) < 0.02 for f in (75, 150, 300)}
        combs = {f: comb[frame][here].max() for f, here in near.items() if here.any()}
        assert max(combs, key=lambda f: combs[f]) == 150 * octave and len(combs) > 1


def test_correlations_are_pearsons_r() -> None:
    signal = np.random.default_rng(0).standard_normal(4000)
    centres, window, first = np.array([900, 1500, 3000]), 160, 7
    out = np.zeros((3, 150))
    correlate(signal, centres, first, window, out)
    for (row, centre), lag in product(enumerate(centres), (7, 50, 51, 156)):
        start = centre - (window + lag) // 2
        one, two = signal[start : start + window], signal[start + lag : start + lag + window]
        assert out[row, lag - first] == pytest.approx(np.corrcoef(one, two)[0, 1], abs=1e-9)


def test_lags_between_whole_ones_are_interpolated() -> None:
    at = np.random.default_rng(2).uniform(-1, 1, (3, 30))
    lags = np.array([[4.9, 5.0, 5.25, 33.99, 34.0, 34.1]] * 3)
    found, best = np.empty_like(lags), np.empty_like(lags)
    interpolate(at, lags, 5, found)
    places = np.arange(5, 35)
    for row, here in zip(at, found, strict=True):
        assert here == pytest.approx(np.interp(lags[0], places, row, left=0, right=0), abs=1e-12)
    parts = np.array([1 / 2, 1 / 3, 1 / 6])
    best_fraction(at, lags, 5, 6, parts, best)
    for row, here in zip(at, best, strict=True):
        every = [[np.interp(lag * p, places, row) if lag * p >= 6 else -1 for p in parts]
                 for lag in lags[0]]  # fmt: skip
        assert here == pytest.approx(np.max(every, axis=1), abs=1e-12)
        assert (here[:3] == -1).all()


@pytest.mark.parametrize("samples", [0, 1, 1000, 2**19, 2**19 + 1])
def test_the_noise_of_a_signal_is_the_begin_of_one_stream(samples: int) -> None:
    noise = np.sqrt(12) * (np.random.RandomState(0).random_sample(samples) - 0.5)
    assert np.array_equal(world.dithered(np.ones(samples), 0.5), 1 + 0.5 * noise)


def worth(states: tuple[int, ...], octaves: np.ndarray, scores: np.ndarray, *costs: float) -> float:
    """The sum of a path's scores less its costs; state 2 is unvoiced."""
    slope, most, ends, begins = costs
    total = sum(scores[t, state] for t, state in enumerate(states) if state < 2)
    for t, (before, state) in enumerate(pairwise(states), 1):
        if (before == 2) != (state == 2):
            total -= begins if before == 2 else ends
        elif state < 2:
            total -= min(most, slope * abs(octaves[t, state] - octaves[t - 1, before]))
    return float(total)


def test_the_path_is_the_best_of_all_paths() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        octaves, scores = random.uniform(0, 3, (5, 2)), random.normal(0, 2, (5, 2))
        scores[random.random((5, 2)) < 0.2] = -np.inf
        costs = random.uniform(0.5, 3, 4)
        path = np.empty(5, np.int64)
        best_path(octaves, scores, *costs, path)
        best = max(worth(states, octaves, scores, *costs) for states in product(range(3), repeat=5))
        assert worth(tuple(path), octaves, scores, *costs) == pytest.approx(best)


def test_evidence_has_the_kinds_that_weights_are_for() -> None:
    signal = tone(0.5, 180).astype(np.float64)
    frames = CONFIG.grid.frames(len(signal))
    evidence = find_evidence(signal / signal.std(), np.zeros(frames), CONFIG)
    assert evidence.f0.shape == (frames, 8)
    assert evidence.candidates.shape == (frames, 8, len(CANDIDATE_EVIDENCE))
    assert evidence.frames.shape == (frames, len(FRAME_EVIDENCE))
    assert np.isfinite(evidence.candidates).all() and np.isfinite(evidence.frames).all()


def test_weights_are_kept_by_name() -> None:
    weights = learned_weights()
    assert PathWeights.from_json(json.loads(json.dumps(weights.to_json()))) == weights
    assert weights.to_json() == json.loads(WEIGHTS.read_text())
