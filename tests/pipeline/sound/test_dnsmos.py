"""DNSMOS against speechmos itself, on recordings and on what nobody can listen to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.sound.decode import read_audio
from ns2.pipeline.sound.quality.dnsmos import Dnsmos
from tests.support.factories import LJSPEECH, needs_ljspeech

RATE = 16_000


@pytest.fixture(scope="module")
def reference() -> Any:
    """The module of speechmos."""
    for name in ("speechmos", "onnxruntime", "librosa"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'ns2[eval]'")
    from speechmos import dnsmos

    return dnsmos


@pytest.fixture(scope="module")
def judge(reference: Any) -> Dnsmos:
    return Dnsmos()


@pytest.fixture(scope="module")
def wave(spoken: Path) -> np.ndarray:
    """What espeak-ng says, at 22,050 Hz."""
    found, rate = read_audio(min((spoken / "wavs").iterdir()))
    assert rate == 22_050
    return found


def test_scores_are_those_of_speechmos(judge: Dnsmos, reference: Any) -> None:
    rng = np.random.default_rng(0)
    for seconds in (1.3, 11.2):
        t = np.arange(int(seconds * RATE)) / RATE
        heard = 0.3 * np.sin(2 * np.pi * 150 * t) + rng.normal(0, 0.02, len(t))
        heard = heard.astype(np.float32)
        ours, theirs = judge.scores(heard, RATE), reference.run(heard, RATE)
        assert ours.signal == pytest.approx(theirs["sig_mos"], abs=2e-3)
        assert ours.background == pytest.approx(theirs["bak_mos"], abs=2e-3)
        assert ours.overall == pytest.approx(theirs["ovrl_mos"], abs=2e-3)
        assert ours.p808 == pytest.approx(theirs["p808_mos"], abs=2e-3)


def test_noise_is_worse_than_speech(judge: Dnsmos, wave: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, len(wave)).astype(np.float32)
    clean, spoilt = judge.scores(wave, 22_050), judge.scores(wave + noise, 22_050)
    assert clean.signal > spoilt.signal + 0.1 and clean.background > spoilt.background + 1
    assert clean.overall > spoilt.overall + 0.3 and clean.p808 > spoilt.p808 + 0.3


def test_loud_and_empty_waves_have_scores(judge: Dnsmos, wave: np.ndarray) -> None:
    loud = 3 * wave / np.abs(wave).max()
    assert judge.scores(loud, RATE) == judge.scores(np.clip(loud, -1, 1), RATE)
    for silent in (wave[:0], np.zeros(100, np.float32)):
        scores = judge.scores(silent, RATE)
        assert 1 <= scores.p808 <= 5 and 1 <= scores.overall <= 5


@needs_ljspeech
def test_a_recording_has_the_score_of_a_clean_one(judge: Dnsmos) -> None:
    scores = judge.scores(*read_audio(LJSPEECH / "wavs" / "LJ001-0029.wav"))
    assert scores.signal == pytest.approx(3.58, abs=0.05)
    assert scores.p808 == pytest.approx(3.89, abs=0.05)


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs the module onnxruntime.*pip install 'ns2\[eval\]'"):
        Dnsmos()
