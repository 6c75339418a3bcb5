"""Noise schedules, which give the amounts of data and noise at a time between 0 and 1.

x_t = alpha(t) x0 + sigma(t) eps, with data at time 0 and noise at time 1. A schedule is a falling
function gamma(t) from 1 to about 0: alpha = scale sqrt(gamma), sigma = sqrt(1 - gamma). With
g^2 = -d log gamma / dt, each schedule is the forward process

    dx = -1/2 g^2(t) x dt + g(t) dw,    x at time 0 is scale x0

of Song et al. 2021 (arXiv:2011.13456), whatever the scale, so the same samplers serve all.

- vp: g^2 is linear in t, as in the paper.
- linear, cosine, sigmoid: the gammas of Chen 2023 (arXiv:2301.10972), and its scale of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

ScheduleKind = Literal["vp", "linear", "cosine", "sigmoid"]
_SHAPES = {"cosine": (0.0, 1.0, 1.0), "sigmoid": (-3.0, 3.0, 1.0)}
"""The default start, end and tau of schedules that have them."""
_HALVINGS = 60
"""The bisections that reduce an interval of length 1 to the precision of float64."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """A noise schedule, and the range of times in which it is used."""

    kind: ScheduleKind = "vp"
    """The kind of schedule: vp, linear, cosine or sigmoid."""

    beta_min: float = 0.05
    """g^2 at time 0; for vp only."""

    beta_max: float = 20.0
    """g^2 at time 1; for vp only."""

    scale: float = 1.0
    """The factor of the data. A value below 1 makes every time noisier, as if shifted; then
    alpha^2 + sigma^2 = 1 - gamma + scale^2 gamma, which is 1 for scale 1."""

    start: float | None = None
    """Where the cosine (0 to 1, a quarter turn) or the sigmoid begins; None means 0 for a cosine
    and -3 for a sigmoid."""

    end: float | None = None
    """Where the cosine or the sigmoid ends; None means 1 for a cosine and 3 for a sigmoid."""

    tau: float | None = None
    """The exponent of the squared cosine, or the temperature of the sigmoid; None means 1."""

    t_min: float = 1e-3
    """The earliest time in training, and the last at which a sampler asks for x0. Before it
    there is too little noise to divide by."""

    t_max: float = 0.999
    """The latest time in training, and where sampling begins. All schedules but vp have no data
    left at time 1; gamma itself is never clamped."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            kinds = ", ".join(get_args(ScheduleKind))
            raise ValueError(f"there is no schedule {self.kind!r}; choose one of: {kinds}")
        if not 0 <= self.beta_min <= self.beta_max or self.beta_max == 0:
            raise ValueError(
                "beta_min must lie between 0 and beta_max, and beta_max above 0; "
                f"got {self.beta_min} and {self.beta_max}"
            )
        if not 0 < self.scale < math.inf:
            raise ValueError(
                f"scale must be above 0, got {self.scale}; 1 leaves the data unchanged"
            )
        if not 0 < self.t_min < self.t_max <= 1:
            raise ValueError(f"expected 0 < t_min < t_max <= 1, got {self.t_min} and {self.t_max}")
        if self.t_max == 1 and self.kind != "vp":
            raise ValueError(
                f"no data is left at time 1 of the {self.kind} schedule; "
                "choose t_max below 1, such as 0.999"
            )
        self._check_shape()

    def _check_shape(self) -> None:
        """Raise ValueError if start, end or tau do not fit the kind of schedule."""
        if self.kind not in _SHAPES:
            if (self.start, self.end, self.tau) != (None, None, None):
                raise ValueError(
                    "start, end and tau are for the cosine and sigmoid schedules; "
                    f"leave them out for {self.kind}"
                )
            return
        start, end, tau = self.shape
        if not (start < end and tau > 0):
            raise ValueError(f"expected start < end and tau > 0, got {start}, {end} and {tau}")
        if self.kind == "cosine" and not 0 <= start < end <= 1:
            raise ValueError(f"a cosine must start and end within 0 and 1, got {start} and {end}")

    @property
    def shape(self) -> tuple[float, float, float]:
        """Start, end and tau of a cosine or sigmoid, where not given the published ones."""
        given = (self.start, self.end, self.tau)
        start, end, tau = (
            default if value is None else value
            for value, default in zip(given, _SHAPES[self.kind], strict=True)
        )
        return start, end, tau


class Levels(NamedTuple):
    """A schedule's values at given times; each tensor has the shape and type of the times."""

    alpha: Tensor
    """The factor of the data."""

    sigma: Tensor
    """The factor of the noise."""

    log_snr: Tensor
    """log(alpha^2 / sigma^2)."""

    drift: Tensor
    """d log alpha / dt."""

    diffusion: Tensor
    """g^2, which is -2 drift."""


class Schedule:
    """A noise schedule as functions of time."""

    def __init__(self, config: ScheduleConfig) -> None:
        self.config = config

    def times(self, uniform: Tensor) -> Tensor:
        """Map numbers drawn from [0, 1) to times of training, evenly within t_min and t_max."""
        config = self.config
        return config.t_min + (config.t_max - config.t_min) * uniform

    def at(self, t: Tensor) -> Levels:
        """Return the levels at times of any shape and float type.

        Everything is computed in float64: times are few, so it costs nothing, and neither a small
        sigma nor a small alpha loses digits to a difference from 1.
        """
        gamma, rest, diffusion = self._gamma(t.double())
        levels = (
            self.config.scale * gamma.sqrt(),
            rest.sqrt(),
            gamma.log() - rest.log() + 2 * math.log(self.config.scale),
            -diffusion / 2,
            diffusion,
        )
        return Levels(*(value.to(t.dtype) for value in levels))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the times at which log-SNRs are reached, by bisection, within t_min and t_max."""
        low = torch.full_like(log_snr, self.config.t_min, dtype=torch.float64)
        high = torch.full_like(log_snr, self.config.t_max, dtype=torch.float64)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            noisier = self.at(middle).log_snr < log_snr
            low, high = low.where(noisier, middle), high.where(~noisier, middle)
        return ((low + high) / 2).to(log_snr.dtype)

    def _gamma(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gamma, 1 - gamma and -d log gamma / dt."""
        config = self.config
        if config.kind == "vp":
            slope = config.beta_max - config.beta_min
            total = t * (config.beta_min + slope / 2 * t)
            return (-total).exp(), -torch.expm1(-total), config.beta_min + slope * t
        if config.kind == "linear":
            return 1 - t, t, 1 / (1 - t)
        start, end, tau = config.shape
        if config.kind == "cosine":
            angle = math.pi / 2 * (start + (end - start) * t)
            first, last = (math.cos(math.pi / 2 * x) ** (2 * tau) for x in (start, end))
            value = angle.cos().pow(2 * tau)
            slopes = math.pi * tau * (end - start) * angle.cos().pow(2 * tau - 1) * angle.sin()
        else:
            first, last = (1 / (1 + math.exp(x / tau)) for x in (start, end))
            value = torch.sigmoid(-(start + (end - start) * t) / tau)
            slopes = value * (1 - value) * (end - start) / tau
        return (
            (value - last) / (first - last),
            (first - value) / (first - last),
            slopes / (value - last),
        )
