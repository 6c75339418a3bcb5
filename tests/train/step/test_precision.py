"""Training in bfloat16 on a CPU learns what training in float32 does; `pytest -m large`: longer."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ns2.model.config_values import changed
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import open_data
from ns2.train.run.recipes import training
from ns2.train.step.ranks import Ranks
from ns2.train.step.trainer import Trainer


def losses_of(dataset: Path, precision: str, steps: int) -> list[float]:
    """The losses of the first steps of `tiny`."""
    config = changed(
        training("tiny"), {"precision": precision, "global_frames": 900, "steps": 3 * steps}
    )
    data = open_data([dataset])
    found = []
    with Ranks("cpu") as ranks:
        trainer = Trainer(config, data, ranks)
        trainer.model.train()
        reader = Reader(
            data,
            trainer.share,
            seed=0,
            global_frames=config.global_frames,
            other_below=config.model.prompt.whole_below,
        )
        with reader:
            for _ in range(steps):
                found.append(trainer.learn(next(reader).batch)["loss"])
                trainer.step += 1
        trainer.check_finite("the trainer holds")
    return found


def compare(dataset: Path, steps: int) -> None:
    half, whole = (losses_of(dataset, precision, steps) for precision in ("bf16", "fp32"))
    assert half != whole  # it was bfloat16
    assert all(map(math.isfinite, half))
    quarter = steps // 4
    assert sum(whole[-quarter:]) < 0.95 * sum(whole[:quarter])  # there was something to learn
    for part in (slice(None), slice(-quarter, None)):
        assert sum(half[part]) == pytest.approx(sum(whole[part]), rel=0.05)
    print(f"mean losses {sum(half) / steps:.4f} in bf16, {sum(whole) / steps:.4f} in fp32")


def test_losses_in_bfloat16_stay_near_those_in_float32(speech: Path) -> None:
    compare(speech, 36)


@pytest.mark.large
def test_losses_of_300_steps_in_bfloat16_stay_near_those_in_float32(speech: Path) -> None:
    compare(speech, 300)
