"""A disk that is full: what failed names its file, nothing is lost, and with space it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.test_runs import train
from tests.support import warm
from tests.support.factories import ROOT

FULL = "No space left on device"
QUICK = ("--steps", "2")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that takes what is free but for some bytes."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with filler.open("wb") as file:
        file.write(b"\0" * max(free - leave, 0))
    return filler


def call(words: list[str]) -> subprocess.CompletedProcess[str]:
    return warm.run_ns2(words, cwd=ROOT)


@pytest.fixture(scope="module")
def run(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    out = tmp_path_factory.mktemp("run") / "run"
    done = call(train(speech, out, 2))
    assert done.returncode == 0, done.stderr
    return out


Words = Callable[[Path, Path, Path, Path], list[str]]
"""The command of a disk, a corpus, a dataset and a run."""

COMMANDS: dict[str, tuple[Words, int]] = {
    "train": (lambda disk, corpus, data, run: train(data, disk / "run", 3), 2 << 20),
    "export": (lambda disk, corpus, data, run: ["export", str(data), str(disk / "out")], 100_000),
    "codec": (
        lambda disk, corpus, data, run: [
            "codec", "train", str(corpus), "-o", str(disk / "c.safetensors"), *QUICK, "--batch", "2"
        ],
        1 << 20,
    ),
    "evaluate": (
        lambda disk, corpus, data, run: ["evaluate", str(disk / "run"), str(data), *QUICK],
        30_000,
    ),
    "synthesize": (
        lambda disk, corpus, data, run: [
            "synthesize", str(run), "So much light.", "-o", str(disk / "a.wav"), *QUICK
        ],
        4096,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "export" else pytest.mark.hostile) for n in COMMANDS],
)
def test_a_full_disk(
    name: str, disk: Path, speech: Path, spoken: Path, request: pytest.FixtureRequest
) -> None:
    words, leave = COMMANDS[name]
    run = request.getfixturevalue("run") if name in ("evaluate", "synthesize") else disk / "run"
    if name == "evaluate":
        shutil.copytree(run, disk / "run")
    command = words(disk, spoken, speech, run)
    filler = fill(disk, leave)
    done = call(command)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and FULL in last and str(disk) in last, done.stderr
    assert "Traceback" not in done.stderr
    filler.unlink()
    done = call(command)
    assert done.returncode == 0, done.stderr
    assert not list(disk.rglob(".tmp-*"))


@pytest.mark.parametrize("name", ["verify", "gc"])
def test_what_only_reads_and_deletes_needs_no_space(name: str, disk: Path, speech: Path) -> None:
    shutil.copytree(speech, disk / "data")
    fill(disk, 0)
    done = call([name, str(disk / "data")])
    assert done.returncode == 0, done.stderr
