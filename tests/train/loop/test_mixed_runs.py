"""Runs with `--mix`: recorded, resumed exactly, and told by `--dry-run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from ns2.cli import main
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_watching import SETTINGS, lines

MIX = ("--mix", "speaker^0", "--mix", "1:3")


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("data")
    recipes = {"large": Recipe(shards=4, per_shard=4), "small": Recipe(per_shard=4, seed=1)}
    return [str(make_dataset(folder / name, recipe)) for name, recipe in recipes.items()]


def arguments(roots: list[str], run: Path, steps: int, *more: str) -> list[str]:
    chosen = {**SETTINGS, "epoch_utterances": 24, "decay": "inverse_sqrt"}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    return [
        "train",
        *roots,
        "-o",
        str(run),
        "--preset",
        "tiny",
        "--steps",
        str(steps),
        *sets,
        *more,
    ]


def train(roots: list[str], run: Path, steps: int, *more: str) -> str:
    done = CliRunner().invoke(main, arguments(roots, run, steps, *more))
    assert done.exit_code == 0, done.output
    return done.output


def test_a_mixed_run_goes_on_with_its_own_mix(roots: list[str], tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(roots, whole, 12, *MIX)
    train(roots, run, 7, *MIX)
    train(roots, run, 12, "--mix", "1:3 speaker^0.0")
    rows, expected = (lines(one, "metrics.jsonl") for one in (run, whole))
    assert max(row["epoch"] for row in expected) >= 1
    for row, other in zip(rows, expected, strict=True):
        assert (row["loss"], row["frames"]) == (other["loss"], other["frames"])
    ours, theirs = (load_file(one / "model.safetensors") for one in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    settings = json.loads((run / "config.json").read_text("utf-8"))
    assert (settings["mix"], settings["epoch_utterances"]) == ("1:3 speaker^0", 24)
    for other in (("--mix", "1:2"), ()):
        refused = CliRunner().invoke(main, arguments(roots, run, 12, *other))
        assert refused.exit_code == 1
        assert "is a run with another mix" in refused.output and "--fresh" in refused.output


def test_the_mix_is_told_before(roots: list[str], tmp_path: Path) -> None:
    told = train(roots, tmp_path / "run", 20, *MIX, "--dry-run")
    # 6 of 24 turns for 12 utterances, and 18 for 9
    assert "mix           1:3 speaker^0: 24 utterances an epoch" in told
    assert ", each 0 to 3 times; large 25.00%, small 75.00%" in told
    wrong = CliRunner().invoke(main, arguments(roots, tmp_path / "run", 20, "--mix", "1:0"))
    assert wrong.exit_code == 2 and "leave that dataset out" in wrong.output
    assert not (tmp_path / "run").exists()
