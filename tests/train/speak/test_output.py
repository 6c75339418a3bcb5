"""Speech as files of several formats and as a stream."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UserError
from ns2.train.speak.output import FORMATS, SoundStream, save_sound
from ns2.train.speak.speaking import ENDINGS

TONE = 0.5 * np.sin(np.arange(24_000) / 20).astype(np.float32)


@pytest.mark.parametrize(("name", "error"), [("a.wav", 1e-4), ("a.flac", 1e-4), ("a.OGG", 0.05)])
def test_the_ending_says_in_which_format(tmp_path: Path, name: str, error: float) -> None:
    assert save_sound(tmp_path / name, TONE, 24_000) == 0
    wave, rate = soundfile.read(tmp_path / name)
    assert rate == 24_000 and soundfile.info(tmp_path / name).format == name[2:].upper()
    np.testing.assert_allclose(wave, TONE, atol=error)


def test_the_options_take_the_endings_that_are_written() -> None:
    """The options name them again, since what writes them loads more than a command may."""
    assert set(ENDINGS) == set(FORMATS)


def test_what_is_too_loud_is_brought_down_and_not_clipped(tmp_path: Path) -> None:
    down = save_sound(tmp_path / "a.wav", 4 * TONE, 24_000)
    assert down == pytest.approx(20 * np.log10(2), abs=0.01)
    wave, _ = soundfile.read(tmp_path / "a.wav")
    np.testing.assert_allclose(wave, 2 * TONE, atol=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_wave_that_is_not_finite_is_no_file(tmp_path: Path, wrong: float) -> None:
    wave = TONE.copy()
    wave[100] = wrong
    with pytest.raises(UserError, match="not finite, and nothing is written"):
        save_sound(tmp_path / "a.wav", wave, 24_000)
    out = io.BytesIO()
    with pytest.raises(UserError, match="not finite"):
        SoundStream(out, 24_000).write(wave)
    assert not list(tmp_path.iterdir()) and not out.getvalue()


def test_a_stream_is_a_wav_file_at_any_time() -> None:
    out = io.BytesIO()
    stream = SoundStream(out, 24_000)
    for count, piece in enumerate((TONE, 4 * TONE, TONE), 1):
        stream.write(piece)
        wave, rate = soundfile.read(io.BytesIO(out.getvalue()))
        assert rate == 24_000 and len(wave) == count * len(TONE)
    # what follows a piece that was too loud is brought down like it
    np.testing.assert_allclose(wave, np.concatenate([TONE, 2 * TONE, TONE / 2]), atol=1e-4)
    assert stream.down == pytest.approx(6.02, abs=0.01)


def synthesize(run: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "ns2.cli", "synthesize", str(run), "--steps", "2", *words]


def test_standard_output_has_what_a_file_would_have(run: Path, tmp_path: Path) -> None:
    text = "The old bridge creaks, and then it falls. " * 4
    streamed = subprocess.run(synthesize(run, text, "-o", "-"), capture_output=True, check=True)
    assert b"real-time factor" in streamed.stderr and b"loaded in" in streamed.stderr
    file = tmp_path / "a.flac"
    subprocess.run(synthesize(run, text, "-o", str(file)), capture_output=True, check=True)
    wave, rate = soundfile.read(io.BytesIO(streamed.stdout))
    expected, _ = soundfile.read(file)
    assert rate == 24_000
    np.testing.assert_allclose(wave, expected, atol=2e-3)


def test_lines_of_standard_input_are_spoken_when_they_come(run: Path, tmp_path: Path) -> None:
    command = synthesize(run, "--text-file", "-", "-o", str(tmp_path / "out"))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write("Stop!\n\nПривет\n".encode())
        process.stdin.flush()
        until = time.monotonic() + 120
        while not (tmp_path / "out/0001.wav").exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert (tmp_path / "out/0001.wav").exists()
        assert process.poll() is None
        said, told = process.communicate(b"Go slowly.\n")
    assert process.returncode == 1 and b"line 3" in told
    assert b"1 line could not be spoken" in told and b"real-time factor" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.wav", "0004.wav"]


def test_nobody_who_reads_is_no_traceback(run: Path) -> None:
    text = "The old bridge creaks, and then it falls. " * 12
    with subprocess.Popen(
        synthesize(run, text, "-o", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(4) == b"RIFF"
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
