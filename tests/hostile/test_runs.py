"""Runs whose folders and files are links: nothing is written or deleted through them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.world import attempted, check, make_victim, snapshot
from tests.support.dataset_factories import make_dataset

FOLDERS = ("checkpoints", "samples", "speech", "tensorboard", "evaluation")
LOGS = ("metrics.jsonl", "validation.jsonl", "samples.jsonl", "statistics.jsonl")


def train(data: Path, run: Path, steps: int, *more: str) -> list[str]:
    settings = {
        "global_frames": 900, "warmup": 3, "checkpoint_every": 1, "keep": 1, "samples": 0,
        "precision": "fp32", "validate_frames": 900, "frame_multiple": 16,
        "model.prompt.shortest": 10, "model.prompt.whole_below": 30, "model.prompt.longest": 30,
    }  # fmt: skip
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = ["train", str(data), "-o", str(run), "--preset", "tiny", "--steps", str(steps)]
    return [*command, *sets, *more]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset, and a run on it of one step."""
    folder = tmp_path_factory.mktemp("sound")
    data, run = make_dataset(folder / "data"), folder / "run"
    rows = attempted(folder, [train(data, run, 1)])
    assert rows[0]["code"] == 0, rows[0]
    return data, run


def world(sound: tuple[Path, Path], folder: Path) -> tuple[Path, Path, Path]:
    shutil.copytree(sound[1], folder / "run")
    return sound[0], folder / "run", make_victim(folder / "victim")


def put_link(member: Path, victim: Path) -> None:
    if member.is_dir():
        shutil.rmtree(member)
    member.unlink(missing_ok=True)
    member.symlink_to(victim)


def watched(folder: Path, victim: Path, commands: list[list[str]]) -> list[dict[str, Any]]:
    """What came of commands, and whether nothing of the victim has changed."""
    before = snapshot(victim)
    rows = attempted(folder, commands)
    assert snapshot(victim) == before
    check(rows, seconds=60)
    return rows


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("checkpoints", "metrics.jsonl") else hostile)
        for hostile in (pytest.mark.hostile,)
        for name in (*FOLDERS, *LOGS)
    ],
)
def test_a_run_is_not_written_through_links(
    name: str, sound: tuple[Path, Path], tmp_path: Path
) -> None:
    data, run, victim = world(sound, tmp_path)
    put_link(run / name, victim / ("precious" if name in LOGS else ""))
    rows = watched(tmp_path, victim, [train(data, run, 3), train(data, run, 3, "--fresh")])
    for row in rows:
        assert row["code"] == 1 and "is a link" in row["output"], row


def test_links_under_temporary_names_are_left_alone(
    sound: tuple[Path, Path], tmp_path: Path
) -> None:
    data, run, victim = world(sound, tmp_path)
    for folder in (run, run / "checkpoints"):
        for name in (".tmp-1-metrics.jsonl", ".tmp-00000001"):
            (folder / name).symlink_to(victim / "precious")
    (run / "checkpoints" / ".tmp-2-00000001.pt").write_text("half")
    rows = watched(tmp_path, victim, [train(data, run, 2), train(data, run, 2, "--fresh")])
    assert [row["code"] for row in rows] == [0, 0], rows
    assert not (run / "checkpoints" / ".tmp-2-00000001.pt").exists()


def test_only_names_of_ns2_are_deleted(sound: tuple[Path, Path], tmp_path: Path) -> None:
    data, run, victim = world(sound, tmp_path)
    mine = [
        run / "checkpoints" / "0notes.pt", run / "checkpoints" / "best of all.pt",
        run / "samples" / "mine.txt", run / "speech" / "mine.json", run / "evaluation" / "mine",
        run / "checkpoints" / ".tmp-mine",
    ]  # fmt: skip
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (run / "samples" / "reference").symlink_to(victim)
    rows = watched(tmp_path, victim, [train(data, run, 3), train(data, run, 2, "--fresh")])
    assert [row["code"] for row in rows] == [0, 0], rows
    assert all(path.read_text() == "mine" for path in mine)
    assert [path.name for path in sorted((run / "checkpoints").glob("0*.pt"))] == [
        "00000002.pt", "0notes.pt",
    ]  # fmt: skip
