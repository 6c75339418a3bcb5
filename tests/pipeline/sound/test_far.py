"""Recordings in a bucket are decoded as on a disk, with few requests, and only as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.remote.standing import stand_for
from ns2.pipeline.sound.decode import read_audio
from ns2.pipeline.sound.held import far
from ns2.pipeline.sound.held.recordings import hash_recording
from tests.support.bucket.proxy import Proxy, proxy_before
from tests.support.bucket.server import S3Server, environment, reach
from tests.support.corpora_factories import write_audio
from tests.support.factories import tone

SUFFIXES = [".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff"]


@pytest.fixture
def proxy(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy_before(s3.port) as proxy:
        reach(s3.endpoint, tmp_path / "cache", monkeypatch)
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


def put(s3: S3Server, path: Path) -> Recording:
    """The recording of a file that was put into the bucket."""
    s3.put(f"far/{path.name}", path.read_bytes())
    return Recording.of(stand_for("s3://bucket/far", lambda *_: False) / path.name)


def gets(proxy: Proxy) -> int:
    return sum(line.startswith("GET") and "list-type" not in line for line, _ in proxy.lines)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recording_is_fetched_once_and_decoded_alike(
    proxy: Proxy, s3: S3Server, tmp_path: Path, suffix: str
) -> None:
    near = write_audio(tmp_path / f"a{suffix}", tone(1.0, 200, 24_000), 24_000)
    recording = put(s3, near)
    assert recording.path.stat().st_blocks == 0
    assert hash_recording(recording) == sha256_file(near)
    for piece in (None, Piece(offset=0.25, duration=0.5)):
        wave, rate = read_audio(recording, piece)
        expected, _ = read_audio(near, piece)
        assert rate == 24_000 and np.array_equal(wave, expected)
    assert gets(proxy) == 1


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_pieces_of_a_long_recording_cost_their_bytes(
    proxy: Proxy, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(far, "WHOLE", 1 << 16)
    monkeypatch.setattr(far, "_LEAST", 1 << 14)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 24_000 * 60).astype(np.float32)
    near = write_audio(tmp_path / f"long{suffix}", noise, 24_000)
    recording = put(s3, near)
    assert hash_recording(recording) == sha256_file(near)
    before = proxy.bytes
    for begin in (3.0, 30.0, 55.5):
        piece = Piece(offset=begin, duration=1.0)
        wave, _ = read_audio(recording, piece)
        assert np.array_equal(wave, read_audio(near, piece)[0])
    assert proxy.bytes - before < 0.35 * near.stat().st_size


def test_wrong_bytes_are_fetched_again(proxy: Proxy, s3: S3Server, tmp_path: Path) -> None:
    near = write_audio(tmp_path / "wrong.wav", tone(1.0, 200, 24_000), 24_000)
    recording = put(s3, near)
    proxy.faults.wrong = 0.4
    for _ in range(8):
        far._LAST.one = None
        assert hash_recording(recording) == sha256_file(near)
    assert proxy.met["wrong"] > 0


@pytest.mark.parametrize("whole", [1 << 24, 1 << 10])
def test_an_object_that_has_changed_is_refused(
    proxy: Proxy, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(far, "WHOLE", whole)
    near = write_audio(tmp_path / f"changed{whole}.wav", tone(1.0, 200, 24_000), 24_000)
    recording = put(s3, near)
    s3.put(f"far/{near.name}", near.read_bytes()[:-2] + b"\1\0")  # as long as before
    for look in (hash_recording, read_audio):
        with pytest.raises(UserError, match=f"far/{near.name} has changed since it was listed"):
            look(recording)
    s3.delete(f"far/{near.name}")
    with pytest.raises(FileNotFoundError):
        hash_recording(recording)
