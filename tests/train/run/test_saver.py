"""Checkpoints written by a thread: what they hold, and what happens where they can't be written."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch.multiprocessing.reductions import StorageWeakRef

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.train.run import saver as saver_module
from ns2.train.run.checkpoint import checkpoints, load_checkpoint, write_state
from ns2.train.run.saver import Saver
from tests.support import warm
from tests.train.loop.test_loop import arguments, metrics, train

SIZE = 2_000_000
"""Values of the largest tensor: writing it takes longer than changing it."""


def state_of(step: int, value: float, size: int = SIZE) -> dict[str, Any]:
    weights = {"a": torch.full((size,), value), "b": torch.arange(3)}
    moments = {0: {"step": torch.tensor(float(step)), "exp_avg": torch.full((4,), value)}}
    return {
        "step": step,
        "place": [0, step],
        "model": weights,
        "averaged": {"a": torch.full((5,), -value), "half": torch.ones(2, 3).T},
        "optimizer": {"state": moments, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
    }


def test_what_changes_after_settle_is_saved_as_it_was(tmp_path: Path) -> None:
    with Saver(tmp_path, keep=2) as saver:
        state = state_of(1, 3.0)
        for step in (1, 2, 3):
            state["step"] = step
            saver.save(dict(state))
            saver.settle()
            for part in (state["model"]["a"], state["averaged"]["a"]):
                part.add_(1)
            state["optimizer"]["state"][0]["exp_avg"].zero_()
    assert [path.stem for path in checkpoints(tmp_path)] == ["00000002", "00000003"]
    for number, path in zip((2, 3), checkpoints(tmp_path), strict=True):
        found = load_checkpoint(path)
        assert found["step"] == number and found["place"] == [0, 1]
        assert torch.equal(found["model"]["a"], torch.full((SIZE,), 2.0 + number))
        assert torch.equal(found["model"]["b"], torch.arange(3))
        assert found["optimizer"]["param_groups"] == [{"lr": 0.1, "betas": (0.9, 0.99)}]
    weights = load_file(tmp_path / "model.safetensors")
    assert torch.equal(weights["a"], torch.full((5,), -1.0))
    assert torch.equal(weights["half"], torch.ones(3, 2))
    assert saver.blocked > 0 and saver.writing > 0


def test_a_copy_is_gone_when_it_has_been_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[StorageWeakRef] = []

    def noted(state: Any) -> Any:
        copy = copied(state)
        made.append(StorageWeakRef(copy["model"]["a"].untyped_storage()))
        return copy

    copied = saver_module._copied
    monkeypatch.setattr(saver_module, "_copied", noted)
    saver = Saver(tmp_path, keep=1)
    gc.collect()
    gc.disable()  # a run goes on for long before the collector comes by
    try:
        saver.save(state_of(1, 1.0))
        assert saver.problem(wait=True) is None
        assert [one.expired() for one in made] == [True]
    finally:
        gc.enable()


def test_the_best_is_the_same_file_by_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver, folder = Saver(tmp_path, keep=1), tmp_path / "checkpoints"
    saver.save(state_of(1, 1.0), best=True)
    assert saver.problem(wait=True) is None
    assert (folder / "best.pt").samefile(folder / "00000001.pt")
    saver.save(state_of(2, 2.0))
    assert saver.problem(wait=True) is None
    assert sorted(path.name for path in folder.iterdir()) == ["00000002.pt", "best.pt"]
    assert load_checkpoint(folder / "best.pt")["step"] == 1

    def no_links(*_: object, **__: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    saver.save(state_of(3, 3.0), best=True)
    assert saver.problem(wait=True) is None
    assert not (folder / "best.pt").samefile(folder / "00000003.pt")
    assert (folder / "best.pt").read_bytes() == (folder / "00000003.pt").read_bytes()


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The kernel lets no file of this process grow larger, as if the disk were full."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_once_and_leaves_what_was_there(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=3)
    saver.save(state_of(1, 1.0, 10))
    assert saver.problem(wait=True) is None
    with no_file_above(1_000_000):
        with pytest.raises(OSError, match="File too large"):
            write_state(state_of(2, 2.0), tmp_path / "state.pt")
        saver.save(state_of(2, 2.0))
        saver._join()
        saver.save(state_of(3, 3.0, 10))  # not written: a gap would be taken for a whole run
        assert isinstance(saver.problem(wait=True), OSError)
    assert saver.problem() is None
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000001.pt"]
    assert not list(tmp_path.glob("*.pt")) and not list(tmp_path.glob(".tmp*"))


def test_errors_are_raised_at_the_end_and_noted_on_others(tmp_path: Path) -> None:
    wrong = state_of(1, float("nan"), 10)
    told = pytest.raises(UserError, match="step 1: the state to save holds values")
    with told, Saver(tmp_path, keep=1) as saver:
        saver.save(wrong)
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(ZeroDivisionError) as caught, Saver(tmp_path, keep=1) as saver:
        saver.save(wrong)
        raise ZeroDivisionError
    assert "could not be written either: step 1" in caught.value.__notes__[0]


def test_a_run_whose_checkpoint_can_not_be_written_ends_and_goes_on_later(
    dataset: Path, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    train(dataset, run, 2)
    (run / "model.safetensors").unlink()
    (run / "model.safetensors").mkdir()  # no file can take its place
    done = CliRunner().invoke(main, arguments(dataset, run, 8))
    assert done.exit_code == 1 and "done" not in done.output
    assert "model.safetensors" in f"{done.output}{done.exception}"
    assert len(metrics(run)) < 8
    (run / "model.safetensors").rmdir()
    train(dataset, run, 8)
    train(dataset, whole, 8)
    assert metrics(run) == metrics(whole)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_all_processes_end_where_the_first_can_not_write(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(dataset, run, 2)
    (run / "model.safetensors").unlink()
    (run / "model.safetensors").mkdir()
    done = warm.run_ns2([*arguments(dataset, run, 40), "--devices", "2"])
    assert done.returncode == 1 and "model.safetensors" in f"{done.stdout}{done.stderr}"
    assert len(metrics(run)) < 40
    assert "Connection closed" not in done.stderr  # the other one was told, not cut off
