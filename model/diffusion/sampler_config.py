"""The settings of a sampler. No torch is loaded here, so that commands can show them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

SamplerKind = Literal["euler", "ddim", "ddpm", "dpm++"]
Spacing = Literal["time", "log_snr"]
MOST_STEPS = 10_000
"""The most steps: more change nothing that can be heard."""


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """A sampler and its settings; the defaults are the paper's."""

    kind: SamplerKind = "euler"
    """The sampler: euler, ddim, ddpm or dpm++."""

    steps: int = 150
    """The number of sampling steps, each of which calls the x0 function once."""

    temperature: float = 1.2
    """The temperature: sampling starts from N(0, 1 / temperature^2). Only at 1 do samples follow
    the learned distribution; higher values make them less varied, as the paper does with 1.2."""

    eta: float = 0.0
    """The share of new noise in a step of ddim, from 0 to 1."""

    time_difference: float = 0.0
    """The number of steps by which a step of ddim or ddpm goes beyond the time at which the x0
    function is called next: the asymmetric time intervals of Chen et al. 2022 (arXiv:2208.04202),
    in the units of its section 4."""

    spacing: Spacing = "time"
    """Whether the times of the steps are evenly spaced in time or in log-SNR."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(SamplerKind):
            kinds = ", ".join(get_args(SamplerKind))
            raise ValueError(f"there is no sampler {self.kind!r}; choose one of: {kinds}")
        if self.spacing not in get_args(Spacing):
            raise ValueError(f"there is no spacing {self.spacing!r}; choose time or log_snr")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.steps > MOST_STEPS:
            raise ValueError(f"steps must be at most {MOST_STEPS:,}, got {self.steps:,}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be finite and above 0, got {self.temperature}")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie within 0 and 1, got {self.eta}")
        if self.eta and self.kind != "ddim":
            raise ValueError(f"eta is for ddim; leave it out for {self.kind}")
        if self.time_difference < 0:
            raise ValueError(f"time_difference must be at least 0, got {self.time_difference}")
        if self.time_difference and self.kind not in ("ddim", "ddpm"):
            raise ValueError(f"time_difference is for ddim and ddpm; leave it out for {self.kind}")

    @property
    def random(self) -> bool:
        """Whether steps draw noise, beside the start."""
        return self.kind == "ddpm" or self.eta > 0


FAST_SAMPLER = SamplerConfig(kind="dpm++", steps=20)
"""What speaks the samples of a training, unless a run's settings name another one."""
SPEAKING_SAMPLER = SamplerConfig(kind="dpm++", steps=4, spacing="log_snr")
"""What speaks unless another sampler is named: the fewest steps that lose nothing measurable."""
