"""What a run shows on its way: TensorBoard, validation, the best checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from ns2.cli import main
from ns2.model.config_values import changed, from_values
from ns2.model.tts.batch import Counts, Example, collate
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.epochs import mixed
from ns2.train.data.selection import open_data
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from ns2.train.run.names import BEST, BOARD, CHECKPOINTS
from ns2.train.run.recipes import training
from ns2.train.run.settings import TrainConfig
from ns2.train.step.build import border_ids, build_model
from tests.support.dataset_factories import Recipe, make_dataset

SETTINGS = {
    "global_frames": 150,
    "warmup": 2,
    "learning_rate": 0.003,
    "precision": "fp32",
    "frame_multiple": 8,
    "model.prompt.shortest": 8,
    "model.prompt.whole_below": 30,
    "model.prompt.longest": 16,
    "validate_frames": 200,
    "samples": 0,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=4, per_shard=4))


def train(data: Path, out: Path, steps: int, *more: str, **settings: object) -> str:
    chosen = {**SETTINGS, **settings}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    arguments = ["train", str(data), "-o", str(out), "--preset", "tiny", "--steps", str(steps)]
    done = CliRunner().invoke(main, [*arguments, *sets, *more])
    assert done.exit_code == 0, done.output
    return done.output


def config_of(**settings: object) -> TrainConfig:
    """The settings of `train`."""
    return changed(training("tiny"), {**SETTINGS, **settings})


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text("utf-8").splitlines()]


def shown(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / BOARD), size_guidance={"scalars": 0})
    return events.Reload()


def test_tensorboard_shows_every_step_once(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(root, run, 6, checkpoint_every=4, validate_every=2)
    checkpoints(run)[-1].unlink()  # as if it had been killed before it: steps 5 and 6 come again
    told = train(root, run, 7, checkpoint_every=4, validate_every=2)
    assert re.search(
        r"step 7/7, loss [\d.]+ \(diffusion [\d.]+, .*voicing [\d.]+\), lr [\d.e-]+, "
        r"[\d,]+ frames/s, [\d.]+% waiting, [\d.]+ GiB, 0 s left",
        told,
    )
    events = shown(run)
    for group, name, steps in (
        ("train", "metrics.jsonl", [1, 2, 3, 4, 5, 6, 7]),
        ("validation", "validation.jsonl", [2, 4, 6, 7]),
    ):
        rows = lines(run, name)
        assert [row["step"] for row in rows] == steps
        for tag in ("loss", "diffusion", "pitch"):
            points = events.Scalars(f"{group}/{tag}")
            assert [point.step for point in points] == steps
            values = [row[tag] for row in rows]
            assert [point.value for point in points] == pytest.approx(values, rel=1e-6)
    assert {"train/lr", "train/grad_norm", "train/data_wait"} <= set(events.Tags()["scalars"])


def test_validation_is_of_held_out_utterances_by_averaged_weights(
    root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(root, run, 3, validate_every=3, validate_frames=48_000)
    (row,) = lines(run, "validation.jsonl")
    config = from_values(TrainConfig, json.loads((run / "config.json").read_text("utf-8")))
    dataset, data = Dataset(root), open_data([root], split="val")
    model = build_model(dataset, config.model).eval().requires_grad_(False).double()
    model.load_state_dict(load_file(run / "model.safetensors"))
    border = border_ids(dataset.phoneme_table)
    batches = []  # each utterance alone, eight times: 32 looks at 4 utterances
    for look in range(8):
        for number in range(len(data)):
            seed = int(mixed(0x5EED, look, number) >> 1)
            other = data.other(number, seed) if data.frames[number] < 30 else None
            columns = ("codes", "phonemes", "durations", "f0")
            arrays = {column: data.read(column, number) for column in columns}
            spoken = None if other is None else data.read("codes", other)
            example = Example(**arrays, seed=seed, other=spoken)
            batches.append(collate([example], border, config.model.prompt))
    assert len(batches) == 32
    counts = [Counts.of(batch) for batch in batches]
    names = ("frames", "tokens", "voiced", "utterances")
    total = Counts(**{name: sum(getattr(one, name) for one in counts) for name in names})
    summed: dict[str, float] = {}
    for batch in batches:
        draws = model.draw(batch, self_condition=False)
        for name, loss in model(batch, draws, total).items():
            summed[name] = summed.get(name, 0.0) + float(loss)
    for name, value in summed.items():
        assert row[name] == pytest.approx(value, rel=1e-4), name
    weighted = float(model.total({name: torch.tensor(v) for name, v in summed.items()}))
    assert row["loss"] == pytest.approx(weighted, rel=1e-4)


def test_the_best_checkpoint_outlives_newer_ones(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {"checkpoint_every": 1, "validate_every": 1, "keep": 1}
    train(root, run, 4, **settings)
    rows = lines(run, "validation.jsonl")
    losses = [row["loss"] for row in rows]
    assert [row["best"] for row in rows] == [
        loss < min(losses[:i], default=np.inf) for i, loss in enumerate(losses)
    ]
    state = load_checkpoint(run / CHECKPOINTS / BEST)
    assert state["best"] == [1 + int(np.argmin(losses)), min(losses)]
    assert state["step"] == state["best"][0]
    (newest,) = checkpoints(run)
    torch.save({**load_checkpoint(newest), "best": [2, 0.0]}, newest)  # what nothing can beat
    before = (run / CHECKPOINTS / BEST).read_bytes()
    train(root, run, 6, **settings)
    assert [row["best"] for row in lines(run, "validation.jsonl")[4:]] == [False, False]
    assert (run / CHECKPOINTS / BEST).read_bytes() == before
    assert [path.stem for path in checkpoints(run)] == ["00000006"]


def test_watching_changes_no_step(root: Path, tmp_path: Path) -> None:
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    train(root, plain, 4, validate_every=0)
    train(root, watched, 4, validate_every=1)
    ours, theirs = (load_file(run / "model.safetensors") for run in (watched, plain))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (plain / "validation.jsonl").exists()


def test_without_held_out_utterances_there_is_a_note(root: Path, tmp_path: Path) -> None:
    message = train(root, tmp_path / "all", 2, "--split", "", validate_every=1)
    assert message.count("no validation") == 1
    bare = make_dataset(
        tmp_path / "bare",
        Recipe(shards=1, per_shard=4, change_row=lambda row: [{**row, "split": "train"}]),
    )
    message = train(bare, tmp_path / "bare-run", 2, validate_every=1)
    assert message.count("no validation") == 1
    assert not (tmp_path / "bare-run" / "validation.jsonl").exists()


def test_auto_takes_a_gpu_where_there_is_one_and_says_so(root: Path, tmp_path: Path) -> None:
    there = torch.cuda.is_available()
    shown = train(root, tmp_path / "run", 1, validate_every=0)
    assert (
        "computes on the GPU" if there else "computes on the CPU, since torch finds no"
    ) in shown
    about = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert about["device"]["type"] == ("cuda" if there else "cpu")


def test_a_cosine_with_more_steps_tells_both_rates(root: Path, tmp_path: Path) -> None:
    cosine = {"decay": "cosine", "validate_every": 0}
    train(root, tmp_path / "run", 4, **cosine)
    shown = train(root, tmp_path / "run", 7, **cosine)
    before, after = (row["lr"] for row in lines(tmp_path / "run", "metrics.jsonl")[3:5])
    assert f"the learning rate was {before:.2e} before and is {after:.2e} from step 5" in shown
    assert after > before
    assert "learning rate was" not in train(root, tmp_path / "run", 7, **cosine)
