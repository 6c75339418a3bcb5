"""Rubbish of every kind in a corpus: each piece gets its row and reason, the rest is untouched."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak, write_wav
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import contents, identities, run_inline

COLUMNS = ("mel", "f0", "phonemes", "meta", "durations")
GOOD = 20
ODD_IDS = ("a.b.c", "a/b", "with space", "naïve-日本", "-dash", "x" * 200, "a\\b", "q'uote\"")


def speech(i: int) -> tuple[np.ndarray, int, str]:
    text = SENTENCES[i % len(SENTENCES)]
    samples, rate, _ = speak(text, VOICES[i % len(VOICES)])
    return samples, rate, text


def good_rows(root: Path) -> list[dict[str, Any]]:
    """Speech in good order, some of it under odd ids."""
    rows = []
    for i in range(GOOD):
        samples, rate, text = speech(i)
        write_wav(root / f"good{i}.wav", samples, rate)
        name = ODD_IDS[i] if i < len(ODD_IDS) else f"good{i}"
        rows.append({"id": name, "audio": f"good{i}.wav", "text": text})
    return rows


def bad_rows(root: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rubbish, and the reason for each."""
    samples, rate, text = speech(0)
    write_wav(root / "whole.wav", samples, rate)
    whole = (root / "whole.wav").read_bytes()
    files: dict[str, tuple[bytes | np.ndarray | None, str]] = {
        "missing": (None, "audio_missing"),
        "empty": (b"", "audio_empty"),
        "renamed": (b"This is no audio but a letter.\n" * 50, "audio_unreadable"),
        "cut": (whole[: len(whole) // 2], "audio_truncated"),
        "half-header": (whole[:20], "audio_unreadable"),
        "random": (np.random.default_rng(0).bytes(20_000), "audio_unreadable"),
        "silent": (np.zeros(rate), "audio_silent"),
        "nan": (np.full(rate, np.nan), "audio_not_finite"),
        "one-sample": (np.ones(1), "too_short"),
        "hundredth": (0.1 * np.sin(np.arange(rate // 100)), "too_short"),
        "ten-minutes": (np.tile(samples / 32768, 400)[: 600 * rate], "too_long"),
    }
    rows, reasons = [], {}
    for name, (content, reason) in files.items():
        path = root / f"{name}.wav"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            soundfile.write(path, content, rate, subtype="FLOAT")
        rows.append({"id": name, "audio": path.name, "text": text})
        reasons[name] = reason
    (root / "folder.wav").mkdir()
    texts: dict[str, tuple[str | None, str]] = {
        "no-transcript": (None, "no_transcript"),
        "empty-transcript": ("", "empty_transcript"),
        "blank-transcript": (" \t ", "empty_transcript"),
        "emoji": ("🙂🎉", "nothing_speakable"),
        "script": ("Привет, мир!", "wrong_script"),
        "endless": ("word " * 2000, "text_too_long"),
        "other-text": ("This is far too much text for such a short recording. " * 8,
                       "more_phones_than_frames"),
    }  # fmt: skip
    for name, (said, reason) in texts.items():
        rows.append({"id": name, "audio": "whole.wav", **({} if said is None else {"text": said})})
        reasons[name] = reason
    rows.append({"id": "folder", "audio": "folder.wav", "text": text})
    reasons["folder"] = "audio_missing"
    rows.append({"id": "tongues", "audio": "whole.wav", "text": text, "language": "xx-none"})
    reasons["tongues"] = "unknown_language"
    if os.geteuid() != 0:  # root may read everything
        (root / "secret.wav").write_bytes(whole)
        (root / "secret.wav").chmod(0)
        rows.append({"id": "secret", "audio": "secret.wav", "text": text})
        reasons["secret"] = "audio_unreadable"
    return rows, reasons


def write(root: Path, rows: list[dict[str, Any]]) -> Path:
    path = root / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rubbish_costs_itself_only(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    good = good_rows(root)
    run_inline(write(root, good), tmp_path / "clean", None, columns=COLUMNS)
    bad, reasons = bad_rows(root)
    twice = {**good[0], "text": "The second of this name."}
    summary = run_inline(
        write(root, [*bad[::2], *good, twice, *bad[1::2]]), tmp_path / "out", None, columns=COLUMNS
    )
    rejected = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert sorted((row["id"], row["reason"]) for row in rejected) == sorted(
        [*reasons.items(), (good[0]["id"], "duplicate_id")]
    )
    assert all(row["message"] for row in rejected)
    kinds = {row["id"]: row["kind"] for row in rejected}
    assert {name for name, kind in kinds.items() if kind == "filtered"} == {
        "one-sample", "hundredth", "ten-minutes",
    }  # fmt: skip
    assert summary.found == GOOD + len(rejected) and summary.written == GOOD
    assert verify(tmp_path / "out").faults == []
    clean, found = Dataset(tmp_path / "clean"), Dataset(tmp_path / "out")
    assert clean.keys == found.keys
    for expected, utterance in zip(clean, found, strict=True):
        for column in ("mel", "f0", "phonemes"):
            np.testing.assert_array_equal(expected[column], utterance[column])
    assert {row["id"] for row in found.index.to_pylist()} == {row["id"] for row in good}


def test_too_many_rejected_is_exit_code_3_and_a_whole_dataset(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    rows = [*good_rows(root)[:6], {"id": "gone", "audio": "gone.wav", "text": "Hello."}]
    arguments = ["preprocess", str(write(root, rows)), "-o", str(tmp_path / "out")]
    arguments += ["--columns", "mel", "--executor", "inline"]
    result = CliRunner().invoke(main, [*arguments, "--max-rejected", "0.01"])
    assert result.exit_code == 3
    assert "rejected.parquet" in result.stderr
    assert len(Dataset(tmp_path / "out")) == 6 and verify(tmp_path / "out").faults == []
    assert CliRunner().invoke(main, [*arguments, "--max-rejected", "0.5"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--layout", "ljspech"], 2, "ljspeech"),
        (["--language", "klingon"], 2, "no such voice"),
        (["--columns", "mels"], 2, "no column mels"),
        (["--f0-min", "900", "--f0-max", "100"], 2, "pitch range"),
        (["--min-seconds", "9", "--max-seconds", "1"], 2, "--min-seconds"),
        (["--columns", "mel,codes", "--codec", "opus"], 2, "encodec_24khz"),
        (["--quantizers", "0"], 2, "quantizers"),
        (["--val-share", "3"], 2, "--val-share"),
        (["--max-rejected", "-1"], 2, "--max-rejected"),
        (["--executor", "inline", "--workers", "2"], 2, "--workers"),
    ],
)
def test_wrong_options_are_told_and_leave_nothing(
    arguments: list[str], code: int, message: str, spoken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["preprocess", str(spoken), "-o", str(out), "--columns", "mel", *arguments]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output
    assert not out.exists()


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(
        main, ["preprocess", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 1 and "Error" in result.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 250 kB; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=250k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_costs_nothing(
    spoken: Path, weights: Path, dataset: Path, small_disk: Path
) -> None:
    out = small_disk / "out"
    command = ["preprocess", str(spoken), "-o", str(out), "--executor", "inline"]
    command += ["--codec-weights", str(weights), "--quantizers", "4", "--shard-utterances", "4"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "No space left on device" in result.output and "run again" in result.output
    assert not (out / "dataset.json").exists()
    before = identities(out)
    whole = {n: at for n, at in before.items() if n.endswith(".parquet") and "/" in n}
    assert whole  # some targets were written before the disk was full
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    assert CliRunner().invoke(main, command).exit_code == 0
    assert contents(out) == contents(dataset)
    assert whole.items() <= identities(out).items()
