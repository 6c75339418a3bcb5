"""How many steps a run has: the plan of an epoch, and an end after so many of them."""

from __future__ import annotations

from dataclasses import replace

from ns2.train.data.epochs import EpochPlan
from ns2.train.data.selection import Data
from ns2.train.run.settings import TrainConfig


def planned(config: TrainConfig, data: Data, epoch: int) -> EpochPlan:
    """The plan of an epoch, with prompts where the settings say so."""
    prompts = config.model.prompt if config.plan == 2 else None
    return data.plan(
        seed=config.seed, epoch=epoch, global_frames=config.global_frames, prompts=prompts
    )


def within_epochs(config: TrainConfig, data: Data) -> tuple[TrainConfig, str]:
    """The settings of a run that ends after `epochs` where that is sooner than `steps`.

    Args:
        data: what is learned, mixed.

    Returns:
        the settings with the number of steps that the run has, and what was cut off in words; ""
        for nothing.
    """
    if not config.epochs:
        return config, ""
    wanted = min(config.epochs * len(planned(config, data, 0)), config.steps)
    steps = max(1, round(wanted))
    if steps >= config.steps:
        return config, ""
    told = (
        f"ends with step {steps}, {config.epochs:g} epochs, and not with {config.steps}, since "
        "so little is soon known by heart (--set epochs=0 takes all steps)"
    )
    return replace(config, steps=steps), told
