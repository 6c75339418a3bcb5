"""Commands that are killed at any moment: each goes on, or is run again, to the same result.

`NS2_KILLS=15 python -m pytest tests/hostile/test_kills.py -m hostile` kills each 15 times, and ends
it a third as often by SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.test_runs import train
from tests.support.factories import ROOT
from tests.support.preprocessing import run_inline
from tests.support.processes import kill_tree

pytestmark = pytest.mark.hostile
KILLS = int(os.environ.get("NS2_KILLS", "2"))
_LATE = (".png", ".html", ".jsonl", ".json", ".pt", ".state")
"""Endings of files that hold times, or are made only where there is more to do."""


@dataclass(frozen=True)
class Made:
    """What commands work on: a corpus of espeak-ng, datasets of it, and a run."""

    corpus: Path
    data: Path
    run: Path
    old: Path


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Attributes:
        words: for a folder that it works in; the flag says whether it was begun before.
        prepare: makes what the folder holds before.
        result: what stays the same of a folder, by name.
    """

    words: Callable[[Path, Made, bool], list[str]]
    prepare: Callable[[Path, Made], Any] = lambda folder, made: None
    result: Callable[[Path], dict[str, bytes]] = lambda folder: files(folder)


def files(folder: Path) -> dict[str, bytes]:
    """The files below a folder that hold no times, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in _LATE and ".state" not in path.parts
    }


def _only(*names: str) -> Callable[[Path], dict[str, bytes]]:
    return lambda folder: {name: (folder / name).read_bytes() for name in names}


def _waves(folder: Path) -> dict[str, bytes]:
    found = {n: data for n, data in files(folder).items() if n.endswith(".wav")}
    assert found
    return found


def _codec(folder: Path, made: Made, begun: bool) -> list[str]:
    out = folder / "c.safetensors"
    words = ["codec", "train", str(made.corpus), "-o", str(out), "--steps", "40", "--batch", "2"]
    return [*words, *(["--resume"] if (folder / "c.training/checkpoint.pt").is_file() else [])]


COMMANDS = {
    "preprocess": Command(
        lambda folder, made, begun: [
            "preprocess", str(made.corpus), "-o", str(folder / "out"), "--codec", "mini",
            "--shard-utterances", "4", "--workers", "1",
        ],
    ),
    "train": Command(
        lambda folder, made, begun: train(made.data, folder / "run", 12),
        result=_only("run/model.safetensors"),
    ),
    "export": Command(
        lambda folder, made, begun: ["export", str(made.data), str(folder / "out")],
        prepare=lambda folder, made: None,
    ),
    "gc": Command(
        lambda folder, made, begun: ["gc", str(folder / "data")],
        prepare=lambda folder, made: shutil.copytree(made.old, folder / "data"),
    ),
    "codec train": Command(_codec, result=_only("c.safetensors")),
    "evaluate": Command(
        lambda folder, made, begun: [
            "evaluate", str(folder / "run"), str(made.data), "--steps", "2"
        ],
        prepare=lambda folder, made: shutil.copytree(made.run, folder / "run"),
        result=_waves,
    ),
    "demo": Command(
        lambda folder, made, begun: [
            "demo", str(folder / "demo"), "--utterances", "30", "--minutes", "0.05", "--cores", "1"
        ],
        result=lambda folder: {"hello.wav": (folder / "demo/hello.wav").read_bytes()[:4]},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(spoken: Path, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    run_inline(spoken, folder / "old", None, codec="mini", val_share=0.3)
    run_inline(spoken, folder / "old", None, codec="mini", val_share=0.3, quantizers=3)
    assert call(train(speech, folder / "run", 2)).returncode == 0
    return Made(spoken, speech, folder / "run", folder / "old")


def start(words: list[str], **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ns2.cli", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, **more,
    )  # fmt: skip


def call(words: list[str]) -> subprocess.CompletedProcess[str]:
    process = start(words)
    output, _ = process.communicate(timeout=900)
    return subprocess.CompletedProcess(words, process.returncode, output)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment(name: str, made: Made, tmp_path: Path) -> None:
    command, rng = COMMANDS[name], random.Random(name)

    def fresh(number: int) -> Path:
        folder = tmp_path / f"{name.replace(' ', '-')}-{number}"
        folder.mkdir()
        command.prepare(folder, made)
        return folder

    reference, began = fresh(0), time.monotonic()
    done = call(command.words(reference, made, False))
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout
    wanted = command.result(reference)
    terms = max(1, KILLS // 3)
    for number in range(1, KILLS + terms + 1):
        folder, by_term = fresh(number), number > KILLS
        process = start(command.words(folder, made, False))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(took * rng.uniform(0.25, 1.0))
        if by_term:
            process.terminate()
        else:
            kill_tree(process.pid)
        said, _ = process.communicate(timeout=300)
        ended = process.returncode == 0
        if by_term:
            # before it hears signals it ends at once, and has done nothing
            ends = (0, 128 + signal.SIGTERM, -signal.SIGTERM)
            assert process.returncode in ends, (process.returncode, said)
            assert "Traceback" not in said and "PC: @" not in said, said
        # an export that is whole is not written once more
        if not (name == "export" and (ended or (folder / "out").is_dir())):
            done = call(command.words(folder, made, True))
            assert done.returncode == 0, (number, said, done.stdout)
        assert command.result(folder) == wanted, number
        left = [path for path in folder.rglob("*") if path.name.startswith(".tmp-")]
        assert not left, left
        for data in (folder / "out", folder / "data", folder / "demo/shards"):
            if (data / "dataset.json").is_file():
                checked = call(["verify", str(data), "--workers", "1"])
                assert checked.returncode == 0, checked.stdout
        shutil.rmtree(folder)
