"""What can be chosen about a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ns2.model.diffusion.samplers import SamplerConfig
from ns2.model.tts.ns2_config import NS2Config

Decay = Literal["inverse_sqrt", "cosine"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training; the defaults are the paper's.

    Attributes:
        model: see `NS2Config`.
        steps: in all.
        global_frames: of a step, on all devices together.
        learning_rate: the highest.
        warmup: steps until it is reached.
        decay: "inverse_sqrt" after the warm-up, or "cosine" to nothing at the end.
        beta1, beta2, weight_decay: of AdamW.
        clip: largest norm of the gradient; 0 for none.
        ema: decay of the averaged weights.
        accumulate: parts in which a device does its share of a step, to save memory.
        precision: "bf16" computes in bfloat16 where that is safe, "fp32" everything in float32;
            "auto" is the first on a GPU and the second on a CPU.
        seed: of weights, order, and all random numbers.
        checkpoint_every: steps.
        keep: checkpoints that stay.
        frame_multiple, token_multiple: what shapes are padded to.
        validate_every: steps; 0 for never.
        validate_frames: of the val split, at most.
        sample_every: steps between two rounds of samples, also made in the end; 0 for never.
        samples: utterances of a round; 0 for none.
        sampler: how samples are made.
        statistics_every: steps between two looks at gradients, weights and activations; 0 for none.
    """

    model: NS2Config = field(default_factory=NS2Config)
    steps: int = 300_000
    global_frames: int = 96_000
    learning_rate: float = 5e-4
    warmup: int = 32_000
    decay: Decay = "inverse_sqrt"
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.9999
    accumulate: int = 1
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0
    checkpoint_every: int = 1000
    keep: int = 3
    frame_multiple: int = 64
    token_multiple: int = 16
    validate_every: int = 1000
    validate_frames: int = 48_000
    sample_every: int = 10_000
    samples: int = 2
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(kind="dpm++", steps=20))
    statistics_every: int = 0

    def __post_init__(self) -> None:
        whole = (
            self.steps,
            self.global_frames,
            self.warmup,
            self.accumulate,
            self.checkpoint_every,
            self.keep,
            self.frame_multiple,
            self.token_multiple,
        )
        if min(whole) < 1:
            raise ValueError(
                "steps, global_frames, warmup, accumulate, checkpoint_every, keep and multiples "
                "have to be at least 1"
            )
        watched = (self.validate_every, self.sample_every, self.samples, self.statistics_every)
        if min(watched) < 0 or self.validate_frames < 1:
            raise ValueError(
                "validate_every, sample_every, samples and statistics_every can't be negative "
                "(0 is for none), validate_frames has to be at least 1"
            )
        if self.learning_rate <= 0 or self.clip < 0 or self.weight_decay < 0:
            raise ValueError("learning_rate has to be above 0, clip and weight_decay at least 0")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema has to lie in [0, 1), got {self.ema}")

    def learning_rate_at(self, step: int) -> float:
        """Of a step, counted from 0."""
        rise = min(1.0, (step + 1) / self.warmup)
        if self.decay == "inverse_sqrt":
            return self.learning_rate * min(rise, math.sqrt(self.warmup / (step + 1)))
        done = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * rise * (1 + math.cos(math.pi * min(1.0, done))) / 2

    def ema_at(self, step: int) -> float:
        """Decay of the averaged weights at a step: less at first, to forget the start sooner."""
        return min(self.ema, (1 + step) / (10 + step))
