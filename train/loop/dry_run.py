"""What a training would take: `ns2 train --dry-run`. Nothing is written.

The plan of the first epoch is counted. Its largest step is done for real, forwards and backwards,
with an update that is thrown away.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ns2.model.tts.parameters import count_parts
from ns2.pipeline.core.progress import duration
from ns2.train.data.epochs import EpochPlan, shares
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import Data
from ns2.train.run.settings import TrainConfig
from ns2.train.run.train_options import TrainOptions
from ns2.train.step.build import sizes_of
from ns2.train.step.ranks import Ranks, chosen_device, peak_memory
from ns2.train.step.trainer import Share, Trainer

_REPEATED_BELOW = 20.0
"""Seconds: a step that took less is done again, since the first one includes preparations."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the largest step took.

    Attributes:
        frames: of the step, on all devices together.
        seconds: of one device, for its share.
        memory: the most bytes in use, on the GPU or by this process.
    """

    frames: int
    seconds: float
    memory: int


def dry_run(config: TrainConfig, data: Data, options: TrainOptions) -> str:
    """Plan an epoch, try a step, and describe both.

    Args:
        options: of these the device, the number of devices that share a step, and `compile`.
    """
    devices = options.devices
    plan = data.plan(seed=config.seed, epoch=0, global_frames=config.global_frames)
    trial = try_step(config, data, plan, options)
    parts = count_parts(config.model, sizes_of(data.datasets[0]))
    parameters = sum(part.parameters for part in parts)
    hours = plan.total_frames / data.grid.frame_rate / 3600
    epoch_seconds = trial.seconds * plan.total_frames / trial.frames
    epochs = config.steps / len(plan)
    padding = plan.padding(devices, config.frame_multiple)
    on = "one device" if devices == 1 else f"{devices} devices"
    of = "of the GPU" if chosen_device(options.device) == "cuda" else "of this process"
    rows = {
        "utterances": f"{len(data):,} ({hours:.2f} h)",
        "an epoch": f"{len(plan):,} steps of at most {config.global_frames:,} frames",
        "padding": f"{padding:.1%} of frames on {on}",
        "epochs": f"{epochs:,.1f} in {config.steps:,} steps",
        "parameters": f"{parameters / 1e6:.1f} M",
        "memory": f"{trial.memory / 2**30:.2f} GiB {of} in the largest step",
        "a step": f"{trial.seconds:.2f} s for {trial.frames:,} frames, "
        f"{trial.frames / trial.seconds:,.0f} frames/s",
        "time": f"{duration(epoch_seconds)} an epoch, {duration(epoch_seconds * epochs)} in all, "
        "validation and samples aside",
    }
    return "\n".join(f"{name:<13} {text}" for name, text in rows.items())


def largest_step(plan: EpochPlan, devices: int, multiple: int) -> int:
    """The number of the step with the most frames on the first device, padding included."""
    sizes = []
    for number in range(len(plan)):
        frames = plan.frames[int(plan.starts[number]) : int(plan.starts[number + 1])]
        first = frames[shares(frames, devices) == 0]
        longest = int(first.max(initial=0))
        sizes.append(len(first) * -(-longest // multiple) * multiple)
    return int(np.argmax(sizes))


def try_step(config: TrainConfig, data: Data, plan: EpochPlan, options: TrainOptions) -> Trial:
    """Do one device's share of the largest step, and throw away what it changed."""
    number = largest_step(plan, options.devices, config.frame_multiple)
    with Ranks(options.device) as ranks:
        trainer = Trainer(config, data, ranks, compiled=options.compile)
        trainer.model.train()
        reader = Reader(
            data,
            trainer.share,
            seed=config.seed,
            global_frames=config.global_frames,
            start=(0, number),
            ranks=options.devices,
            ahead=1,
            other_below=config.model.prompt.whole_below,
        )
        with reader:
            step = next(reader)
        seconds = _timed(trainer, step.batch)
        if seconds < _REPEATED_BELOW:
            seconds = _timed(trainer, step.batch)
        memory = peak_memory(ranks.device)
    return Trial(frames=step.global_frames, seconds=seconds, memory=memory)


def _timed(trainer: Trainer, share: Share | None) -> float:
    """The seconds that a step takes."""
    began = time.perf_counter()
    trainer.learn(share)
    return time.perf_counter() - began
