"""The settings of a training.

The text below a field explains it, here and wherever the setting is shown; each default stands here
and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ns2.model.config_values import from_values
from ns2.model.diffusion.sampler_config import FAST_SAMPLER, SamplerConfig
from ns2.model.tts.ns2_config import NS2Config
from ns2.train.data.mix import parse_mix

Decay = Literal["inverse_sqrt", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of a training; the defaults are the paper's."""

    model: NS2Config = field(default_factory=NS2Config)
    """The model that is trained, with settings of its own."""

    steps: int = 300_000
    """The number of steps in all."""

    epochs: float = 0.0
    """The number of epochs after which a run ends, where that is sooner than `steps`; 0 for no such
    end. What is little is soon known by heart."""

    global_frames: int = 96_000
    """The batch size: the number of frames in a step, at most, on all devices together; with plan 2
    those of all prompts count."""

    plan: Literal[1, 2] = 2
    """How steps are planned: 2 counts prompts in global_frames and groups utterances by what is
    left of them once prompts are cut out; 1 is the plan of ns2 0.1. A run goes on with the
    plan that it began with."""

    mix: str = ""
    """How often utterances come: shares of the datasets and powers of columns, as of --mix, such as
    "5:3:1 speaker^0.5"; "" has each come once in an epoch."""

    epoch_utterances: int = 0
    """The number of utterances in an epoch, in which some then come several times or not at all; 0
    for as many as there are."""

    learning_rate: float = 5e-4
    """The highest learning rate, which is reached at the end of the warm-up."""

    warmup: int = 32_000
    """The number of steps in which the learning rate rises from 0."""

    decay: Decay = "inverse_sqrt"
    """How the learning rate falls after the warm-up: inverse_sqrt with the inverse square root of
    the step, or cosine to 0 at the last step."""

    beta1: float = 0.9
    """AdamW's decay of the running mean of gradients."""

    beta2: float = 0.99
    """AdamW's decay of the running mean of squared gradients."""

    weight_decay: float = 0.01
    """AdamW's weight decay."""

    clip: float = 1.0
    """The norm to which the gradient is clipped; 0 does not clip."""

    ema: float = 0.9999
    """The decay of the averaged weights (EMA), which are validated, spoken with, and kept."""

    frozen: str = ""
    """The parts of the model that are held still, by the names of modules and with commas, such as
    phoneme_encoder,stress; "" trains all."""

    accumulate: int = 1
    """Gradient accumulation: the number of batches into which each device splits its share of a
    step, to save memory."""

    recompute: bool = False
    """Activation checkpointing: the layers of the model are computed once more in the backward
    pass, which takes one more forward pass and much less memory, and changes nothing else."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """The precision of a step: bf16 computes in bfloat16 where that is safe, fp32 everything in
    float32, and auto takes bf16 on a GPU and fp32 on a CPU."""

    seed: int = 0
    """The seed of the weights, of the order of utterances, and of all random numbers."""

    checkpoint_every: int = 1000
    """The number of steps between two checkpoints."""

    keep: int = 3
    """The number of checkpoints that are kept, best.pt apart."""

    frame_multiple: int = 16
    """Batches are padded to a multiple of this number of frames."""

    token_multiple: int = 16
    """Batches are padded to a multiple of this number of phonemes."""

    validate_every: int = 1000
    """The number of steps between two validations; 0 never validates."""

    validate_frames: int = 48_000
    """The number of frames of the val split that are validated, at most."""

    sample_every: int = 10_000
    """The number of steps between two rounds of samples, which the last step also has; 0 makes
    none."""

    samples: int = 2
    """The number of utterances in each round of samples; 0 makes none."""

    sampler: SamplerConfig = FAST_SAMPLER
    """The sampler of the samples, with settings of its own."""

    statistics_every: int = 0
    """The number of steps between two lines of statistics on gradients, weights and activations; 0
    writes none."""

    utterance_loss: bool = False
    """A trial: the mean loss of each utterance, corrected for its diffusion times, is kept in
    utterance_loss.parquet, for `ns2 report --run`."""

    def __post_init__(self) -> None:
        at_least_1 = (
            "steps",
            "global_frames",
            "warmup",
            "accumulate",
            "checkpoint_every",
            "keep",
            "frame_multiple",
            "token_multiple",
            "validate_frames",
        )
        at_least_0 = (
            "epochs",
            "epoch_utterances",
            "clip",
            "weight_decay",
            "validate_every",
            "sample_every",
            "samples",
            "statistics_every",
        )
        for least, names in ((1, at_least_1), (0, at_least_0)):
            for name in names:
                if getattr(self, name) < least:
                    raise ValueError(
                        f"{name} has to be at least {least}, got {getattr(self, name)}"
                    )
        parse_mix([self.mix])
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate has to be above 0, got {self.learning_rate}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema has to lie in [0, 1), got {self.ema}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup)
        if self.decay == "inverse_sqrt":
            return self.learning_rate * min(rise, math.sqrt(self.warmup / (step + 1)))
        done = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * rise * (1 + math.cos(math.pi * min(1.0, done))) / 2


_GONE = ("anchor",)
"""Settings that there were for a time, and that runs of then still name."""


def settings_of(values: Any) -> TrainConfig:
    """The settings that the content of a config.json names.

    Raises:
        ValueError: see `from_values`.
    """
    if isinstance(values, dict):
        values = {name: value for name, value in values.items() if name not in _GONE}
    return from_values(TrainConfig, values)
