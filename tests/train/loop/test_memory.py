"""A run's memory does not grow from step to step: `pytest -m large`, minutes."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.support.factories import LJSPEECH, needs_ljspeech
from tests.support.preprocessing import run_inline

EARLY, LATE = 200, 900
"""Steps at which a process is weighed."""
MOST = 12 * 2**20
"""Bytes that it may have grown by in between."""


def resident() -> int:
    """The bytes of memory that this process uses."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def weighed(dataset: Path, run: Path, told: Connection) -> None:
    """Train in this process, and tell the bytes that it had after each step."""
    from ns2.model.config_values import changed
    from ns2.pipeline.core.progress import Progress
    from ns2.train.data.selection import open_data
    from ns2.train.loop.loop import train
    from ns2.train.run.recipes import training
    from ns2.train.run.train_options import TrainOptions

    class Scales(Progress):
        """Weighs the process where the display of others would change."""

        def training(self, step: int, steps: int, loss: float, more: str = "") -> None:
            told.send((step, resident()))

    settings = {"steps": LATE, "global_frames": 900, "samples": 0, "validate_every": 0}
    config = changed(training("tiny"), settings)
    train(config, open_data([dataset]), run, Scales(), TrainOptions(device="cpu"))
    told.close()


@pytest.mark.large
@needs_ljspeech
def test_900_steps_need_no_more_memory_than_200(tmp_path: Path) -> None:
    run_inline(LJSPEECH, tmp_path / "shards", None, codec="mini")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=weighed, args=(tmp_path / "shards", tmp_path / "run", sender), daemon=True
    )
    process.start()
    sender.close()
    bytes_at: dict[int, int] = {}
    while len(bytes_at) < LATE and receiver.poll(300):
        step, found = receiver.recv()
        bytes_at[step] = found
    process.join(60)
    assert process.exitcode == 0
    grown = bytes_at[LATE] - bytes_at[EARLY]
    print({step: f"{bytes_at[step] / 2**20:.1f} MiB" for step in range(100, LATE + 1, 100)})
    assert grown < MOST, f"{grown / 2**20:.1f} MiB more"
