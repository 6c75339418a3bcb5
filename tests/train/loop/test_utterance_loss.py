"""The mean losses of utterances in a training, and where they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.dataset import Dataset
from ns2.train.step.ranks import Ranks
from ns2.train.step.utterance_losses import UtteranceLosses
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop import test_together as together
from tests.train.loop.test_watching import train as tiny_steps

SETS = (
    "global_frames=900", "precision=fp32", "frame_multiple=16", "model.prompt.shortest=20",
    "model.prompt.whole_below=60", "model.prompt.longest=60", "checkpoint_every=6", "samples=0",
    "validate_every=0",
)  # fmt: skip
LOSSES = "utterance_loss.parquet"


def ns2(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def train(shards: Path, run: Path, steps: int, *sets: str) -> None:
    chosen = [word for one in (*SETS, *sets) for word in ("--set", one)]
    ns2(
        "train", shards, "-o", run, "--preset", "tiny", "--steps", steps, "--device", "cpu", *chosen
    )


def batch(step: int, worse: np.ndarray) -> tuple[torch.Tensor, ...]:
    """Numbers, times, errors and whether they count, of 8 of 40 utterances in a step."""
    rng = np.random.default_rng(step)
    numbers, times = rng.choice(40, 8, replace=False), rng.random(8)
    errors = np.exp(4 * times - step / 500) * worse[numbers] * rng.uniform(0.9, 1.1, 8)
    counted = rng.random(8) > 0.2
    errors[~counted] *= 100
    arrays = numbers, times.astype(np.float32), errors.astype(np.float32), counted
    return tuple(map(torch.from_numpy, arrays))


def test_losses_are_corrected_for_times_and_for_what_is_learned() -> None:
    worse = np.where(np.arange(40) < 6, 1.5, 1.0)
    device = torch.device("cpu")
    whole, first, second = (UtteranceLosses(40, device) for _ in range(3))
    for step in range(400):
        whole.add(*batch(step, worse))
    with Ranks("cpu") as ranks:
        for step in range(150):
            first.add(*batch(step, worse))
        second.load(first.state(ranks), ranks)
        for step in range(150, 400):
            second.add(*batch(step, worse))
        state = whole.state(ranks)
        for name, value in second.state(ranks).items():
            assert torch.equal(value, state[name])
    found = (state["sums"] / state["counts"]).exp().numpy()
    assert found[:6].min() > found[6:].max()
    assert np.median(found[:6]) / np.median(found[6:]) == pytest.approx(1.5, rel=0.05)


def test_a_run_keeps_losses_and_learns_the_same(speech: Path, tmp_path: Path) -> None:
    plain, kept, stopped = (tmp_path / name for name in ("plain", "kept", "stopped"))
    train(speech, plain, 12)
    train(speech, kept, 12, "utterance_loss=true")
    train(speech, stopped, 6, "utterance_loss=true", "decay=inverse_sqrt")
    losses = [
        [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (plain, kept)
    ]
    assert losses[0] == losses[1]
    assert not (plain / LOSSES).exists()
    table = pq.read_table(kept / LOSSES)
    dataset = Dataset(speech)
    split = dict(zip(dataset.keys, dataset.index["split"].to_pylist(), strict=True))
    assert {split[key] for key in table["key"].to_pylist()} == {"train"}
    assert table["dataset"].unique().to_pylist() == [dataset.card.sha256sums]
    assert min(table["times"].to_pylist()) >= 1 and sum(table["times"].to_pylist()) <= 12 * 7
    before = pq.read_table(stopped / LOSSES)
    train(speech, stopped, 12, "utterance_loss=true", "decay=inverse_sqrt")
    after = pq.read_table(stopped / LOSSES)
    assert sum(after["times"].to_pylist()) > sum(before["times"].to_pylist())
    assert after["times"].to_pylist() == table["times"].to_pylist()

    # the report joins them by key
    page = tmp_path / "report.html"
    values = table["utterance_loss"].to_pylist()
    where = f"utterance_loss < {max(values)}"
    ns2("report", speech, "-o", page, "--run", kept, "--where", where, "--audio", 0)
    text = page.read_text("utf-8")
    kept_ones = sum(value < max(values) for value in values)
    assert f"keeps {kept_ones} of {len(dataset)}" in " ".join(text.split())
    assert "Highest loss in training" in text
    said = ns2("report", speech, "-o", page, "--run", plain, code=1)
    assert "--set utterance_loss=true" in said


def test_two_processes_keep_the_losses_of_both(tmp_path: Path) -> None:
    """Each utterance is there once and as often as one process counts it, after going on, too."""
    data = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4))
    keep: dict[str, Any] = {"utterance_loss": "true", "checkpoint_every": 5, "validate_every": 0}
    keep["decay"] = "inverse_sqrt"  # which does not depend on the number of steps in all
    run, alone = tmp_path / "run", tmp_path / "alone"
    tables = []
    for steps in (12, 25):
        with together.started([together.command(data, run, steps, **keep)] * 2) as both:
            tiny_steps(data, alone, steps, **keep)
            told = together.ended(both)
        assert [one.returncode for one in both] == [0, 0], told
        ours, theirs = (pq.read_table(one / LOSSES).to_pydict() for one in (run, alone))
        for name in ("dataset", "key", "times"):
            assert ours[name] == theirs[name], name
        assert len(set(ours["key"])) == len(ours["key"])
        assert np.isfinite(ours["utterance_loss"]).all()
        tables.append(dict(zip(ours["key"], ours["times"], strict=True)))
    index = Dataset(data).index.to_pylist()
    assert tables[1].keys() == {row["key"] for row in index if row["split"] == "train"}
    assert all(tables[1][key] >= times for key, times in tables[0].items())
    assert sum(tables[1].values()) > 1.5 * sum(tables[0].values())


def test_a_condition_may_name_them(speech: Path, tmp_path: Path) -> None:
    from ns2.pipeline.core.errors import UserError
    from ns2.train.data.selection import open_data

    run = tmp_path / "run"
    run.mkdir()
    dataset = Dataset(speech)
    losses = {"key": dataset.keys[:8], "utterance_loss": [1.0 + i for i in range(8)]}
    sums = [dataset.card.sha256sums] * 8
    pq.write_table(pa.table({"dataset": sums, **losses, "times": [1] * 8}), run / LOSSES)
    where = "utterance_loss < 4"
    few = open_data([speech], split="", where=where, losses=run)
    assert few.keys(np.arange(len(few))) == dataset.keys[:3]
    rest = open_data([speech], split="", where="not utterance_loss < 4", losses=run)
    assert rest.keys(np.arange(len(rest))) == dataset.keys[3:8]  # the others have none
    with pytest.raises(UserError, match="no column utterance_loss"):
        open_data([speech], split="", where=where)
    losses["utterance_loss"][7] = 2.0
    pq.write_table(pa.table({"dataset": sums, **losses, "times": [1] * 8}), run / LOSSES)
    other = open_data([speech], split="", where=where, losses=run)
    assert len(other) == 4 and other.digest != few.digest
    assert open_data([speech], split="").digest == open_data([speech], split="", where=" ").digest
