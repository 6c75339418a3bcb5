"""The options that all commands share that let a model speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from ns2.pipeline.commands.common import config_options
from ns2.pipeline.preprocess.options import Options
from ns2.train.run.train_options import TrainOptions
from ns2.train.speak.speaking import SpeakingOptions

SHARED = tuple(field.name for field in fields(SpeakingOptions))
"""The fields of `SpeakingOptions`, which a command leaves to `speaking_options`."""


def speaking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `SpeakingOptions`, --codec-weights and --device to a command."""
    for add in (
        config_options(TrainOptions, "device"),
        config_options(Options, "codec_weights"),
        config_options(SpeakingOptions, weights={"metavar": "last|best|STEP"}),
    ):
        command = add(command)
    return command
