"""What a training would be: `ns2 train --dry-run`. Nothing is written.

The plan of the first epoch is counted, and its largest step is really done: forwards, backwards,
and an update that is thrown away.
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
from ns2.train.step.build import sizes_of
from ns2.train.step.ranks import Ranks, peak_memory
from ns2.train.step.trainer import Share, Trainer

_AGAIN = 20.0
"""A step that took less is done once more: the first pays for what is prepared once."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one step took.

    Attributes:
        number: which step of the epoch.
        frames: of it, of all devices.
        seconds: that it took.
        memory: bytes at most: of the GPU, or of this process.
    """

    number: int
    frames: int
    seconds: float
    memory: int


def dry_run(
    config: TrainConfig, data: Data, *, device: str, devices: int = 1, compiled: bool = False
) -> str:
    """Plan, try a step, and say what it was like.

    Args:
        devices: that would share each step; one of them is tried, with its share.
    """
    plan = data.plan(seed=config.seed, epoch=0, global_frames=config.global_frames)
    parts = count_parts(config.model, sizes_of(data.datasets[0]))
    parameters = sum(part.parameters for part in parts)
    trial = try_step(config, data, plan, device=device, devices=devices, compiled=compiled)
    hours = plan.total_frames / data.grid.frame_rate / 3600
    an_epoch = trial.seconds * plan.total_frames / trial.frames
    epochs = config.steps / len(plan)
    padding = plan.padding(devices, config.frame_multiple)
    on = "one device" if devices == 1 else f"{devices} devices"
    return "\n".join(
        (
            f"utterances    {len(data):,} ({hours:.2f} h)",
            f"an epoch      {len(plan):,} steps of at most {config.global_frames:,} frames",
            f"padding       {padding:.1%} of frames on {on}",
            f"epochs        {epochs:,.1f} in {config.steps:,} steps",
            f"parameters    {parameters / 1e6:.1f} M",
            f"memory        {trial.memory / 2**30:.2f} GiB {_whose(device)} in the largest step",
            f"a step        {trial.seconds:.2f} s for {trial.frames:,} frames, "
            f"{trial.frames / trial.seconds:,.0f} frames/s",
            f"time          {duration(an_epoch)} an epoch, {duration(an_epoch * epochs)} in all, "
            "validation and samples aside",
        )
    )


def largest_step(plan: EpochPlan, devices: int, multiple: int) -> int:
    """The step with the most frames on one device, padding included."""
    sizes = []
    for number in range(len(plan)):
        frames = plan.frames[int(plan.starts[number]) : int(plan.starts[number + 1])]
        first = frames[shares(frames, devices) == 0]
        longest = int(first.max(initial=0))
        sizes.append(len(first) * -(-longest // multiple) * multiple)
    return int(np.argmax(sizes))


def try_step(
    config: TrainConfig, data: Data, plan: EpochPlan, *, device: str, devices: int, compiled: bool
) -> Trial:
    """Do the largest step, and throw away what it changed."""
    number = largest_step(plan, devices, config.frame_multiple)
    with Ranks(device) as ranks:
        trainer = Trainer(config, data, ranks, compiled=compiled)
        trainer.model.train()
        reader = Reader(
            data,
            trainer.share,
            seed=config.seed,
            global_frames=config.global_frames,
            start=(0, number),
            ranks=devices,
            ahead=1,
            other_below=config.model.prompt.whole_below,
        )
        with reader:
            step = next(reader)
        seconds = _timed(trainer, step.batch)
        if seconds < _AGAIN:
            seconds = _timed(trainer, step.batch)
        memory = peak_memory(ranks.device)
    return Trial(number=number, frames=step.global_frames, seconds=seconds, memory=memory)


def _timed(trainer: Trainer, share: Share | None) -> float:
    began = time.perf_counter()
    trainer.learn(share)
    return time.perf_counter() - began


def _whose(device: str) -> str:
    return "of the GPU" if device == "cuda" else "of this process"
