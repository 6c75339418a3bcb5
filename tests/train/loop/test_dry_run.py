"""`ns2 train --dry-run`: what is computed counted, largest steps tried, nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ns2.train.data.selection import open_data
from ns2.train.loop import dry_run
from ns2.train.loop.dry_run import largest_steps, padding_of, planned
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_watching import config_of, lines, train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=4, per_shard=4))


@pytest.mark.parametrize("devices", [1, 2])
def test_the_plan_is_told_and_its_largest_step_tried(
    devices: int, root: Path, tmp_path: Path
) -> None:
    shown = train(root, tmp_path / "run", 20, "--dry-run", "--devices", str(devices))
    config, data = config_of(steps=20), open_data([root])
    plan = planned(config, data, 0)
    padding = padding_of(config, data, plan, devices)
    assert f"an epoch      {len(plan)} steps of at most 150 frames, prompts included" in shown
    assert f"epochs        {20 / len(plan):.1f} in 20 steps" in shown
    on = "one device computes" if devices == 1 else "2 devices compute"
    share = 1 - padding.work / padding.computed
    assert f"{share:.1%} of what {on}, in {len(plan)} steps" in shown
    tried = re.search(r"a step +([\d.]+) s for (\d+) frames", shown)
    assert tried and int(tried[2]) % 8 == 0
    memory = re.search(r"memory +([\d.]+) GiB of this process in the largest step of", shown)
    assert memory and float(memory[1]) > 0.1  # torch alone takes more
    assert "an epoch, " in shown and "in all" in shown
    assert not (tmp_path / "run").exists()


def test_padding_is_that_of_a_run(root: Path, tmp_path: Path) -> None:
    config, data = config_of(steps=20), open_data([root])
    plan = planned(config, data, 0)
    train(root, tmp_path / "run", len(plan))
    rows = lines(tmp_path / "run", "metrics.jsonl")
    padding = padding_of(config, data, plan, 1)
    assert sum(row["computed"] for row in rows) == padding.computed
    work = sum(row["computed"] * (1 - row["padding"]) for row in rows)
    assert work == pytest.approx(padding.work)
    assert 0 < padding.work < padding.computed


def test_the_largest_step_is_looked_for_in_several_epochs(tmp_path: Path) -> None:
    # in windows of 8 shards, so that steps are others in each epoch
    root = make_dataset(tmp_path / "data", Recipe(shards=17, per_shard=6, frames=(24, 70)))
    config, data = config_of(steps=20, frame_multiple=1), open_data([root])
    later = 0
    for devices in (1, 2, 3):
        sizes = {}
        for epoch in range(6):
            plan = planned(config, data, epoch)
            assert plan.lengths is not None
            for number in range(len(plan)):
                lengths, of = plan.lengths.part(plan.places(number)), plan.rank_of(number, devices)
                for rank in set(of.tolist()):
                    own = of == rank
                    sides = (lengths.targets[own].max(), max(lengths.prompts[own].max(), 1))
                    sizes[epoch, number, rank] = int(own.sum() * sum(sides))
        for epochs in (1, 6):
            found = largest_steps(config, data, devices, epochs)[0]
            most = max(size for place, size in sizes.items() if place[0] < epochs)
            assert found.frames == most == sizes[found.epoch, found.step, found.rank]
        in_first = max(size for place, size in sizes.items() if place[0] == 0)
        later += max(sizes.values()) > in_first
    assert later  # else the first epoch would do


def test_few_epochs_of_many_utterances_are_searched(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, told in ((10**6, r"\d+ epochs"), (1, "the first epoch")):
        monkeypatch.setattr(dry_run, "_SEARCHED", most)
        shown = train(root, tmp_path / "run", 20, "--dry-run")
        assert re.search(rf"in the largest step of {told}\n", shown)


def test_accumulation_makes_the_largest_step_smaller(root: Path) -> None:
    data = open_data([root])
    whole, parts = (
        largest_steps(config_of(steps=20, accumulate=n), data, 1, 3)[0].frames for n in (1, 3)
    )
    assert parts < 0.7 * whole


def test_a_run_of_before_is_tried_with_its_own_plan(root: Path, tmp_path: Path) -> None:
    train(root, tmp_path / "run", 1, plan=1)
    shown = train(root, tmp_path / "run", 20, "--dry-run")
    plan = open_data([root]).plan(seed=0, epoch=0, global_frames=150)
    assert f"an epoch      {len(plan)} steps of at most 150 frames\n" in shown
    assert np.isfinite(float(re.search(r"([\d.]+)% of what", shown)[1]))  # type: ignore[index]
