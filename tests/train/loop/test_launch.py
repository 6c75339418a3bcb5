"""`ns2 train --devices N`: processes share steps, stop together, and end with the right code."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.train.data.selection import open_data
from ns2.train.loop import launch
from ns2.train.loop.dry_run import planned
from ns2.train.loop.launch import run_on
from ns2.train.run.checkpoint import checkpoints
from tests.support import warm
from tests.support.dataset_factories import Recipe, make_dataset
from tests.support.processes import tree
from tests.train.data.test_selection import flip
from tests.train.loop.test_watching import SETTINGS, config_of, lines, train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=4, per_shard=4))


def command(data: Path, out: Path, steps: int, *more: str) -> list[str]:
    sets = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    start = ["train", str(data), "-o", str(out)]
    return [*start, "--preset", "tiny", "--steps", str(steps), *sets, *more]


def test_two_processes_do_what_one_does(root: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    train(root, alone, 4, validate_every=2)
    shutil.copytree(alone, together)
    checks = ("--devices", "2", "--set", "validate_every=2")
    refused = warm.run_ns2(command(root, together, 4, *checks, "--set", "seed=5"))
    assert refused.returncode == 1
    assert refused.stderr.count("another seed") == 1 and "Traceback" not in refused.stderr
    again = warm.run_ns2(command(root, together, 4, *checks, "--fresh"))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done") == 1
    for name in ("metrics.jsonl", "validation.jsonl"):
        ours, theirs = lines(together, name), lines(alone, name)
        assert [row["step"] for row in ours] == [row["step"] for row in theirs]
        for one, other in zip(ours, theirs, strict=True):
            for loss in ("loss", "diffusion", "ce_rvq", "duration", "pitch"):
                assert one[loss] == pytest.approx(other[loss], rel=1e-4), loss
    about = json.loads((together / "run.json").read_text("utf-8"))
    assert about["device"]["processes"] == 2


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_parent_stops_all_after_a_step(
    stop: signal.Signals, root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    parent = warm.ns2(command(root, out, 1000, "--devices", "2", "--set", "checkpoint_every=1000"))
    deadline = time.monotonic() + 240
    while not (out / "metrics.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    started = tree(parent.pid)
    assert len(started) >= 3
    parent.send_signal(stop)
    assert parent.wait(240) == (0 if stop != signal.SIGKILL else -9)
    while any(alive(process) for process in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(process) for process in started)
    assert "stopped; the same command goes on" in parent.output.read_text("utf-8")
    done = len(lines(out, "metrics.jsonl"))
    assert int(checkpoints(out)[-1].stem) == done < 1000


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _fail_in_the_second(folder: str) -> None:
    (Path(folder) / os.environ["RANK"]).touch()
    if os.environ["RANK"] == "1":
        raise SystemExit(3)
    time.sleep(600)


def test_one_that_fails_ends_the_others(tmp_path: Path) -> None:
    assert run_on(2, _fail_in_the_second, str(tmp_path)) == 3
    assert (tmp_path / "1").exists()


class _Slow:
    """A process that has closed its files, but is found to have ended only when asked again."""

    pid = None

    def __init__(self, code: int) -> None:
        self.sentinel, write = os.pipe()
        os.close(write)
        self._codes = iter([None, *[code] * 9])

    @property
    def exitcode(self) -> int | None:
        return next(self._codes)


def test_one_that_ends_while_it_is_looked_at_is_not_missed() -> None:
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    try:
        assert launch._outcome([_Slow(3), other]) == 3  # type: ignore[list-item]
        other.join(60)
        assert other.exitcode == -signal.SIGTERM
    finally:
        other.kill()


def test_gpus_that_are_not_there_are_told(root: Path, tmp_path: Path) -> None:
    import torch

    there = torch.cuda.device_count()
    arguments = command(root, tmp_path / "run", 2, "--device", "cuda", "--devices", str(there + 2))
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and f"needs {there + 2} GPUs, and there" in done.output
    assert not (tmp_path / "run").exists()


def test_torchrun_and_devices_do_not_mix(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    arguments = command(root, tmp_path / "run", 2, "--devices", "2")
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and "leave out --devices" in done.output


def test_damage_that_only_the_second_process_reads_stops_both_and_loses_nothing(
    tmp_path: Path,
) -> None:
    root, out = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4)), tmp_path / "run"
    data = open_data([root])
    plan = planned(config_of(), data, 0)
    step = next(i for i in range(1, len(plan)) if len(plan.step(i)) > 1)
    theirs = plan.share(step, 1, 2)
    key = data.key(int(theirs[0]))
    flip(root, "durations", key)
    done = warm.run_ns2(
        command(root, out, len(plan), "--devices", "2", "--set", "validate_every=0")
    )
    assert done.returncode == 1
    assert done.stderr.count(f"durations of {key} is damaged") == 1
    assert "Traceback" not in done.stderr
    assert len(lines(out, "metrics.jsonl")) == step
    assert [path.name for path in (out / "checkpoints").glob("[0-9]*")] == [f"{step:08d}.pt"]
