"""Speech as files of several formats and as a stream."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.train.speak.output import FORMATS, SoundStream, save_sound
from ns2.train.speak.speaking import ENDINGS
from ns2.train.speak.synthesizer import Synthesizer
from tests.support import warm

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
    # what is too loud is brought down, and not what comes before and behind it
    first, loud, last = wave.reshape(3, -1)
    np.testing.assert_allclose([first, last], [TONE, TONE], atol=1e-4)
    np.testing.assert_allclose(loud[300:-300], 2 * TONE[300:-300], atol=1e-3)
    assert np.abs(loud).max() <= 1
    assert stream.down == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize("peak", [1.2, 3.0])
def test_a_stream_is_brought_down_around_what_is_too_loud(peak: float) -> None:
    """Smoothly, and by no more than is needed: nothing is clipped, and the rest stays."""
    rng = np.random.default_rng(0)
    wave = TONE.copy()
    wave[12_000:12_040] *= 2 * peak
    out = io.BytesIO()
    stream = SoundStream(out, 24_000)
    for piece in (wave[:15_000], wave[15_000:], 0.1 * rng.standard_normal(100)):
        stream.write(piece)
    made, _ = soundfile.read(io.BytesIO(out.getvalue()))
    loudest = np.abs(wave).max()
    assert stream.down == pytest.approx(20 * np.log10(loudest), abs=0.01)
    assert 0.99 < np.abs(made).max() <= 1
    far = np.r_[:11_700, 12_340:24_000]
    np.testing.assert_allclose(made[far], wave[far], atol=1e-4)
    gain = made[11_000:13_000] / wave[11_000:13_000]
    gain = gain[np.abs(wave[11_000:13_000]) > 0.1]
    assert np.abs(np.diff(gain)).max() < 0.1  # no step that would be heard as a click


def synthesize(run: Path, *words: str) -> list[str]:
    return ["synthesize", str(run), "--steps", "2", *words]


def piped(words: list[str], **more: Any) -> subprocess.Popen[bytes]:
    """A command whose output is a pipe."""
    command = [sys.executable, "-m", "ns2.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def test_standard_output_has_what_a_file_would_have(run: Path, tmp_path: Path) -> None:
    text = "The old bridge creaks, and then it falls. " * 4
    with warm.ns2(synthesize(run, text, "-o", "-")) as streamed:
        assert streamed.wait(300) == 0
        told = streamed.errors.read_text()
        wave, rate = soundfile.read(io.BytesIO(streamed.output.read_bytes()))
    assert "real-time factor" in told and "loaded in" in told
    file = tmp_path / "a.flac"
    assert CliRunner().invoke(main, synthesize(run, text, "-o", str(file))).exit_code == 0
    expected, _ = soundfile.read(file)
    assert rate == 24_000
    np.testing.assert_allclose(wave, expected, atol=2e-3)


def test_a_stream_begins_before_its_own_voice_is_taken(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a prompt the other pieces have the voice of the first, which nobody waits for."""
    order: list[str] = []
    for owner, name in ((SoundStream, "write"), (Synthesizer, "encode_prompt")):
        made = getattr(owner, name)

        def noted(*given: Any, made: Any = made, name: str = name) -> Any:
            order.append(name)
            return made(*given)

        monkeypatch.setattr(owner, name, noted)
    text = "The old bridge creaks, and then it falls. " * 4
    done = CliRunner().invoke(main, synthesize(run, text, "-o", "-"))
    assert done.exit_code == 0 and done.stdout_bytes.startswith(b"RIFF")
    assert order[:3] == ["write", "encode_prompt", "write"]


def test_lines_of_standard_input_are_spoken_when_they_come(run: Path, tmp_path: Path) -> None:
    command = synthesize(run, "--text-file", "-", "-o", str(tmp_path / "out"))
    with piped(command, stdin=subprocess.PIPE) as process:
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
    with piped(synthesize(run, text, "-o", "-")) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(4) == b"RIFF"
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
