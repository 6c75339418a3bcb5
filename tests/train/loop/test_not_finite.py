"""Values that are not finite: steps that change nothing, runs that end, nothing that is saved."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from ns2.cli import main
from ns2.model.config_values import changed
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import open_data
from ns2.train.loop.dry_run import planned
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from ns2.train.run.recipes import training
from ns2.train.step.ranks import Ranks
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_watching import SETTINGS, config_of, lines

DIVERGING = {"warmup": 1, "learning_rate": 1e30, "checkpoint_every": 1, "validate_every": 0}
"""The weights of the first step are huge, and no later loss is finite."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=4, per_shard=4))


def attempt(data: Path, out: Path, steps: int, *more: str, **settings: object) -> Result:
    chosen = {**SETTINGS, **settings}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    arguments = ["train", str(data), "-o", str(out), "--preset", "tiny", "--steps", str(steps)]
    return CliRunner().invoke(main, [*arguments, *sets, *more])


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that a trainer would save, but for the learning rate, which each step sets anew."""
    state = copy.deepcopy(trainer.state())
    del state["optimizer"]["param_groups"]
    return state


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return bool(a == b)


def shares_of(trainer: Trainer, count: int) -> list[Share]:
    reader = Reader(trainer.data, trainer.share, seed=0, global_frames=150, other_below=30)
    with reader:
        return [next(reader).batch for _ in range(count)]


def test_a_step_that_is_not_finite_changes_nothing_and_the_next_one_is_as_without_it(
    root: Path,
) -> None:
    config = changed(training("tiny"), SETTINGS)
    data = open_data([root])
    with Ranks("cpu") as ranks:
        disturbed, spared = (Trainer(config, data, ranks) for _ in range(2))
        first, second, third = shares_of(spared, 3)
        (batch, draws), *rest = second.parts
        noise = draws.noise.clone()
        noise[0, 0, 0] = torch.nan
        for trainer in (disturbed, spared):
            trainer.learn(first)
            trainer.step += 1
        before = state_of(disturbed)
        losses = disturbed.learn(Share(((batch, replace(draws, noise=noise)), *rest)))
        assert np.isnan(losses["loss"]) and disturbed.skips == 1
        assert same({**state_of(disturbed), "skips": 0}, before)
        for trainer in (disturbed, spared):
            trainer.step += 1
            trainer.learn(third)
        assert disturbed.skips == 0
        assert same(state_of(disturbed), state_of(spared))


def test_a_run_that_diverges_ends_with_code_1_and_keeps_finite_weights(
    root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = attempt(root, run, 40, **DIVERGING)
    assert done.exit_code == 1 and "done" not in done.output, done.output
    assert "the last 10 steps were skipped" in done.output and "learning_rate" in done.output
    text = (run / "metrics.jsonl").read_text("utf-8")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [row["step_skipped"] for row in rows] == [0] + 10 * [1]
    assert rows[0]["loss"] is not None and "utterances" not in rows[0]
    keys = {row["key"] for row in Dataset(root).index.to_pylist()}
    assert all(row["loss"] is None and set(row["utterances"]) <= keys for row in rows[1:])
    assert rows[1]["utterances"][0] in done.output and "step 2 changed nothing" in done.output
    assert all(t.isfinite().all() for t in load_file(run / "model.safetensors").values())
    state = load_checkpoint(checkpoints(run)[-1])
    assert all(t.isfinite().all() for t in state["model"].values()) and state["skips"] == 10
    again = attempt(root, run, 40, **DIVERGING)  # ten more are tried
    assert again.exit_code == 1 and "goes on after step 11" in again.output
    assert len(lines(run, "metrics.jsonl")) == 21


def test_a_run_whose_last_step_was_skipped_is_not_done(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for _ in range(2):  # nor is it after the same command once more
        done = attempt(root, run, 3, **DIVERGING)
        assert done.exit_code == 1 and "done" not in done.output
        assert "step 3, the last one, was skipped" in done.output


def test_nothing_that_is_not_finite_is_saved_or_gone_on_from(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = attempt(root, run, 4, **{**DIVERGING, "learning_rate": 1e39, "validate_every": 1})
    assert done.exit_code == 1 and "not finite" in done.output
    assert not checkpoints(run) and not (run / "model.safetensors").exists()
    assert not list((run / "checkpoints").glob("*"))
    run = tmp_path / "other"  # as an ns2 that did not look may have left it
    assert attempt(root, run, 2, checkpoint_every=1).exit_code == 0
    newest = checkpoints(run)[-1]
    state = load_checkpoint(newest)
    next(iter(state["averaged"].values())).fill_(torch.nan)
    torch.save(state, newest)
    done = attempt(root, run, 4, checkpoint_every=1)
    assert done.exit_code == 1 and "newest checkpoint holds values that are not" in done.output
    assert load_checkpoint(newest)["step"] == 2
    newest.unlink()
    assert attempt(root, run, 4, checkpoint_every=1).exit_code == 0


def test_f0_that_is_not_finite_is_damage(tmp_path: Path) -> None:
    def change(column: str, key: str, value: Any) -> Any:
        if column == "f0" and key == wrong:
            value = value.copy()
            value[3] = np.nan
        return value

    sound = make_dataset(tmp_path / "sound", Recipe(shards=4, per_shard=4))
    data = open_data([sound])
    wrong = data.key(int(planned(config_of(), data, 0).step(0)[0]))
    root = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4, change=change))
    done = attempt(root, tmp_path / "run", 2)
    assert done.exit_code == 1 and f"f0 of {wrong}: expected Hz" in done.output
    assert attempt(root, tmp_path / "run", 2, "--on-damage", "skip").exit_code == 0


def test_codebooks_that_are_not_finite_are_refused_and_found(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", Recipe())
    path = Dataset(root).asset("codebooks")
    books = load_file(path)["codebooks"]
    books[0, 1, 2] = torch.nan
    save_file({"codebooks": books}, path)
    done = attempt(root, tmp_path / "run", 2)
    assert done.exit_code == 1 and "codebooks hold values that are not finite" in done.output


def test_weights_stay_as_they_are_until_what_is_saved_was_copied(root: Path) -> None:
    config = changed(training("tiny"), SETTINGS)
    with Ranks("cpu") as ranks:
        trainer = Trainer(config, open_data([root]), ranks)
        states: list[dict[str, Any]] = []
        trainer.before_update = lambda: states.append(state_of(trainer))
        for share in shares_of(trainer, 2):
            before = state_of(trainer)
            trainer.learn(share)
            assert same(states[-1], before) and not same(state_of(trainer), before)
            trainer.step += 1
        assert len(states) == 2
