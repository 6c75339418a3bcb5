"""`ns2 train` on data that is wrong: told before the first step or at the utterance, or skipped."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.dataset import layout
from ns2.train.data.selection import open_data
from ns2.train.loop.dry_run import planned
from ns2.train.loop.watch import Watch
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.data.test_selection import change_card, flip
from tests.train.loop.test_watching import SETTINGS, config_of, lines

RECIPE = Recipe(shards=4, per_shard=4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data", RECIPE)


def attempt(out: Path, steps: int, *more: str | Path, **settings: object) -> Result:
    chosen = {**SETTINGS, "validate_every": 0, "checkpoint_every": 1, **settings}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    arguments = ["-o", str(out), "--preset", "tiny", "--steps", str(steps), *sets]
    return CliRunner().invoke(main, ["train", *map(str, more), *arguments])


def place_of(root: Path) -> tuple[str, int, int]:
    """An utterance in the second step of the first epoch, that step, and steps of the epoch."""
    data = open_data([root])
    plan = planned(config_of(), data, 0)
    return data.key(int(plan.step(1)[0])), 1, len(plan)


def test_a_flipped_bit_stops_at_its_step_and_names_the_utterance(
    root: Path, tmp_path: Path
) -> None:
    key, step, _ = place_of(root)
    flip(root, "durations", key)
    done = attempt(tmp_path / "run", 5, root, checkpoint_every=100)
    assert done.exit_code == 1
    assert f"durations of {key} is damaged" in done.output and "`ns2 verify`" in done.output
    assert len(lines(tmp_path / "run", "metrics.jsonl")) == step
    done = attempt(tmp_path / "run", 3, root, "--on-damage", "skip", checkpoint_every=100)
    assert done.exit_code == 0 and f"goes on after step {step}" in done.output  # nothing was lost
    assert [row["skipped"] for row in lines(tmp_path / "run", "metrics.jsonl")] == [0, 1, 0]


def test_damage_is_skipped_and_counted_where_asked(root: Path, tmp_path: Path) -> None:
    key, step, steps = place_of(root)
    flip(root, "durations", key)
    held_out = open_data([root], split="val").key(0)
    flip(root, "codes", held_out)
    done = attempt(tmp_path / "run", 2 * steps, root, "--on-damage", "skip", validate_every=99)
    assert done.exit_code == 0, done.output
    assert done.output.count(f"durations of {key} is damaged") == 2  # once an epoch
    assert f"left out of the validation: {root}" in done.output
    rows = lines(tmp_path / "run", "metrics.jsonl")
    assert [row["skipped"] for row in rows[:steps]] == [int(i == step) for i in range(steps)]
    assert sum(row["skipped"] for row in rows) == 2
    assert len(lines(tmp_path / "run", "validation.jsonl")) == 1
    refused = attempt(tmp_path / "other", 2, root, validate_every=99)
    assert refused.exit_code == 1 and f"codes of {held_out} is damaged" in refused.output


def test_a_missing_column_and_another_grid_are_told_before_the_first_step(
    root: Path, tmp_path: Path
) -> None:
    few = make_dataset(tmp_path / "few", Recipe(columns=("codes", "f0", "phonemes")))
    done = attempt(tmp_path / "run", 2, few)
    assert done.exit_code == 1 and "has no column durations" in done.output
    grid = {"sample_rate": 16_000, "hop_length": 320, "frame_rate": 50.0}
    slow = make_dataset(tmp_path / "slow", Recipe(change_card=lambda card: {**card, "grid": grid}))
    done = attempt(tmp_path / "run", 2, root, slow)
    assert done.exit_code == 1 and "different frame grids" in done.output
    assert not (tmp_path / "run").exists()


def test_a_dataset_that_changed_between_two_starts_is_told(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert attempt(run, 1, root).exit_code == 0
    card = (root / layout.CARD).read_text()
    change_card(root, sha256sums="0" * 64)
    done = attempt(run, 2, root)
    assert done.exit_code == 1 and "a run on other data" in done.output
    assert "--fresh" in done.output and len(lines(run, "metrics.jsonl")) == 1
    (root / layout.CARD).write_text(card)
    assert attempt(run, 2, root).exit_code == 0
    change_card(root, sha256sums="0" * 64)
    assert attempt(run, 1, root, "--fresh").exit_code == 0
    assert len(lines(run, "metrics.jsonl")) == 1


def as_an_older_ns2_recorded_it(run: Path, root: Path, version: str) -> None:
    """Turn the data's digest in run.json into that of ns2 0.1.0, which covered the whole card."""
    about = json.loads((run / "run.json").read_text("utf-8"))
    card = json.loads((root / layout.CARD).read_text("utf-8"))
    assert card["ns2"] == version
    body = {name: value for name, value in card.items() if name != "digest"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == card["digest"]
    columns = ["codes", "phonemes", "durations", "f0"]
    chosen = json.dumps([[digest], "train", "", columns], separators=(",", ":"))
    about["data"] = hashlib.sha256(chosen.encode()).hexdigest()
    (run / "run.json").write_text(json.dumps(about))


@pytest.mark.parametrize("updated", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_the_version_of_ns2_that_made_a_dataset_does_not_change_its_data(
    old: bool, updated: bool, root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert attempt(run, 1, root).exit_code == 0
    if old:
        as_an_older_ns2_recorded_it(run, root, "0.1.0")
    if updated:
        change_card(root, ns2="0.2.0")
    done = attempt(run, 2, root)
    assert done.exit_code == 0 and "goes on after step 1" in done.output, done.output
    assert len(lines(run, "metrics.jsonl")) == 2
    if old:
        as_an_older_ns2_recorded_it(run, root, "0.2.0" if updated else "0.1.0")
    change_card(root, sha256sums="0" * 64, ns2="0.3.0")
    done = attempt(run, 3, root)
    assert done.exit_code == 1 and "a run on other data" in done.output


@pytest.mark.parametrize("on_damage", ["raise", "skip"])
def test_a_dataset_that_changes_while_it_is_learnt_from_is_told(
    on_damage: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (root / layout.CARD).read_text()
    step = Watch.step

    def changing(self: Watch, row: dict[str, Any], statistics: Any) -> None:
        step(self, row, statistics)
        if row["step"] == 2:
            change_card(root, sha256sums="0" * 64)

    monkeypatch.setattr(Watch, "step", changing)
    run = tmp_path / "run"
    done = attempt(run, 20, root, "--on-damage", on_damage)
    assert done.exit_code == 1 and "has changed since the run began" in done.output
    reached = len(lines(run, "metrics.jsonl"))
    assert 2 <= reached < 10  # steps that were fetched ahead were still good
    (root / layout.CARD).write_text(card)
    monkeypatch.setattr(Watch, "step", step)
    assert attempt(run, reached + 1, root, "--on-damage", on_damage).exit_code == 0
    assert [row["step"] for row in lines(run, "metrics.jsonl")] == list(range(1, reached + 2))


def test_a_run_says_what_it_is(root: Path, tmp_path: Path) -> None:
    import platform

    import torch

    assert attempt(tmp_path / "run", 1, root, "--where", "frames > 30").exit_code == 0
    about = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    card = json.loads((root / layout.CARD).read_text())
    (told,) = about["datasets"]
    assert told["card"] == card["digest"] and told["files"] == card["sha256sums"]
    assert told["codec"] == card["columns"]["codes"]["config"] and about["grid"] == card["grid"]
    data = open_data([root], where="frames > 30")
    assert about["data"] == data.digest and about["utterances"] == len(data)
    assert about["where"] == "frames > 30" and about["split"] == "train"
    assert about["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert about["versions"]["python"] == platform.python_version()
    assert about["device"]["type"] == "cpu" and about["device"]["processes"] == 1
    moved = tmp_path / "moved"
    shutil.move(root, moved)  # where it lies is not what it is
    assert attempt(tmp_path / "run", 2, moved, "--where", "frames > 30").exit_code == 0
