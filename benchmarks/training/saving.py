"""The time that checkpoints hold a training up, as a share of the time that writing them takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ns2.train.run.checkpoint import checkpoints
from ns2.train.run.saver import Saver
from ns2.train.step.trainer import Trainer


def saving(
    trainer: Trainer, step: Callable[[], object], folder: Path, count: int
) -> dict[str, Any]:
    """Save a trainer's state, and do a step meanwhile, so many times.

    Args:
        trainer: in training.
        step: does a step of it.
        folder: a run's folder, which is written to.
        count: the number of checkpoints.

    Returns:
        the bytes of a checkpoint, the seconds that all of them took to be written, the seconds that
        the training waited for them meanwhile, and the `share` of the latter.
    """
    with Saver(folder, keep=1) as saver:
        trainer.before_update = saver.settle
        blocked = 0.0
        for _ in range(count):
            before = saver.blocked
            saver.save(trainer.state())
            step()
            blocked += saver.blocked - before
            # steps are few here: a run does hundreds of them before it saves again
            if (problem := saver.problem(wait=True)) is not None:
                raise problem
    trainer.before_update = lambda: None
    size = checkpoints(folder)[-1].stat().st_size
    return {
        "bytes": size,
        "writing": saver.writing,
        "blocked": blocked,
        "share": blocked / saver.writing,
    }
