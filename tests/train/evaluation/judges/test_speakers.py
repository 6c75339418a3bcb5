"""Models of speakers: a voice is more like itself than like another one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.train.evaluation.judges.speakers import SpeakerModel, open_speaker_model, similarity
from tests.support.factories import LJSPEECH, needs_ljspeech

RATE = 22_050
TEXTS = (
    "The train to London leaves at nine twenty in the morning.",
    "Nobody had seen so much snow in the valley for many years.",
)


def said(text: str, voice: str) -> np.ndarray:
    samples, rate, _ = speak(text, voice)
    assert rate == RATE
    return samples.astype(np.float32) / 32768


@pytest.fixture(scope="module")
def resemblyzer() -> SpeakerModel:
    pytest.importorskip(
        "resemblyzer", reason="Resemblyzer is not installed: pip install 'ns2[eval]'"
    )
    return open_speaker_model()


def test_a_voice_is_most_like_itself(resemblyzer: SpeakerModel) -> None:
    voices = ("en-us+m3", "en-us+f2")
    first = [said(TEXTS[0], voice) for voice in voices]
    second = [said(TEXTS[1], voice) for voice in voices]
    same = [similarity(resemblyzer, *pair, RATE) for pair in zip(first, second, strict=True)]
    cross = [similarity(resemblyzer, first[i], second[1 - i], RATE) for i in (0, 1)]
    assert max(cross) + 0.05 < min(same) <= 1
    assert similarity(resemblyzer, first[0], first[0], RATE) == pytest.approx(1)


def test_no_voice_is_like_no_other(resemblyzer: SpeakerModel) -> None:
    wave = said(TEXTS[0], "en-us")
    for silent in (np.zeros(RATE, np.float32), wave[:0], np.zeros(10, np.float32)):
        assert similarity(resemblyzer, silent, wave, RATE) == 0
    assert np.linalg.norm(resemblyzer.embedding(wave[:2000], RATE)) in (
        pytest.approx(1),
        pytest.approx(0),
    )


@needs_ljspeech
def test_a_reader_is_most_like_herself(resemblyzer: SpeakerModel) -> None:
    one, rate = read_audio(LJSPEECH / "wavs" / "LJ001-0029.wav")
    other, _ = read_audio(LJSPEECH / "wavs" / "LJ001-0030.wav")
    espeak = resample(said(TEXTS[0], "en-us+m3"), RATE, rate)
    assert similarity(resemblyzer, one, other, rate) > 0.8
    assert similarity(resemblyzer, one, espeak, rate) < 0.75


def test_models_of_transformers_are_read_from_folders(tmp_path: Path) -> None:
    """A model with random weights, which has no opinion but the right shapes."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForXVector

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = Wav2Vec2Config(
        intermediate_size=8, conv_dim=[8] * 7, num_conv_pos_embedding_groups=1,
        tdnn_dim=[8] * 5, xvector_output_dim=6, **sizes,
    )  # fmt: skip
    Wav2Vec2ForXVector(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    model = open_speaker_model(str(tmp_path))
    vector = model.embedding(said(TEXTS[0], "en-us"), RATE)
    assert vector.shape == (6,) and np.linalg.norm(vector) == pytest.approx(1)


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs the module resemblyzer.*pip install 'ns2\[eval\]"):
        open_speaker_model()
    with pytest.raises(UserError, match="pip install transformers"):
        open_speaker_model("microsoft/wavlm-base-plus-sv")
