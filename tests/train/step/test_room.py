"""Where a device has no room for a step, the message says what to do, and that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer
from tests.train.loop.test_loop import arguments, metrics, train


def test_no_room_is_told_and_the_run_goes_on_with_more_parts(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    begin = Trainer.begin

    def crowded(self: Trainer, share: Share | None, *more: Any) -> dict[str, float] | None:
        if self.step == 3 and share is not None and len(share.parts) < 2:
            torch.empty(1 << 50, dtype=torch.uint8)  # a petabyte: torch itself has no room
        return begin(self, share, *more)

    monkeypatch.setattr(Trainer, "begin", crowded)
    failed = CliRunner().invoke(main, arguments(dataset, run, 5, checkpoint_every=100))
    assert failed.exit_code == 1 and isinstance(failed.exception, SystemExit)
    assert "no room for step 4" in failed.output and "--set accumulate=2 (now 1)" in failed.output
    train(dataset, run, 5, checkpoint_every=100, accumulate=2)
    monkeypatch.undo()
    train(dataset, whole, 5, checkpoint_every=100)
    assert metrics(run)[:3] == metrics(whole)[:3]  # nothing was lost
    for ours, alone in zip(metrics(run), metrics(whole), strict=True):
        assert ours["loss"] == pytest.approx(alone["loss"], rel=1e-4)


def test_other_errors_stay_what_they_are(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> None:
        torch.zeros(2) @ torch.zeros(3)

    monkeypatch.setattr(Trainer, "begin", wrong)
    failed = CliRunner().invoke(main, arguments(dataset, tmp_path / "run", 2))
    assert isinstance(failed.exception, RuntimeError) and "size" in str(failed.exception)
