"""Samplers, which turn noise into latents along a schedule, given a function that estimates x0.

The function is called `steps` times, at times from t_max down to t_min, and its last result is the
sample. In between x moves to the next time by one of

- euler: Euler's method in time on the probability-flow ODE (Song et al. 2021, arXiv:2011.13456),
  as in the paper;
- ddim: Song et al. 2020 (arXiv:2010.02502); eta 0 is deterministic, eta 1 is ddpm;
- ddpm: draws from the posterior of the next x given the current x and x0 (Ho et al. 2020,
  arXiv:2006.11239);
- dpm++: DPM-Solver++ 2M (Lu et al. 2022, arXiv:2211.01095), second order with one call per step.
  Its last step is of first order, since the log-SNR jumps there and extrapolation would overshoot.

Letters for shapes: B batch, D latent width, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.diffusion.schedules import Schedule

X0Function = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Estimates x0 (B, D, T) of x_t (B, D, T), t (B,) and the previous x0 (None in the first step)."""


@torch.no_grad()
def sample(
    x0_function: X0Function,
    start: Tensor,
    schedule: Schedule,
    config: SamplerConfig,
    noise: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """Generate latents from noise.

    Args:
        x0_function: estimates the clean latents, see `X0Function`.
        start: (B, D, T) noise of variance 1.
        schedule: the noise schedule of the model.
        config: the sampler and its settings.
        noise: returns noise (B, D, T) of variance 1 for a step, 0 to steps - 2; random samplers
            call it once per step, in order. The caller draws it, so that an utterance's noise need
            not depend on the rest of the batch.

    Returns:
        (B, D, T) latents.

    Raises:
        ValueError: the sampler needs noise, but `noise` is None.
    """
    if config.random and noise is None:
        raise ValueError(f"{config.kind} draws noise in each step: give a function `noise`")
    eta = 1.0 if config.kind == "ddpm" else config.eta
    last = config.steps - 1
    steps = torch.arange(config.steps, dtype=torch.float64)
    points = _points(schedule, config, steps)
    # The target time of a step is not the next point where there is a time difference.
    nexts = _points(schedule, config, (steps + 1 + config.time_difference).clamp(max=last))
    x, previous = start / config.temperature, None
    for step, now in enumerate(points):
        x0 = x0_function(x, x.new_full(x.shape[:1], now.t), previous)
        if step == last:
            break
        then = nexts[step]
        if config.kind == "euler":
            x = _euler(x, x0, now, then)
        elif config.kind == "dpm++":
            before = points[step - 1] if step < last - 1 else None
            x = _multistep(x, x0, now, then, previous, before)
        else:
            x = _ddim(x, x0, now, then, eta)
            if noise is not None and eta > 0:
                x = x + eta * _posterior_deviation(now, then) * noise(step)
        previous = x0
    return x0


@dataclass(frozen=True)
class Point:
    """A time of the sampler and its levels, as plain numbers, so that no step waits for a GPU."""

    t: float
    alpha: float
    sigma: float
    log_snr: float
    diffusion: float


def sampler_points(schedule: Schedule, config: SamplerConfig) -> list[Point]:
    """Return the points at which a sampler calls its function, in order."""
    return _points(schedule, config, torch.arange(config.steps, dtype=torch.float64))


def _points(schedule: Schedule, config: SamplerConfig, steps: Tensor) -> list[Point]:
    """Return the points of steps, which may be fractions; step 0 is t_max, the last t_min."""
    shares = steps / max(config.steps - 1, 1)
    ends = torch.tensor([schedule.config.t_max, schedule.config.t_min], dtype=torch.float64)
    if config.spacing == "time":
        times = torch.lerp(ends[0], ends[1], shares)
    else:
        log_snr = schedule.at(ends).log_snr
        times = schedule.time_at(torch.lerp(log_snr[0], log_snr[1], shares))
    levels = schedule.at(times)
    columns = (times, levels.alpha, levels.sigma, levels.log_snr, levels.diffusion)
    return [Point(*row) for row in torch.stack(columns, 1).tolist()]


def _euler(x: Tensor, x0: Tensor, now: Point, then: Point) -> Tensor:
    """Take a step of Euler's method on the probability-flow ODE."""
    score = (now.alpha * x0 - x) / now.sigma**2
    return x - (then.t - now.t) * now.diffusion / 2 * (x + score)


def _new_share(now: Point, then: Point) -> float:
    """Return the share of the variance at `then` that is new noise, given x at `now` and x0."""
    return -math.expm1(now.log_snr - then.log_snr)


def _posterior_deviation(now: Point, then: Point) -> float:
    """Return the standard deviation of x at `then`, given x at `now` and x0."""
    return then.sigma * math.sqrt(_new_share(now, then))


def _ddim(x: Tensor, x0: Tensor, now: Point, then: Point, eta: float) -> Tensor:
    """Return the next x without its new noise, for which the old noise is reduced."""
    eps = (x - now.alpha * x0) / now.sigma
    return then.alpha * x0 + then.sigma * math.sqrt(1 - eta**2 * _new_share(now, then)) * eps


def _multistep(
    x: Tensor, x0: Tensor, now: Point, then: Point, previous: Tensor | None, before: Point | None
) -> Tensor:
    """Take a step of DPM-Solver++ 2M: x0 halfway in log-SNR, extrapolated from the one before."""
    h = (then.log_snr - now.log_snr) / 2
    if previous is not None and before is not None:
        ratio = h / (now.log_snr - before.log_snr)  # half of this step over the step before
        x0 = x0 + ratio * (x0 - previous)
    return then.sigma / now.sigma * x - then.alpha * math.expm1(-h) * x0
