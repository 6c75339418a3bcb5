"""`ns2 train`: losses fall, runs go on exactly, processes share steps, wrong input is told."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from ns2.cli import main
from ns2.model.config_values import changed, from_values, to_values
from ns2.model.tts.presets import preset
from ns2.pipeline.core.atomic import TEMPORARY
from ns2.pipeline.core.progress import Progress
from ns2.train.data.selection import open_data
from ns2.train.loop.loop import train as run_in
from ns2.train.run.checkpoint import checkpoints
from ns2.train.run.recipes import training
from ns2.train.run.settings import TrainConfig
from ns2.train.run.train_options import TrainOptions
from tests.support import warm

SETTINGS = {
    "global_frames": 900,
    "warmup": 3,
    "checkpoint_every": 2,
    "precision": "fp32",
    "samples": 0,
    "validate_frames": 900,
    "frame_multiple": 16,
    "model.prompt.shortest": 20,
    "model.prompt.whole_below": 60,
    "model.prompt.longest": 60,
}
TIMINGS = ("data_wait", "seconds")


def arguments(data: Path, out: Path, steps: int, **settings: object) -> list[str]:
    chosen = {**SETTINGS, **settings}
    sets = [word for name, value in chosen.items() for word in ("--set", f"{name}={value}")]
    return ["train", str(data), "-o", str(out), "--preset", "tiny", "--steps", str(steps), *sets]


def train(data: Path, out: Path, steps: int, **settings: object) -> None:
    done = CliRunner().invoke(main, arguments(data, out, steps, **settings))
    assert done.exit_code == 0, done.output


def metrics(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]


@pytest.fixture(scope="module")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of 6 steps, across an epoch's end."""
    run = tmp_path_factory.mktemp("run") / "run"
    train(dataset, run, 6)
    return run


