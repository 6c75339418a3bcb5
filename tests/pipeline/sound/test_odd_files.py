"""Files as odd programs write them: read as what they are, or named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.containers import _ogg_checksum
from ns2.pipeline.sound.decode import (
    check_declared_length,
    check_samples,
    level_db,
    read_audio,
    trim_silence,
    without_offset,
)
from ns2.pipeline.sound.mpeg import _frames
from tests.support.factories import LJSPEECH, needs_ljspeech, tone

RATE = 24_000


def speech(seconds: float = 1.5) -> np.ndarray:
    """A tone that comes and goes, with noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(2).normal(size=len(t))
    return (np.sin(2 * np.pi * 170 * t) * np.sin(2 * np.pi * 2 * t) ** 2 / 3 + noise / 50).astype(
        np.float32
    )


def reason_of(path: Path) -> tuple[Reason, str]:
    with pytest.raises(UtteranceError) as error:
        read_audio(path)
    return error.value.reason, error.value.message


# --- formats --------------------------------------------------------------------------------------

FORMATS = {
    ".oga": ("OGG", "VORBIS"), ".aiff": ("AIFF", "PCM_16"), ".aif": ("AIFF", "PCM_24"),
    ".caf": ("CAF", "ALAC_16"), ".w64": ("W64", "PCM_16"), ".au": ("AU", "PCM_16"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_less_common_formats(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    form, subtype = FORMATS[suffix]
    soundfile.write(path, speech(), RATE, format=form, subtype=subtype)
    wave, rate = read_audio(path)
    assert rate == RATE and len(wave) == 36_000
    assert np.abs(wave - speech()).max() < (0.2 if suffix == ".oga" else 2**-14)


@pytest.mark.parametrize("suffix", [".aiff", ".caf", ".w64", ".au"])
def test_less_common_formats_that_are_cut_off(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, speech(), RATE, format=suffix[1:].upper(), subtype="PCM_16")
    assert len(read_audio(path)[0]) == 36_000
    path.write_bytes(path.read_bytes()[:-9000])
    assert reason_of(path)[0] is Reason.AUDIO_TRUNCATED


def tagged_wav(tag: int) -> bytes:
    form = struct.pack("<HHIIHH", tag, 1, RATE, RATE // 8, 1, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 500)
    return b"RIFF" + struct.pack("<I", len(body) + 500) + body + bytes(range(250)) * 2


M4A = b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + b"mp4a" * 50


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.m4a", M4A, "AAC in MP4 in a .m4a"),
        ("a.wav", M4A, "AAC in MP4 in a .wav"),
        ("b.m4a", M4A + b"alac", "ALAC in MP4"),
        ("a.wav", b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(500), "AAC (ADTS) in a .wav"),
        ("b.wav", tagged_wav(0x00FF), "AAC in a .wav"),
        ("c.wav", tagged_wav(0x0161), "WMA in a .wav"),
        ("d.wav", b"0&\xb2u\x8ef\xcf\x11\xa6\xd9" + bytes(500), "WMA (ASF) in a .wav"),
        ("e.mp3", b"\x1aE\xdf\xa3" + bytes(500), "Matroska or WebM in a .mp3"),
        ("f.wav", b"#!AMR\n" + bytes(500), "AMR in a .wav"),
        ("g.flac", b"<!DOCTYPE html><html></html>", "a web page"),
        ("h.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        ("i.wav", b"PK\x03\x04" + bytes(500), "a zip archive"),
    ],
)
def test_what_can_not_be_decoded_says_what_it_is(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    reason, message = reason_of(tmp_path / name)
    assert reason is Reason.AUDIO_UNREADABLE and said in message
    no_audio = any(word in message for word in ("web page", "Git LFS", "archive"))
    assert ("ffmpeg" in message) is not no_audio and str(tmp_path) not in message


# --- streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("riff", [0, 36, 0xFFFF_FFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_of_a_stream_is_read_to_its_end(riff: int, subtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(), RATE, subtype=subtype)
    whole, _ = read_audio(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[4:8], data[at + 4 : at + 8] = struct.pack("<I", riff), bytes(4)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_audio(path)[0], whole)
    path.write_bytes(data[:-1])  # half a sample
    assert len(read_audio(path)[0]) == len(whole) - 1


def test_a_wav_without_samples_is_still_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), RATE)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert reason_of(path)[0] is Reason.AUDIO_EMPTY


def without_end(data: bytes) -> bytes:
    """An Ogg file whose last page lacks the flag of the end, with its right checksum."""
    at = data.rfind(b"OggS")
    page = bytearray(data[at:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_checksum(bytes(page)))
    return data[:at] + bytes(page)


def one_packet_a_page(data: bytes) -> bytes:
    """An Ogg file with each packet on a page of its own, and no end, as Android writes it."""
    pages, at, number, granule = b"", 0, 0, 0
    while at < len(data):
        count = data[at + 26]
        lacing, body = data[at + 27 : at + 27 + count], at + 27 + count
        packet, sizes = b"", []
        for length in lacing:
            packet += data[body : body + length]
            body += length
            sizes.append(length)
            if length < 255:
                if number > 1:  # behind the pages of the header
                    granule += {12: 480, 13: 960}[packet[0] >> 3]  # RFC 6716, table 2
                head = (
                    b"OggS\0"
                    + (b"\2" if not number else b"\0")
                    + struct.pack("<qIIIB", granule if number > 1 else 0, 7, number, 0, len(sizes))
                    + bytes(sizes)
                )
                page = bytearray(head + packet)
                page[22:26] = struct.pack("<I", _ogg_checksum(bytes(page)))
                pages, packet, sizes, number = pages + bytes(page), b"", [], number + 1
        at = body
    return pages


@pytest.mark.parametrize(("suffix", "subtype"), [(".ogg", "VORBIS"), (".opus", "OPUS")])
@pytest.mark.parametrize("seconds", [0.4, 1.5, 4.3, 12.0])
def test_an_ogg_without_a_flag_of_its_end_is_whole(
    suffix: str, subtype: str, seconds: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, speech(seconds), RATE, format="OGG", subtype=subtype)
    whole, _ = read_audio(path)
    data = path.read_bytes()
    path.write_bytes(without_end(data))
    got, _ = read_audio(path)
    np.testing.assert_array_equal(got, whole)
    path.write_bytes(without_end(data)[:-10])
    assert reason_of(path)[0] is Reason.AUDIO_TRUNCATED


def test_an_opus_of_android(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, speech(1.5), RATE, format="OGG", subtype="OPUS")
    whole, _ = read_audio(path)
    path.write_bytes(one_packet_a_page(path.read_bytes()))
    got, _ = read_audio(path)
    np.testing.assert_allclose(got[: len(whole)], whole, atol=1e-6)


# --- mp3 ------------------------------------------------------------------------------------------


def with_count(data: bytes, count: int) -> bytes:
    """An MP3 whose tag says another number of frames."""
    at = next(_frames(data)).tag
    assert data[at : at + 4] in (b"Xing", b"Info") and data[at + 7] & 1
    return data[: at + 8] + struct.pack(">I", count) + data[at + 12 :]


@pytest.mark.parametrize("count", [0, 1, 3, 20, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_an_mp3_with_a_wrong_number_of_frames(count: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, speech(4.0), RATE, format="MP3")
    whole, _ = read_audio(path)
    path.write_bytes(with_count(path.read_bytes(), count))
    check_declared_length(path, 800)
    np.testing.assert_array_equal(read_audio(path)[0], whole)


def test_an_mp3_that_is_damaged_in_its_middle_is_not_read_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, speech(4.0), RATE, format="MP3")
    data = path.read_bytes()
    middle = next(f.at for f in _frames(data) if f.at > len(data) // 2)
    path.write_bytes(data[:middle] + b"\x55" * 500 + data[middle + 500 :])
    reason, message = reason_of(path)
    assert reason is Reason.AUDIO_UNREADABLE and "no MPEG frame begins" in message


def test_a_right_number_of_frames_changes_nothing(tmp_path: Path) -> None:
    from ns2.pipeline.sound.mpeg import counted_mp3

    for seconds in (0.2, 1.0, 4.0):
        soundfile.write(tmp_path / "a.mp3", speech(seconds), RATE, format="MP3")
        assert counted_mp3((tmp_path / "a.mp3").read_bytes()) is None


# --- a DC offset ----------------------------------------------------------------------------------


def test_an_offset_hides_no_silence() -> None:
    with pytest.raises(UtteranceError) as error:
        check_samples(np.full(RATE, 0.3, np.float32))
    assert error.value.reason is Reason.AUDIO_SILENT
    check_samples(np.full(RATE, 0.3, np.float32) + tone(1.0, 200, RATE) / 50)


def test_an_offset_is_no_level() -> None:
    wave = tone(1.0, 200, RATE)
    assert level_db(wave + np.float32(0.4)) == pytest.approx(level_db(wave), abs=0.001)


def test_an_offset_is_not_trimmed_for_sound() -> None:
    wave = np.zeros(3 * RATE, np.float32)
    wave[RATE : 2 * RATE] = tone(1.0, 200, RATE)
    expected = trim_silence(wave, RATE)
    got = trim_silence(wave + np.float32(0.05), RATE)
    assert len(expected) == len(got) == round(1.2 * RATE)
    np.testing.assert_array_equal(got, expected + np.float32(0.05))  # the samples keep it


def test_a_mean_that_is_none_changes_not_a_bit() -> None:
    wave = speech()
    assert abs(wave.mean()) > 0 and without_offset(wave) is wave
    assert without_offset(wave + np.float32(0.01)) is not wave


@needs_ljspeech
def test_real_recordings_have_none() -> None:
    for path in sorted((LJSPEECH / "wavs").iterdir()):
        wave, _ = read_audio(path)
        assert without_offset(wave) is wave
