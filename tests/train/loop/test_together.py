"""Processes of one run: the first one's state, notice of those that end, one training a folder.

Processes are started as torchrun starts them, without anything that watches over them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ns2.model.config_values import changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.train.data.selection import open_data
from ns2.train.loop.loop import train as run_in
from ns2.train.run.checkpoint import checkpoints
from ns2.train.run.lock import run_lock
from ns2.train.run.names import LOCK
from ns2.train.run.recipes import training
from ns2.train.run.train_options import TrainOptions
from ns2.train.step import peers, ranks
from ns2.train.step.exchange import checksums, gathered, state_from_first
from ns2.train.step.ranks import Ranks
from tests.support import warm
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_watching import SETTINGS, lines, train
from tests.train.step.test_ranks import free_ports

LOSSES = ("loss", "diffusion", "score", "ce_rvq", "duration", "pitch", "voicing", "grad_norm")
NOTICED = 30
"""Seconds within which a process ends whose other has ended."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=4, per_shard=4))


def environment(rank: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def command(data: Path, out: Path, steps: int, **settings: object) -> list[str]:
    chosen = {**SETTINGS, **settings}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    start = ["train", str(data), "-o", str(out)]
    return [*start, "--preset", "tiny", "--steps", str(steps), *sets]


@contextmanager
def started(commands: Sequence[list[str]]) -> Iterator[list[warm.Started]]:
    """Two processes of one run, one command each."""
    (port,) = free_ports(1)
    both = [
        warm.ns2(words, env={**os.environ, **environment(rank, port)})
        for rank, words in enumerate(commands)
    ]
    try:
        yield both
    finally:
        for one in both:
            one.kill()
            one.communicate()


def ended(both: Sequence[warm.Started], seconds: float = 240) -> list[str]:
    """What processes said on the error output, once they have ended."""
    return [one.communicate(timeout=seconds)[1] for one in both]


def after_steps(run: Path, steps: int) -> None:
    """Wait until a run has done so many steps."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if (run / "metrics.jsonl").is_file() and len(lines(run, "metrics.jsonl")) >= steps:
            return
        time.sleep(0.02)
    raise AssertionError("no step was done")


def test_losses_are_those_of_one_process(root: Path, tmp_path: Path) -> None:
    alone, run = tmp_path / "alone", tmp_path / "run"
    with started([command(root, run, 5, validate_every=5)] * 2) as both:
        train(root, alone, 5, validate_every=5)
        told = ended(both)
    assert [one.returncode for one in both] == [0, 0], told
    for ours, theirs in zip(
        lines(run, "metrics.jsonl"), lines(alone, "metrics.jsonl"), strict=True
    ):
        for name in LOSSES:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5), name
        assert ours["frames"] == theirs["frames"]
    (ours,), (theirs,) = (lines(one, "validation.jsonl") for one in (run, alone))
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)


@pytest.mark.parametrize("killed", [0, 1])
def test_others_end_where_one_is_killed(killed: int, root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with started([command(root, run, 100_000, checkpoint_every=2)] * 2) as both:
        after_steps(run, 3)
        both[killed].send_signal(signal.SIGKILL)
        (told,) = ended([both[1 - killed]], NOTICED)
    assert both[1 - killed].returncode == 1
    assert f"process {killed} of 2 (counted from 0) has ended" in told
    assert "Traceback" not in told and "goes on from the newest checkpoint" in told
    train(
        root, run, int(checkpoints(run)[-1].stem) + 1, checkpoint_every=2
    )  # nothing is in its way


def wait_in_vain(rank: int, port: int, met: Any, stuck: Any, busy: bool) -> None:
    """The first process ends while the second is stuck where no error reaches it."""
    os.environ |= environment(rank, port)
    peers.GRACE = 1.0
    with Ranks("cpu") as both:
        both.meet()
        if rank == 0:
            met.wait(60)
            os._exit(7)
        if busy:
            with both.alone():
                met.set()
                time.sleep(3)
                stuck.put("done")
        met.set()
        time.sleep(600)


@contextmanager
def running(processes: Sequence[Any]) -> Iterator[None]:
    """Processes that are started, and ended with the block."""
    for one in processes:
        one.start()
    try:
        yield
    finally:
        for one in processes:
            one.kill()


@pytest.mark.parametrize("busy", [False, True])
def test_a_process_that_is_stuck_is_ended_but_not_one_that_works(busy: bool) -> None:
    context, (port,) = warm.context(), free_ports(1)
    met, said = context.Event(), context.Queue()
    both = [context.Process(target=wait_in_vain, args=(r, port, met, said, busy)) for r in range(2)]
    with running(both):
        for one in both:
            one.join(120)
        assert [one.exitcode for one in both] == [7, 1]
        assert not busy or said.get(timeout=10) == "done"


class SlowJudge:
    """A judge that takes longer than processes wait for each other."""

    def knows(self, language: str) -> bool:
        return True

    def wrong(self, wave: np.ndarray, rate: int, tokens: Sequence[str]) -> tuple[int, int]:
        time.sleep(1.5)
        return 1, 10


def sampling(rank: int, port: int, data: Path, out: Path, settings: dict[str, Any]) -> None:
    """A run whose samples take longer than the processes wait in a sum."""
    torch.set_num_threads(1)
    os.environ |= environment(rank, port)
    ranks.LATER = timedelta(seconds=1)
    config = changed(training("tiny"), settings)
    done = run_in(config, open_data([data]), out, Progress(), TrainOptions(), SlowJudge)
    assert done


def test_samples_may_take_longer_than_processes_wait(speech: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {
        "global_frames": 900, "steps": 2, "sample_every": 1, "samples": 1, "sampler.steps": 2,
        "validate_every": 0, "checkpoint_every": 1,
    }  # fmt: skip
    context, (port,) = warm.context(), free_ports(1)
    both = [
        context.Process(target=sampling, args=(r, port, speech, run, settings)) for r in range(2)
    ]
    with running(both):
        for one in both:
            one.join(240)
        assert [one.exitcode for one in both] == [0, 0]
    rounds = lines(run, "samples.jsonl")
    assert [row["step"] for row in rounds] == [1, 2]
    assert min(row["seconds"] for row in rounds) > 1.5


def test_all_go_on_from_the_first_ones_state(root: Path, tmp_path: Path) -> None:
    whole, run, other = tmp_path / "whole", tmp_path / "run", tmp_path / "other"
    train(root, whole, 6, validate_every=3)
    train(root, run, 3, validate_every=3)
    commands = [command(root, where, 6, validate_every=3) for where in (run, other)]
    with started(commands) as both:
        told = ended(both)
    assert [one.returncode for one in both] == [0, 0], told
    assert not other.exists()  # only the first process writes
    ours, theirs = lines(run, "metrics.jsonl"), lines(whole, "metrics.jsonl")
    assert [row["step"] for row in ours] == [1, 2, 3, 4, 5, 6]
    for one, two in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 5}, "the setting seed"),
        ({"learning_rate": 0.1, "clip": 3.0}, "the setting clip, the setting learning_rate"),
        ({}, "data (datasets"),
    ],
)
def test_other_settings_or_data_are_told_at_the_start(
    other: dict[str, object], told: str, root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    data = root if other else make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4, seed=1))
    with started([command(root, run, 4), command(data, run, 4, **other)]) as both:
        said = ended(both)
    assert [one.returncode for one in both] == [1, 1]
    for one in said:
        assert f"processes 0 and 1 of this run don't have the same: {told}" in one
        assert "Traceback" not in one
    assert not (run / "config.json").exists()


def exchange(rank: int, port: int, results: Any) -> None:
    """Send a state, and say what arrived."""
    os.environ |= environment(rank, port)
    with Ranks("cpu") as both:
        state: dict[str, Any] = {}
        if rank == 0:
            state = {
                "step": 3, "place": [1, 2], "best": None,
                "model": {
                    "a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(True),
                    "c": torch.zeros(0), "d": torch.tensor(7, dtype=torch.int64),
                    "e": torch.full((3,), torch.nan, dtype=torch.bfloat16),
                },
                "optimizer": {"state": {0: {"step": torch.tensor(2.0)}}, "groups": [{"lr": 0.1}]},
            }  # fmt: skip
        there = state_from_first(both, state)
        layer = torch.nn.Linear(2, 2)
        with torch.no_grad():
            layer.weight.copy_(torch.eye(2))
            layer.bias.copy_(torch.tensor([0.0, float(rank)]))
        sums = gathered(both, checksums(layer))
        results.put((rank, there, sums[0]["weight"] == sums[1]["weight"], sums[0] == sums[1]))


def test_a_state_arrives_as_it_was_sent() -> None:
    context, (port,) = warm.context(), free_ports(1)
    results = context.Queue()
    both = [context.Process(target=exchange, args=(r, port, results)) for r in range(2)]
    for one in both:
        one.start()
    try:
        got = {row[0]: row[1:] for row in (results.get(timeout=120) for _ in range(2))}
        for one in both:
            one.join(60)
    finally:
        for one in both:
            one.kill()
    (ours, *same), (theirs, *_) = got[0], got[1]
    assert same == [True, False]
    assert {**ours, "model": 0, "optimizer": 0} == {**theirs, "model": 0, "optimizer": 0}
    for name, tensor in ours["model"].items():
        other = theirs["model"][name]
        assert other.dtype == tensor.dtype and other.shape == tensor.shape
        assert torch.equal(other, tensor) or name == "e"
    assert theirs["model"]["e"].isnan().all()
    assert theirs["optimizer"]["state"][0]["step"] == 2 and theirs["optimizer"]["groups"][0]


def test_one_training_a_folder(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = warm.ns2(command(root, run, 100_000))
    try:
        after_steps(run, 1)
        before = (run / "config.json").read_bytes()
        second = warm.run_ns2(command(root, run, 7), timeout=120)
        assert second.returncode == 1 and "Traceback" not in second.stderr
        assert re.search(rf"another `ns2 train` .*process {first.pid} on ", second.stderr)
        assert (run / "config.json").read_bytes() == before
    finally:
        first.kill()
        first.wait()
    assert (run / LOCK).is_file()
    done = len(lines(run, "metrics.jsonl"))
    train(root, run, done + 1)  # the lock of a process that is dead is none
    assert not (run / LOCK).exists()
    assert json.loads((run / "config.json").read_text())["steps"] == done + 1


def test_a_lock_is_let_go_and_never_through_a_link(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        with pytest.raises(UserError, match=f"process {os.getpid()} on"), run_lock(tmp_path):
            pass
        assert (tmp_path / LOCK).is_file()
    with run_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="is a link"), run_lock(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
