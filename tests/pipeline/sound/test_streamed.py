"""Decoding block by block gives what decoding at once gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.streamed import streamed

RATE = 24_000


def noise(seconds: float, rate: int, channels: int) -> np.ndarray:
    shape = (round(seconds * rate), channels)
    return np.random.default_rng(0).uniform(-0.3, 0.3, shape).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (44_100, 2)])
def test_blocks_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rate: int, channels: int
) -> None:
    monkeypatch.setattr("ns2.pipeline.sound.streamed._BLOCK_SECONDS", 2)
    path = tmp_path / f"a{suffix}"
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        for part in np.array_split(noise(7, rate, channels), 10):
            file.write(part)  # libsndfile crashes on long blocks of Vorbis
    blocks = list(streamed(path, RATE))
    assert len(blocks) > 2
    whole = resample(*read_audio(path), RATE)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2, 8000, 1), 8000)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UtteranceError) as caught:
        list(streamed(path, RATE))
    assert caught.value.reason is Reason.AUDIO_TRUNCATED
    broken = tmp_path / "b.mp3"
    broken.write_bytes(b"this is no audio at all" * 100)
    with pytest.raises(UtteranceError) as caught:
        list(streamed(broken, RATE))
    assert caught.value.reason is Reason.AUDIO_UNREADABLE
