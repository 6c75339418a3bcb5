"""`ns2 train --dry-run`: the plan counted, its largest step tried, nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ns2.train.data.epochs import plan_epoch, shares
from ns2.train.data.selection import open_data
from ns2.train.loop.dry_run import largest_step
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_watching import train


@pytest.mark.parametrize("devices", [1, 2])
def test_the_plan_is_told_and_its_largest_step_tried(devices: int, tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4))
    shown = train(root, tmp_path / "run", 20, "--dry-run", "--devices", str(devices))
    data = open_data([root])
    plan = data.plan(seed=0, epoch=0, global_frames=150)
    steps = [plan.frames[plan.starts[i] : plan.starts[i + 1]] for i in range(len(plan))]
    assert f"an epoch      {len(plan)} steps of at most 150 frames" in shown
    assert f"epochs        {20 / len(plan):.1f} in 20 steps" in shown
    on = "one device" if devices == 1 else "2 devices"
    assert f"{plan.padding(devices, 8):.1%} of frames on {on}" in shown
    padded = []
    for frames in steps:
        own = [n for n, rank in zip(frames, shares(frames, devices), strict=True) if rank == 0]
        padded.append(len(own) * 8 * -(-max(own) // 8))
    assert largest_step(plan, devices, 8) == int(np.argmax(padded))
    tried = re.search(r"a step +([\d.]+) s for (\d+) frames", shown)
    assert tried and int(tried[2]) == sum(steps[int(np.argmax(padded))])
    memory = re.search(r"memory +([\d.]+) GiB of this process", shown)
    assert memory and float(memory[1]) > 0.1  # torch alone takes more
    assert "an epoch, " in shown and "in all" in shown
    assert not (tmp_path / "run").exists()


def test_the_largest_step_pads_most() -> None:
    frames = np.array([10, 10, 10, 10, 39, 1, 16, 16])
    plan = plan_epoch(np.zeros(8, int), frames, seed=1, epoch=0, global_frames=40)
    sizes = [
        (stop - start) * max(plan.frames[start:stop])
        for start, stop in zip(plan.starts, plan.starts[1:], strict=False)
    ]
    assert sizes[largest_step(plan, 1, 1)] == max(sizes)
