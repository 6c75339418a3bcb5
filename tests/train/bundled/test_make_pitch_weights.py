"""Waves whose F0 is known, and the weights of the pitch path that are learned from them."""

from __future__ import annotations

import numpy as np
import parselmouth
import pytest

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.sound.f0 import world
from ns2.pipeline.sound.f0.evidence import find_evidence
from ns2.pipeline.sound.f0.path import chosen
from ns2.train.bundled import make_pitch_weights as maker
from ns2.train.bundled.resynthesis import Known, made_again, tones_and_noises

RATE = 24_000


def test_known_f0_on_a_grid() -> None:
    """Between frames in octaves; unvoiced where the nearest frame is; as it is beside a gap."""
    f0 = np.array([100.0, 200.0, 0.0, 0.0, 300.0])
    known = Known(np.zeros(2400, np.float32), f0, RATE, 0.02)
    grid = FrameGrid(sample_rate=RATE, hop_length=240)
    expected = [100 * 2**0.25, 100 * 2**0.75, 200, 0, 0, 0, 0, 300, 300, 300]
    assert known.on(grid) == pytest.approx(expected)


def test_what_is_made_again_has_the_f0_that_it_says() -> None:
    """Praat, which made nothing of it, agrees in nearly all frames that both call voiced."""
    samples, rate, _ = speak("Nine brown bears ran along the river.", "en-us", rate=140)
    known = made_again(resample(samples / np.float32(32768), rate, RATE), RATE)
    pitch = parselmouth.Sound(known.wave.astype(np.float64), RATE).to_pitch_ac(0.01)
    truth = known.f0[np.round(pitch.xs() / known.period).astype(int).clip(0, len(known.f0) - 1)]
    found = pitch.selected_array["frequency"]
    both = (truth > 0) & (found > 0)
    assert both.sum() > 100
    assert np.median(np.abs(1200 * np.log2(found[both] / truth[both]))) < 10


def test_what_the_truth_allows() -> None:
    f0 = np.array([[100.0, 200.0], [100.0, 202.0], [0.0, 99.0], [50.0, 150.0], [100.0, 0.0]])
    truth = np.array([200.0, 200.0, 200.0, 0.0, 0.0])
    assert maker._allowed(f0, truth).tolist() == [
        [False, True, False],  # the candidate near the truth
        [False, True, False],
        [True, True, True],  # beside a change
        [True, True, True],
        [False, False, True],  # unvoiced
    ]
    assert maker._allowed(f0[2:3], truth[2:3]).all()  # no candidate is right


def test_weights_learned_from_tones_follow_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maker, "STEPS", 2)
    waves = list(tones_and_noises(RATE))
    assert len(waves) > 40
    seconds = RATE // 2
    short = [Known(w.wave[:seconds], w.f0[:seconds], RATE, w.period) for w in waves]
    weights = maker.fit([maker.learned(known, 1.0) for known in short[::2]])
    for known in short[1::8]:
        signal, frames = world.levelled(known.wave, maker.CONFIG)
        assert signal is not None
        dio = world.bare_dio(signal, frames, maker.CONFIG)
        f0, truth = (
            chosen(find_evidence(signal, dio, maker.CONFIG), weights),
            known.on(maker.CONFIG.grid),
        )
        right = np.abs(np.log2(np.maximum(f0, 1) / np.maximum(truth, 1))) < 0.06
        assert np.mean(right[2:-2]) > 0.9
