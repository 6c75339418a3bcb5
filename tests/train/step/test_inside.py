"""Statistics of gradients, weights, updates and activations, held against plain sums."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ns2.model.config_values import from_values
from ns2.model.tts.batch import Batch
from ns2.model.tts.draws import Draws
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import open_data
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from ns2.train.run.settings import TrainConfig
from ns2.train.step.inside import activations
from ns2.train.step.ranks import Ranks
from ns2.train.step.trainer import Trainer
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_watching import lines, shown, train

PLAIN = {"validate_every": 0, "checkpoint_every": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=4, per_shard=4))


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "run"
    train(root, run, 3, **PLAIN, statistics_every=2)
    return run


def norm(values: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(value.double().square().sum()) for value in values))


def next_step(root: Path, run: Path, state: dict[str, Any]) -> tuple[Trainer, Batch, Draws]:
    """A trainer with the state of a checkpoint of the run, and what it learns next."""
    config = from_values(TrainConfig, json.loads((run / "config.json").read_text("utf-8")))
    data = open_data([root])
    with Ranks("cpu") as ranks:
        trainer = Trainer(config, data, ranks)
    trainer.load(state)
    with Reader(
        data,
        trainer.share,
        seed=0,
        global_frames=150,
        start=trainer.place,
        other_below=30,
        prompts=trainer.config.model.prompt,
    ) as reader:
        ((batch, draws),) = next(reader).batch.parts
    return trainer, batch, draws


def test_statistics_are_those_of_the_step(root: Path, run: Path) -> None:
    (row,) = lines(run, "statistics.jsonl")
    assert row.pop("step") == 2
    first, second = (load_checkpoint(path) for path in checkpoints(run)[:2])
    trainer, batch, draws = next_step(root, run, first)
    model = trainer.model
    draws = replace(draws, self_condition=trainer._self_conditions())
    losses = model(batch, draws)
    model.total(losses).backward()
    parts = {name.split("/")[0] for name in row if name.endswith("/gradient")}
    wanted = {"phoneme_encoder", "prompt_encoder", "duration_predictor", "pitch_predictor"}
    assert wanted | {"denoiser.wavenet", "denoiser.resampler", "phone"} <= parts
    seen = 0
    for part in parts:
        names = [n for n, _ in model.named_parameters() if n == part or n.startswith(f"{part}.")]
        seen += len(names)
        gradients = [p.grad for n, p in model.named_parameters() if n in names]
        weights = [second["model"][n] for n in names]
        moved = [second["model"][n] - first["model"][n] for n in names]
        assert row[f"{part}/gradient"] == pytest.approx(norm(gradients), rel=1e-3), part
        assert row[f"{part}/weights"] == pytest.approx(norm(weights), rel=1e-5), part
        assert row[f"{part}/update"] == pytest.approx(norm(moved) / norm(weights), rel=1e-4), part
    assert seen == len(list(model.parameters()))
    whole = lines(run, "metrics.jsonl")[1]["grad_norm"]
    assert math.hypot(*(row[f"{part}/gradient"] for part in parts)) == pytest.approx(whole, 1e-4)


def test_activations_leave_padding_out(root: Path, run: Path) -> None:
    (row,) = lines(run, "statistics.jsonl")
    trainer, batch, draws = next_step(root, run, load_checkpoint(checkpoints(run)[0]))
    model = trainer.model
    assert not bool(batch.token_mask.all())
    with torch.no_grad():
        states = model.text(batch.phonemes, batch.token_mask)
        voice = model.voice(batch.prompt_codes, batch.prompt_frames, draws.drop_prompt)
        durations = model.duration_predictor(states, batch.token_mask, voice.states, voice.mask)
    for part, out, mask in (
        ("phoneme_encoder", states, batch.token_mask),
        ("duration_predictor", durations, batch.token_mask),
        ("denoiser.resampler", voice.tokens, torch.ones(voice.tokens.shape[:2], dtype=torch.bool)),
    ):
        rows = np.concatenate(
            [one[: int(kept.sum())].double().numpy() for one, kept in zip(out, mask, strict=True)]
        )
        assert row[f"{part}/mean"] == pytest.approx(rows.mean(), abs=1e-5), part
        assert row[f"{part}/std"] == pytest.approx(rows.std(), rel=1e-4), part
        assert row[f"{part}/largest"] == pytest.approx(np.abs(rows).max(), rel=1e-4), part
        assert row[f"{part}/dead"] == 0, part


def test_channels_that_say_nothing_are_dead(root: Path, run: Path) -> None:
    config = from_values(TrainConfig, json.loads((run / "config.json").read_text("utf-8")))
    data = open_data([root])
    with Ranks("cpu") as ranks:
        trainer = Trainer(config, data, ranks)
    model = trainer.model
    last: Any = [m for m in model.phoneme_encoder.modules() if hasattr(m, "weight")][-1]
    with torch.no_grad():
        last.weight[: len(last.weight) // 4] = 0
    with Reader(
        data,
        trainer.share,
        seed=0,
        global_frames=150,
        other_below=30,
        prompts=trainer.config.model.prompt,
    ) as reader:
        ((batch, draws),) = next(reader).batch.parts
    with torch.no_grad(), activations(model) as found:
        model(batch, draws)
    assert float(found["phoneme_encoder/dead"]) == pytest.approx(0.25)
    hooks = [module for module in model.modules() if module._forward_hooks]
    assert not hooks


def test_looking_changes_nothing_and_is_not_done_unasked(
    root: Path, run: Path, tmp_path: Path
) -> None:
    train(root, tmp_path / "plain", 3, **PLAIN)
    assert not (tmp_path / "plain" / "statistics.jsonl").exists()
    ours, theirs = (load_file(r / "model.safetensors") for r in (run, tmp_path / "plain"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    rows = lines(run, "statistics.jsonl")
    events = shown(run)
    points = events.Scalars("statistics/denoiser.wavenet/gradient")
    assert [point.step for point in points] == [2]
    assert points[0].value == pytest.approx(rows[0]["denoiser.wavenet/gradient"], rel=1e-6)
    assert not any(
        tag.startswith("statistics") for tag in shown(tmp_path / "plain").Tags()["scalars"]
    )
