"""Pieces of recordings: which samples they are, in every format, and what is said of their ends."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.sound import decode
from ns2.pipeline.sound.containers import opened
from ns2.pipeline.sound.decode import read_audio
from ns2.pipeline.sound.pieces import is_whole, recording_seconds
from tests.support.corpora_factories import write_audio
from tests.support.factories import tone

RATE = 22_050


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> np.ndarray:
    wave = np.random.default_rng(3).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    return np.squeeze(np.round(wave * 32768) / 32768)


FORMATS = {
    "wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "aiff": ("AIFF", "PCM_16"),
    "w64": ("W64", "PCM_16"), "caf": ("CAF", "PCM_16"), "au": ("AU", "PCM_16"),
    "rf64": ("RF64", "PCM_16"), "float.wav": ("WAV", "FLOAT"), "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_piece_is_the_same_samples_as_in_the_whole(name: str, tmp_path: Path) -> None:
    rate = 48_000 if name == "opus" else RATE
    path = tmp_path / f"a.{name}"
    form, subtype = FORMATS[name]
    soundfile.write(path, noise(3.0, rate=rate), rate, format=form, subtype=subtype)
    whole, _ = read_audio(path)
    for offset, duration in ((0.0, 1.0), (0.5, 0.25), (1.2345, 1.0001), (2.5, None)):
        start = int(np.floor(offset * rate + 0.5))
        end = len(whole) if duration is None else int(np.floor((offset + duration) * rate + 0.5))
        got, got_rate = read_audio(path, Piece(offset=offset, duration=duration))
        assert got_rate == rate
        np.testing.assert_array_equal(got, whole[start:end])


def test_a_piece_is_all_that_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, noise(60.0), RATE, subtype="PCM_16")
    asked: list[int] = []
    read = soundfile.SoundFile.read

    def counted(self, *args, **more):  # type: ignore[no-untyped-def]
        made = read(self, *args, **more)
        asked.append(len(made))
        return made

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    read_audio(path, Piece(offset=50.0, duration=0.5))
    assert asked == [RATE // 2]


@pytest.mark.parametrize("name", ["mp3", "ogg"])
def test_a_recording_of_many_pieces_is_decoded_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / f"a.{name}", tmp_path / f"b.{name}"
    form, subtype = FORMATS[name]
    soundfile.write(path, noise(3.0), RATE, format=form, subtype=subtype)
    soundfile.write(other, noise(2.0)[::-1], RATE, format=form, subtype=subtype)
    whole = {one: read_audio(one)[0] for one in (path, other)}
    count = 0
    read = soundfile.SoundFile.read

    def counted(self, *args, **more):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        return read(self, *args, **more)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    for one in (path, path, path, other, other):
        got, _ = read_audio(one, Piece(offset=1.0, duration=0.5))
        np.testing.assert_array_equal(got, whole[one][RATE : RATE + RATE // 2])
    assert count == 2
    path.write_bytes(other.read_bytes())  # another recording of the same name
    got, _ = read_audio(path, Piece(offset=1.0, duration=0.5))
    np.testing.assert_array_equal(got, whole[other][RATE : RATE + RATE // 2])


def test_pieces_that_adjoin_have_every_sample_once() -> None:
    borders = np.cumsum([0, *np.random.default_rng(5).uniform(0.01, 0.7, 500).round(3)]).round(3)
    for rate in (8_000, 22_050, 44_100):
        spans = [
            Piece(offset=float(a), duration=float(round(b - a, 3))).samples(rate)
            for a, b in itertools.pairwise(borders)
        ]
        assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    # halves are rounded up, whatever binary fractions do to them
    assert Piece(offset=0.1, duration=0.2).samples(5) == (1, 2)


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (Piece(offset=0.5, duration=0.53), Reason.PIECE_BEYOND_END),
        (Piece(offset=0.0, duration=1900.0), Reason.PIECE_BEYOND_END),
        (Piece(offset=1.0), Reason.PIECE_BEYOND_END),
        (Piece(offset=5.0, duration=1.0), Reason.PIECE_BEYOND_END),
        (Piece(offset=0.5, duration=0.00001), Reason.AUDIO_EMPTY),
    ],
)
def test_pieces_beyond_the_end(tmp_path: Path, piece: Piece, reason: Reason) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1.0), RATE)
    with pytest.raises(UtteranceError) as error:
        read_audio(path, piece)
    assert error.value.reason is reason
    if reason is Reason.PIECE_BEYOND_END:
        assert "the recording, which has 1.000 s" in error.value.message


def test_an_end_that_was_rounded_is_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1.8996), RATE)
    whole, _ = read_audio(path)
    got, _ = read_audio(path, Piece(offset=0.5, duration=1.41))
    np.testing.assert_array_equal(got, whole[RATE // 2 :])


def test_a_channel(tmp_path: Path) -> None:
    path, wave = tmp_path / "a.wav", noise(1.0, channels=2)
    soundfile.write(path, wave, RATE)
    for channel in (0, 1):
        got, _ = read_audio(path, Piece(offset=0.5, duration=0.1, channel=channel))
        np.testing.assert_array_equal(got, wave[RATE // 2 :, channel][: RATE // 10])
    with pytest.raises(UtteranceError, match="no channel 2: they are 2"):
        read_audio(path, Piece(channel=2))


def test_what_is_a_whole_recording() -> None:
    assert is_whole(Piece(duration=1.9), 1.8996) and is_whole(Piece(duration=1.89), 1.8996)
    assert is_whole(Piece(), 5.0)
    assert not is_whole(Piece(duration=1.5), 1.8996) and not is_whole(Piece(duration=2.5), 1.8996)
    assert not is_whole(Piece(offset=0.01, duration=1.89), 1.8996)
    assert not is_whole(Piece(channel=0), 1.8996)
    assert is_whole(Piece(duration=1900.0, at_most=True), 1.8996)
    assert not is_whole(Piece(duration=1.5, at_most=True), 1.8996)


def test_the_length_of_a_recording(tmp_path: Path) -> None:
    for suffix in ("wav", "flac", "mp3"):
        soundfile.write(tmp_path / f"a.{suffix}", noise(1.25), RATE)
        assert recording_seconds(tmp_path / f"a.{suffix}") == pytest.approx(1.25, abs=1e-4)
    (tmp_path / "b.wav").write_bytes(b"nothing")
    assert recording_seconds(tmp_path / "b.wav") is None
    assert recording_seconds(tmp_path / "c.wav") is None


@pytest.mark.parametrize(
    "value",
    [{"offset": -1}, {"offset": "1"}, {"begin": 1}, [1], {"channel": 0.5}, {"offset": True}],
)
def test_pieces_of_a_strangers_dataset(value: object) -> None:
    with pytest.raises(ValueError, match="piece"):
        Piece.from_json(value)
    piece = Piece(offset=1.5, duration=2.0, channel=1)
    assert Piece.from_json(piece.to_json()) == piece and Piece.from_json(None) is None


def test_a_recording_is_decoded_once_for_all_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a format in which no piece can be decoded alone; what one channel is, is another's not."""
    stereo = np.stack([tone(2.0, 150), tone(2.0, 250)], axis=1)
    path = write_audio(tmp_path / "a.mp3", stereo, 24_000)
    whole, _ = read_audio(path)
    opens: list[object] = []

    def counted(place: object) -> object:
        opens.append(place)
        return opened(path)

    monkeypatch.setattr(decode, "opened", counted)
    for start in range(0, 36_000, 6_000):
        piece, _ = read_audio(path, Piece(offset=start / 24_000, duration=0.25))
        np.testing.assert_array_equal(piece, whole[start : start + 6_000])
    assert len(opens) == 1
    left, right = (read_audio(path, Piece(channel=i))[0] for i in (0, 1))
    np.testing.assert_allclose((left + right) / 2, whole, atol=1e-7)
    assert abs(left - right).max() > 0.1
    with pytest.raises(UtteranceError, match="no channel 2: they are 2"):
        read_audio(path, Piece(channel=2))
