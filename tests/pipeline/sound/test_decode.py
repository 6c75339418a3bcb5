"""Decoding: real encoded files of every format, and broken ones."""

import struct

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import FrameGrid, Reason
from ns2.pipeline.sound.decode import read_audio, resample, resampled_length
from ns2.pipeline.stages.audio import AudioStage
from ns2.pipeline.stages.stage import Item
from tests.support.corpora_factories import write_audio
from tests.support.factories import LJSPEECH, needs_ljspeech, tone

RATE = 24_000


def speechlike(seconds: float, rate: int) -> np.ndarray:
    """A gliding tone with bursts of noise: correlates with itself at one lag only."""
    t = np.arange(round(seconds * rate)) / rate
    generator = np.random.default_rng(7)
    wave = np.sin(2 * np.pi * (150 * t + 400 * t**2)) * np.sin(2 * np.pi * 2.3 * t) ** 2
    # noise made at one rate, so that the signal is the same at all
    noise = np.interp(t, np.arange(0, seconds + 1, 1 / 4000), generator.normal(
        size=len(np.arange(0, seconds + 1, 1 / 4000))))  # fmt: skip
    return (0.5 * wave + 0.05 * noise).astype(np.float32)


def lag(a: np.ndarray, b: np.ndarray) -> float:
    """How many samples later b is, by cross-correlation interpolated 16 times."""
    size = 1 << (2 * max(len(a), len(b)) - 1).bit_length()
    cross = np.fft.rfft(a, size).conj() * np.fft.rfft(b, size)
    fine = np.fft.irfft(cross, 16 * size)
    at = int(np.argmax(fine))
    return (at if at < len(fine) // 2 else at - len(fine)) / 16


def reason_of(path) -> Reason:
    with pytest.raises(UtteranceError) as error:
        read_audio(path)
    assert str(path.parent) not in error.value.message
    return error.value.reason


# --- formats ---------------------------------------------------------------------------------

# suffix, subtype, largest error: the step of the bits, or a share of the energy where it is lossy
FORMATS = {
    "wav u8": (".wav", "PCM_U8", 2**-7),
    "wav s16": (".wav", "PCM_16", 2**-15),
    "wav s24": (".wav", "PCM_24", 2**-23),
    "wav s32": (".wav", "PCM_32", 2**-23),
    "wav float": (".wav", "FLOAT", 2**-23),
    "wav double": (".wav", "DOUBLE", 2**-23),
    "flac": (".flac", "PCM_16", 2**-15),
    "mp3": (".mp3", None, 0.05),
    "ogg vorbis": (".ogg", None, 0.05),
    "opus": (".opus", None, 0.1),
}
LOSSY = (".mp3", ".ogg", ".opus")


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
def test_the_same_recording_in_every_format(tmp_path, rate):
    wave = speechlike(1.3, rate)
    _same_in_every_format(tmp_path, wave, rate)


@needs_ljspeech
def test_real_speech_in_every_format(tmp_path):
    wave, rate = read_audio(LJSPEECH / "wavs" / "LJ001-0002.wav")
    truth, _ = soundfile.read(LJSPEECH / "wavs" / "LJ001-0002.wav")
    assert np.array_equal(wave, truth.astype(np.float32))
    _same_in_every_format(tmp_path, wave, rate)


def _same_in_every_format(tmp_path, wave, rate):
    grid = FrameGrid()
    reference = resample(wave, rate, grid.sample_rate)
    assert grid.frames(len(reference)) == -(-len(wave) * grid.sample_rate // rate // 320)
    stage = AudioStage(sample_rate=grid.sample_rate)
    for number, (name, (suffix, subtype, most)) in enumerate(FORMATS.items()):
        source, source_rate = wave, rate
        if suffix == ".opus" and rate == 22_050:  # opus has no such rate
            source, source_rate = resample(wave, rate, 48_000), 48_000
        path = write_audio(tmp_path / f"{number}{suffix}", source, source_rate, subtype)
        item = Item(key="k", record={}, inputs={"audio_file": str(path)})
        product = stage.compute(item)
        got = product.value
        assert got.dtype == np.float32 and got.ndim == 1
        assert product.scalars["samples"] == len(got)
        assert grid.frames(len(got)) == grid.frames(len(reference)), name
        assert len(got) == len(reference), name
        # libopus's encoder shifts what it resamples itself by up to 1.2 samples
        assert abs(lag(reference, got)) <= (1.25 if suffix == ".opus" else 0.1), name
        if suffix in LOSSY:
            assert np.sum((got - reference) ** 2.0) < most * np.sum(reference**2.0), name
        else:  # a resampler may add up the steps of neighbours
            assert np.abs(got - reference).max() <= 1.5 * most, name


def test_channels_are_mixed_by_their_mean(tmp_path):
    left, right = tone(0.1, 200, RATE), tone(0.1, 310, RATE, level=0.5)
    path = write_audio(tmp_path / "a.wav", np.stack([left, right, left], 1), RATE, "FLOAT")
    wave, rate = read_audio(path)
    assert rate == RATE
    np.testing.assert_allclose(wave, (2 * left + right) / 3, atol=1e-7)


def test_a_wave_beyond_full_scale_is_not_clipped(tmp_path):
    wave = 3 * tone(0.1, 200, RATE)
    assert np.array_equal(read_audio(write_audio(tmp_path / "a.wav", wave, RATE, "FLOAT"))[0], wave)


def test_a_format_is_told_by_its_content(tmp_path):
    path = write_audio(tmp_path / "a.flac", tone(0.1, 200, RATE), RATE)
    assert len(read_audio(path.rename(tmp_path / "a.wav"))[0]) == 2400


# --- files that are broken -------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoded(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("encoded")
    wave = speechlike(1.5, RATE)
    return {
        suffix: write_audio(folder / f"a{suffix}", wave, RATE).read_bytes()
        for suffix in (".wav", ".flac", ".mp3", ".ogg", ".opus")
    }


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".opus"])
@pytest.mark.parametrize("cut", [0.3, 0.7, 0.95, -1])
def test_cut_off(tmp_path, encoded, suffix, cut):
    data = encoded[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert len(read_audio(path)[0]) == 36_000
    path.write_bytes(data[: cut if cut < 0 else int(len(data) * cut)])
    assert reason_of(path) is Reason.AUDIO_TRUNCATED


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_an_ogg_cut_between_two_pages(tmp_path, encoded, suffix):
    data = encoded[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data[: data.rfind(b"OggS")])
    assert reason_of(path) is Reason.AUDIO_TRUNCATED


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_no_damage_to_an_ogg_shortens_it_in_silence(tmp_path, encoded, suffix):
    data = encoded[suffix]
    path = tmp_path / f"a{suffix}"
    generator = np.random.default_rng(5)
    for at in generator.integers(len(data), size=60):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        assert reason_of(path) in (Reason.AUDIO_UNREADABLE, Reason.AUDIO_TRUNCATED)
    last = data.rfind(b"OggS")
    path.write_bytes(data[:last] + b"junk" + data[last:])
    assert reason_of(path) is Reason.AUDIO_UNREADABLE
    path.write_bytes(data + data)  # two streams, of which libsndfile reads one
    assert reason_of(path) is Reason.AUDIO_UNREADABLE
    path.write_bytes(data + bytes(100))
    assert len(read_audio(path)[0]) == 36_000


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
def test_a_wav_written_to_a_pipe_is_whole(tmp_path, encoded, size):
    data = bytearray(encoded[".wav"])
    data[40:44] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav")[0]) == 36_000


def test_rf64_and_chunks_around_the_data(tmp_path):
    wave = tone(0.5, 200, RATE)
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="RF64") as file:
        file.title = "odd"
        file.write(wave)
    data = path.read_bytes()
    assert data[:4] == b"RF64"
    assert len(read_audio(path)[0]) == len(wave)
    path.write_bytes(data[:9000])
    assert reason_of(path) is Reason.AUDIO_TRUNCATED

    path = write_audio(tmp_path / "b.wav", wave, RATE)
    data = path.read_bytes()
    extra = b"LIST" + struct.pack("<I", 5) + b"abcde\0"  # odd, so padded
    path.write_bytes(data[:36] + extra + data[36:] + extra)
    assert len(read_audio(path)[0]) == len(wave)
    path.write_bytes(data[:36] + extra + data[36:-10])
    assert reason_of(path) is Reason.AUDIO_TRUNCATED


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.wav", b"", Reason.AUDIO_EMPTY),
        ("random.wav", bytes(np.random.default_rng(1).bytes(5000)), Reason.AUDIO_UNREADABLE),
        ("random.mp3", bytes(np.random.default_rng(2).bytes(5000)), Reason.AUDIO_UNREADABLE),
        ("zeros.wav", bytes(5000), Reason.AUDIO_UNREADABLE),
        ("text.wav", b"Not sound, but words. " * 50, Reason.AUDIO_UNREADABLE),
        ("page.flac", b"<!DOCTYPE html><html></html>" * 50, Reason.AUDIO_UNREADABLE),
        ("samples.raw", bytes(5000), Reason.AUDIO_UNREADABLE),
        ("riff.wav", b"RIFF" + bytes(5000), Reason.AUDIO_UNREADABLE),
    ],
)
def test_not_audio(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason_of(tmp_path / name) is reason


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_half_a_header(tmp_path, encoded, suffix):
    (tmp_path / f"a{suffix}").write_bytes(encoded[suffix][:24])
    assert reason_of(tmp_path / f"a{suffix}") is Reason.AUDIO_UNREADABLE


def test_a_header_without_samples(tmp_path):
    path = write_audio(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    assert reason_of(path) is Reason.AUDIO_EMPTY


def test_damage_in_the_middle_is_not_a_cut(tmp_path, encoded):
    data = bytearray(encoded[".flac"])
    data[len(data) // 2] ^= 0x10
    (tmp_path / "a.flac").write_bytes(data)
    assert reason_of(tmp_path / "a.flac") is Reason.AUDIO_UNREADABLE


def test_a_flac_that_does_not_know_its_length(tmp_path, encoded):
    data = bytearray(encoded[".flac"])
    data[21] &= 0xF0  # the 36 bits of STREAMINFO's number of samples
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(UtteranceError, match="convert the file") as error:
        read_audio(tmp_path / "a.flac")
    assert error.value.reason is Reason.AUDIO_UNREADABLE


def test_an_impossible_rate(tmp_path, encoded):
    data = bytearray(encoded[".wav"])
    data[24:28] = struct.pack("<I", 1)
    (tmp_path / "a.wav").write_bytes(data)
    assert reason_of(tmp_path / "a.wav") is Reason.AUDIO_UNREADABLE


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, bad):
    wave = tone(0.1, 200, RATE)
    wave[77] = bad
    for channels in (wave, np.stack([wave, -wave], 1)):
        path = write_audio(tmp_path / "a.wav", channels, RATE, "FLOAT")
        assert reason_of(path) is Reason.AUDIO_NOT_FINITE
    path = write_audio(tmp_path / "a.wav", np.array([0.1, 1e300]), RATE, "DOUBLE")
    assert reason_of(path) is Reason.AUDIO_NOT_FINITE


def test_silence(tmp_path):
    wave = tone(0.1, 200, RATE, level=1.0)
    quiet = write_audio(tmp_path / "a.wav", 0.9e-4 * wave, RATE, "FLOAT")
    assert reason_of(quiet) is Reason.AUDIO_SILENT
    read_audio(write_audio(tmp_path / "a.wav", 1.1e-4 * wave, RATE, "FLOAT"))
    zeros = write_audio(tmp_path / "a.wav", np.zeros(500), RATE)
    assert reason_of(zeros) is Reason.AUDIO_SILENT
    opposed = write_audio(tmp_path / "a.wav", np.stack([wave, -wave], 1), RATE, "FLOAT")
    with pytest.raises(UtteranceError, match="mean of 2 channels"):
        read_audio(opposed)


def test_missing(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere")
    for name in ("gone.wav", "folder.wav", "link.wav"):
        assert reason_of(tmp_path / name) is Reason.AUDIO_MISSING


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 48_000, 192_000])
def test_one_sample(tmp_path, rate):
    path = write_audio(tmp_path / "a.wav", np.array([0.5]), rate)
    item = Item(key="k", record={}, inputs={"audio_file": str(path)})
    try:
        product = AudioStage().compute(item)
    except UtteranceError as error:
        assert error.reason is Reason.AUDIO_SILENT
    else:
        assert product.value.shape == (resampled_length(1, rate, RATE),)


# --- mp3 without a count of its frames -------------------------------------------------------


def mpeg_frame_length(data: bytes) -> int:
    """Bytes of the frame that begins here, for the MPEG 2 at 24 kHz of these tests."""
    kbps = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[data[2] >> 4]
    return 72_000 * kbps // 24_000 + (data[2] >> 1 & 1)


@pytest.fixture(scope="module", params=["CONSTANT", "VARIABLE"])
def untagged(request, tmp_path_factory) -> tuple[np.ndarray, bytes]:
    """A wave and its mp3 without the tag's frame."""
    wave = np.concatenate([np.zeros(6_000, np.float32), speechlike(2.0, RATE)])
    path = tmp_path_factory.mktemp("mp3") / "a.mp3"
    soundfile.write(path, wave, RATE, format="MP3", bitrate_mode=request.param,
                    compression_level=0.5)  # fmt: skip
    data = path.read_bytes()
    assert b"Xing" in data[:60] or b"Info" in data[:60]
    return wave, data[mpeg_frame_length(data) :]


def test_an_mp3_without_a_count_is_read_whole(tmp_path, untagged):
    wave, data = untagged
    path = tmp_path / "a.mp3"
    id3 = b"ID3\x03\0\0\0\0\x0f\x76" + bytes(0x0F * 128 + 0x76)
    waves = []
    for front, back in ((b"", b""), (b"", b"TAG" + bytes(125)), (id3, b""), (b"junk", bytes(9))):
        path.write_bytes(front + data + back)
        waves.append(read_audio(path)[0])
    assert all(np.array_equal(waves[0], other) for other in waves)
    # The delay of the encoder is not known, so it stays: 576 samples of LAME.
    assert len(waves[0]) >= len(wave) + 576
    got = waves[0][576 : 576 + len(wave)]
    assert abs(lag(wave, got)) <= 0.1
    assert np.sum((got - wave) ** 2.0) < 0.1 * np.sum(wave**2.0)


def test_an_mp3_without_a_count_that_is_cut_or_damaged(tmp_path, untagged):
    _, data = untagged
    path = tmp_path / "a.mp3"
    path.write_bytes(data[:-20])
    assert reason_of(path) is Reason.AUDIO_TRUNCATED
    middle = 0
    while middle < len(data) // 2:
        middle += mpeg_frame_length(data[middle:])
    path.write_bytes(data[:middle] + b"\x55" * 300 + data[middle:])
    assert reason_of(path) is Reason.AUDIO_UNREADABLE
