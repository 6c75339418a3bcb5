"""`ns2 train` killed at any moment goes on to the same bits.

NS2_KILLS is the number of kills, NS2_KILLS_SEED decides their moments.
"""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from tests.support import warm
from tests.train.loop.test_loop import arguments, metrics, train

KILLS = int(os.environ.get("NS2_KILLS", "2"))
SEED = int(os.environ.get("NS2_KILLS_SEED", "0"))
EVERY = 4
"""Steps between two kills, on average."""
LONGEST = 0.4
"""Seconds: about a step and the checkpoint behind it."""


def step_of(run: Path) -> int:
    """The last step that the metrics have whole."""
    path = run / "metrics.jsonl"
    found = re.findall(rb'"step": (\d+),.*\n', path.read_bytes()) if path.is_file() else []
    return int(found[-1]) if found else 0


def same(ours: Any, theirs: Any) -> bool:
    """Whether two states are equal, bit by bit."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    return bool(ours == theirs)


def test_runs_that_are_killed_end_with_the_same_bits(dataset: Path, tmp_path: Path) -> None:
    steps, chance = EVERY * (KILLS + 1), random.Random(SEED)
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(dataset, whole, steps)
    for i in range(KILLS):
        target, delay = EVERY * i + chance.randint(2, EVERY), chance.uniform(0, LONGEST)
        process = warm.ns2(arguments(dataset, run, steps))
        deadline = time.monotonic() + 240
        while step_of(run) < target and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        said = process.communicate()
        assert process.returncode == -9, said
        left = [path.name for path in run.rglob(".tmp-*")]
        made = checkpoints(run)
        print(f"killed {delay:.2f} s after step {target}: {made[-1].stem if made else 0}, {left}")
    done = CliRunner().invoke(main, arguments(dataset, run, steps))
    assert done.exit_code == 0, done.output
    went_on = re.findall(r"goes on after step (\d+)", done.output)
    assert len(went_on) == 1 and int(went_on[0]) >= EVERY * (KILLS - 1)
    assert metrics(run) == metrics(whole) and len(metrics(run)) >= steps
    assert [path.name for path in checkpoints(run)] == [path.name for path in checkpoints(whole)]
    for ours, theirs in zip(checkpoints(run), checkpoints(whole), strict=True):
        assert same(load_checkpoint(ours), load_checkpoint(theirs)), ours.name
    assert not list(run.rglob(".tmp-*"))
    weights = "model.safetensors"
    assert (run / weights).read_bytes() == (whole / weights).read_bytes()
