"""Corpora, recordings and settings that never end, or stand for more than fits into memory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import OptionError, UserError, UtteranceError
from ns2.pipeline.corpora.folders import walk
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound import decode
from ns2.pipeline.sound.decode import read_audio
from ns2.train.run.overrides import choose


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Nothing here takes long, and much of it would take for ever."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30  # of a busy machine; each takes less than one


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(2400, 0.1, np.float32), 24_000)
    return path


def test_a_mesh_of_links_ends(tmp_path: Path) -> None:
    folders = [tmp_path / f"f{i}" for i in range(12)]
    for folder in folders:
        folder.mkdir()
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    with pytest.raises(UserError, match="too many links"):
        list(walk(tmp_path))


def test_links_in_a_circle_are_still_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "a" / "b")
    found = [folder.path for folder in walk(tmp_path)]
    assert found == ["", "a", "a/b", "c", "c/up"]


def test_thousands_of_folders_in_each_other_are_refused(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        with pytest.raises(UserError, match="too deep"):
            list(walk(tmp_path))
    finally:  # Python can't delete so many
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


@pytest.mark.parametrize(
    "row",
    [
        "[" * 100_000,
        '{"audio": "a.wav", "text": "a", "id": ' + "9" * 5000 + "}",
        '{"audio": "a.wav", "text": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"audio": "/dev/zero", "text": "a"}',
        '{"audio": "pipe.wav", "text": "a"}',
        '{"audio": "a\\u0000.wav", "text": "a"}',
        '{"audio": "' + "a/" * 5000 + '.wav", "text": "a"}',
        '{"audio": null, "text": 1e999}',
    ],
)
def test_a_bad_row_costs_one_utterance(row: str, tmp_path: Path) -> None:
    sound(tmp_path / "good.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    good = json.dumps({"audio": "good.wav", "text": "good"})
    (tmp_path / "manifest.jsonl").write_text(f"{row}\n{good}\n")
    corpus = read_corpus(tmp_path)
    assert [one.id for one in corpus.utterances] == ["good"] and len(corpus.rejected) == 1


def test_a_recording_that_decodes_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(3_000_000, np.int16), 24_000)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(decode, "LARGEST", 2_000_000)
    with pytest.raises(UtteranceError, match="decodes to 3,000,000 samples"):
        read_audio(path)


@pytest.mark.parametrize("name", ["pipe.wav", "zero.wav"])
def test_pipes_and_devices_are_no_recordings(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    with pytest.raises(UtteranceError):
        read_audio(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n" + "\n".join(f"b{i}: &b{i} [*a, *a]" for i in range(30)),
        "a: " + "[" * 50_000,
        "a: " + "{b: " * 5_000,
    ],
)
def test_a_file_of_settings_stands_for_no_more_than_it_says(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(OptionError):
        choose("tiny", file, [])


def test_a_pipe_is_no_file_of_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "settings.yaml")
    with pytest.raises((OptionError, OSError)):
        choose("tiny", tmp_path / "settings.yaml", [])