def test_a_run_describes_itself(whole: Path) -> None:
    rows = metrics(whole)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert max(row["epoch"] for row in rows) >= 1
    named = {"diffusion", "score", "ce_rvq", "duration", "pitch", "voicing"}
    assert named | {"loss", "lr", "grad_norm", "frames"} <= rows[0].keys()
    assert sum(r["duration"] for r in rows[3:]) < sum(r["duration"] for r in rows[:3])
    config = from_values(TrainConfig, json.loads((whole / "config.json").read_text("utf-8")))
    assert config.global_frames == 900 and config.model.width == preset("tiny").width
    assert len(checkpoints(whole)) == 3
    weights = load_file(whole / "model.safetensors")
    assert weights["codebooks"].shape[0] == 4


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    whole: Path, dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(dataset, run, 4)
    # as after a crash: metrics of steps whose checkpoint never came, the last line cut off
    lines = (run / "metrics.jsonl").read_text("utf-8")
    (run / "metrics.jsonl").write_text(lines + '{"step": 5, "loss": 1.0}\n{"step": 6, "lo')
    (run / f"{TEMPORARY}1-model.safetensors").write_bytes(b"half written")
    train(dataset, run, 6)
    assert metrics(run) == metrics(whole) and not list(run.rglob(f"{TEMPORARY}*"))
    ours, theirs = (load_file(r / "model.safetensors") for r in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_sigterm_loses_nothing(whole: Path, dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = warm.ns2(arguments(dataset, run, 6, checkpoint_every=100))
    deadline = time.monotonic() + 240
    while not (run / "metrics.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(240) == 0
    done = len(metrics(run))
    assert 1 <= done <= 6
    assert int(checkpoints(run)[-1].stem) == done
    train(dataset, run, 6, checkpoint_every=100)
    assert metrics(run) == metrics(whole)


def test_two_processes_share_each_step(whole: Path, dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    together = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [sys.executable, *together, "-m", "ns2.cli", *arguments(dataset, run, 4)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=400)
    for ours, alone in zip(metrics(run), metrics(whole)[:4], strict=True):
        assert ours["frames"] == alone["frames"]
        for name in ("loss", "diffusion", "ce_rvq", "duration", "pitch", "grad_norm"):
            assert ours[name] == pytest.approx(alone[name], rel=1e-4), name
    train(dataset, run, 6)  # and one goes on where two stopped
    assert metrics(run)[-1]["loss"] == pytest.approx(metrics(whole)[-1]["loss"], rel=1e-3)


def test_parts_of_a_step_add_up_to_it(whole: Path, dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", 2, accumulate=3)
    for ours, alone in zip(metrics(tmp_path / "run"), metrics(whole)[:2], strict=True):
        assert ours["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert ours["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-3)


def test_a_run_of_before_goes_on_with_its_plan(dataset: Path, tmp_path: Path) -> None:
    undisturbed, run = tmp_path / "undisturbed", tmp_path / "run"
    train(dataset, undisturbed, 6, plan=1)
    train(dataset, run, 3, plan=1)
    config = json.loads((run / "config.json").read_text("utf-8"))
    del config["plan"]  # which ns2 0.1 did not know
    (run / "config.json").write_text(json.dumps(config))
    done = CliRunner().invoke(main, arguments(dataset, run, 6))
    assert done.exit_code == 0 and "plan 1" in done.output
    assert metrics(run) == metrics(undisturbed)
    assert json.loads((run / "config.json").read_text("utf-8"))["plan"] == 1
    train(dataset, run, 6)  # and once more, now that it is named
    done = CliRunner().invoke(main, [*arguments(dataset, run, 1), "--fresh"])
    assert done.exit_code == 0
    assert json.loads((run / "config.json").read_text("utf-8"))["plan"] == 2


def test_accumulation_and_multiples_may_change(whole: Path, dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(dataset, run, 3)
    train(dataset, run, 6, accumulate=3, frame_multiple=8, token_multiple=4)
    for ours, alone in zip(metrics(run), metrics(whole), strict=True):
        assert ours["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert ours["frames"] == alone["frames"]
    assert metrics(run)[:3] == metrics(whole)[:3]
    assert metrics(run)[-1]["computed"] < metrics(whole)[-1]["computed"]


def test_layers_may_be_computed_twice_from_any_step_on(
    whole: Path, dataset: Path, tmp_path: Path
) -> None:
    train(dataset, tmp_path / "run", 3)
    train(dataset, tmp_path / "run", 6, recompute="true")
    assert metrics(tmp_path / "run") == metrics(whole)
    ours, theirs = (load_file(r / "model.safetensors") for r in (tmp_path / "run", whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def refused(data: Path, out: Path, **settings: object) -> str:
    done = CliRunner().invoke(main, arguments(data, out, 6, **settings))
    assert done.exit_code in (1, 2)
    return done.output


def test_another_config_or_dataset_is_an_error(whole: Path, dataset: Path, tmp_path: Path) -> None:
    message = refused(dataset, whole, global_frames=1000)
    assert "another global_frames" in message and "--fresh" in message
    other = CliRunner().invoke(
        main, [*arguments(dataset, whole, 6), "--where", "seconds > 1", "--split", ""]
    )
    assert other.exit_code == 1 and "other data" in other.output
    (tmp_path / "mine.txt").write_text("x")
    assert "no run of ns2" in refused(dataset, tmp_path)


def test_fresh_begins_anew_and_spares_what_is_no_run(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(dataset, run, 1)
    (run / "evaluation").mkdir()
    (run / "evaluation" / "index.html").write_text("of the model before")
    done = CliRunner().invoke(main, [*arguments(dataset, run, 1, seed=5), "--fresh"])
    assert done.exit_code == 0, done.output
    assert len(metrics(run)) == 1 and not (run / "evaluation").exists()
    mine = tmp_path / "mine"
    (mine / "samples").mkdir(parents=True)
    (mine / "config.json").write_text("{}")
    done = CliRunner().invoke(main, [*arguments(dataset, mine, 1), "--fresh"])
    assert done.exit_code == 1 and "no run of ns2" in done.output
    assert (mine / "samples").is_dir() and (mine / "config.json").read_text() == "{}"


def test_wrong_settings_are_told(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert "did you mean global_frames?" in refused(dataset, run, global_frame=3)
    assert "model.width must be a whole number" in refused(dataset, run, **{"model.width": "wide"})
    assert "must be one of inverse_sqrt, cosine" in refused(dataset, run, decay="linear")
    assert not run.exists()


def test_a_dry_run_writes_nothing(dataset: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, [*arguments(dataset, tmp_path / "run", 6), "--dry-run"])
    assert shown.exit_code == 0 and "an epoch" in shown.output
    assert not (tmp_path / "run").exists()


def test_settings_travel_as_json() -> None:
    for name in ("paper", "seed"):
        config = preset(name)
        assert from_values(type(config), json.loads(json.dumps(to_values(config)))) == config
    config = changed(preset("tiny"), {"denoiser.wavenet.layers": 9, "width": 32})
    assert config.denoiser.wavenet.layers == 9 and config.width == 32
    assert config.denoiser.wavenet.hidden == preset("tiny").denoiser.wavenet.hidden


def test_learning_rates() -> None:
    config = TrainConfig(learning_rate=1.0, warmup=100, steps=1000)
    assert config.learning_rate_at(49) == pytest.approx(0.5)
    assert config.learning_rate_at(99) == pytest.approx(1.0)
    assert config.learning_rate_at(399) == pytest.approx(0.5)  # sqrt(100 / 400)
    cosine = TrainConfig(learning_rate=1.0, warmup=100, steps=1100, decay="cosine")
    assert cosine.learning_rate_at(600) == pytest.approx(0.5, abs=1e-3)
    assert cosine.learning_rate_at(1100) == pytest.approx(0.0, abs=1e-6)


def live_bytes() -> int:
    """The bytes of all plain tensors that anything holds, each storage once.

    Weights that oneDNN laid out, such as those of a codec that an earlier test loaded, show no
    storage and stay as they are.
    """
    gc.unfreeze()  # a run hides what it began with from the collector
    gc.collect()
    tensors = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    found = [one for one in tensors if one.layout is torch.strided]
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in found}
    return sum(storages.values())


class Weighing(Progress):
    """Notes how many bytes of tensors there are after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: dict[int, int] = {}

    def training(self, step: int, steps: int, loss: float, more: str = "") -> None:
        self.bytes[step] = live_bytes()


def test_a_run_that_goes_on_holds_no_more_than_one_that_began(
    dataset: Path, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "validate_every": 0, "steps": 4}
    config, data = changed(training("tiny"), settings), open_data([dataset])
    begun, gone_on = Weighing(), Weighing()
    run_in(changed(config, {"steps": 2}), data, tmp_path / "run", begun, TrainOptions())
    run_in(config, data, tmp_path / "run", gone_on, TrainOptions())
    weights = sum(t.nbytes for t in load_file(tmp_path / "run" / "model.safetensors").values())
    assert list(begun.bytes) == [1, 2] and list(gone_on.bytes) == [3, 4]
    # batches differ by less than the averaged weights, which only a checkpoint holds once more
    assert gone_on.bytes[4] < begun.bytes[2] + weights / 2
