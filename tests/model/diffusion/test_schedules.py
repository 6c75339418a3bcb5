"""Schedules against closed forms of 50 digits, numerical derivatives and integrals."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from torch import Tensor

from ns2.model.diffusion.schedules import Schedule, ScheduleConfig

CONFIGS: list[dict[str, Any]] = [
    {"kind": "vp"},
    {"kind": "vp", "beta_min": 0.1, "beta_max": 12.0, "scale": 0.5},
    {"kind": "linear"},
    {"kind": "linear", "scale": 0.3},
    {"kind": "cosine"},
    {"kind": "cosine", "start": 0.2, "end": 0.9, "tau": 2.0},
    {"kind": "cosine", "scale": 0.5},
    {"kind": "sigmoid"},
    {"kind": "sigmoid", "start": 0.0, "end": 3.0, "tau": 0.7, "scale": 2.0},
]
every = pytest.mark.parametrize("options", CONFIGS, ids=str)


def published_gamma(t: mpf, options: dict[str, Any]) -> mpf:
    """Song et al. 2021, equation 33, squared; Chen 2023, algorithm 1, without its clip."""
    kind = options["kind"]
    if kind == "vp":
        low, high = mpf(options.get("beta_min", 0.05)), mpf(options.get("beta_max", 20.0))
        return mpmath.exp(-(t**2) / 4 * (high - low) - t / 2 * low) ** 2
    if kind == "linear":
        return 1 - t
    start = mpf(options.get("start", 0 if kind == "cosine" else -3))
    end = mpf(options.get("end", 1 if kind == "cosine" else 3))
    tau = mpf(options.get("tau", 1))

    def value(x: mpf) -> mpf:
        if kind == "cosine":
            return mpmath.cos(x * mp.pi / 2) ** (2 * tau)
        return 1 / (1 + mpmath.exp(-x / tau))

    at_start, at_end = value(start), value(end)
    return (at_end - value(t * (end - start) + start)) / (at_end - at_start)


def times(dtype: torch.dtype = torch.float64) -> Tensor:
    """Of all the range, crowded at both ends."""
    ends = torch.logspace(-3, -1, 20, dtype=torch.float64)
    t = torch.cat([ends, torch.linspace(0.15, 0.85, 15, dtype=torch.float64), 1 - ends.flip(0)])
    return t.clamp(max=0.999).to(dtype)


@every
@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 1e-9), (torch.float32, 1e-6)], ids=["float64", "float32"]
)
def test_levels_are_those_of_the_papers(
    options: dict[str, Any], dtype: torch.dtype, close: float
) -> None:
    t = times(dtype)
    levels = Schedule(ScheduleConfig(**options)).at(t)
    scale = mpf(options.get("scale", 1))
    with mp.workdps(50):
        gammas = [published_gamma(mpf(float(value)), options) for value in t]
        wanted = {
            "alpha": [scale * mpmath.sqrt(g) for g in gammas],
            "sigma": [mpmath.sqrt(1 - g) for g in gammas],
            "log_snr": [mpmath.log(scale**2 * g / (1 - g)) for g in gammas],
        }
    for name, values in wanted.items():
        found = getattr(levels, name)
        assert found.dtype == dtype
        expected = np.array([float(value) for value in values])
        absolute = close if name == "log_snr" else 0.0  # it passes through 0
        np.testing.assert_allclose(found.double().numpy(), expected, rtol=close, atol=absolute)


@every
def test_powers_add_up_to_one_or_what_the_scale_makes_of_it(options: dict[str, Any]) -> None:
    schedule = Schedule(ScheduleConfig(**options))
    alpha, sigma, *_ = schedule.at(times())
    scale = options.get("scale", 1.0)
    gamma = (alpha / scale).square()
    total = alpha.square() + sigma.square()
    assert torch.allclose(total, scale**2 * gamma + 1 - gamma, rtol=0, atol=1e-12)
    if scale == 1:
        assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12)
    begin = schedule.at(torch.zeros(1, dtype=torch.float64))
    assert abs(float(begin.alpha) - scale) < 1e-12
    assert float(begin.sigma) < 1e-7
    assert (alpha.diff() < 0).all() and (sigma.diff() > 0).all()


@every
def test_drift_and_diffusion_are_the_derivatives(options: dict[str, Any]) -> None:
    schedule, t, step = Schedule(ScheduleConfig(**options)), times(), 1e-7
    left, middle, right = schedule.at(t - step), schedule.at(t), schedule.at(t + step)
    slope = (right.alpha.log() - left.alpha.log()) / (2 * step)
    assert torch.allclose(middle.drift, slope, rtol=1e-5, atol=1e-6)
    growth = (right.sigma.square() - left.sigma.square()) / (2 * step)
    diffusion = growth - 2 * middle.drift * middle.sigma.square()
    assert torch.allclose(middle.diffusion, diffusion, rtol=1e-5, atol=1e-6)


@every
def test_the_forward_process_leads_there(options: dict[str, Any]) -> None:
    """Mean and variance of dx = drift x dt + g dw, integrated numerically from time 0."""
    schedule = Schedule(ScheduleConfig(**options))
    nodes, weights = np.polynomial.legendre.leggauss(64)
    for end in (0.001, 0.1, 0.5, 0.9):
        t = torch.tensor((nodes + 1) / 2 * end)
        integral = float((schedule.at(t).drift * torch.tensor(weights)).sum()) * end / 2
        levels = schedule.at(torch.tensor(end, dtype=torch.float64))
        mean = options.get("scale", 1.0) * np.exp(integral)
        assert abs(mean - float(levels.alpha)) < 1e-9
        # the variance obeys V' = g^2 (1 - V), the solution of which begins at 0
        assert abs(-np.expm1(2 * integral) - float(levels.sigma) ** 2) < 1e-9


@every
def test_times_of_log_snrs(options: dict[str, Any]) -> None:
    schedule, t = Schedule(ScheduleConfig(**options)), times()
    assert torch.allclose(schedule.time_at(schedule.at(t).log_snr), t, rtol=1e-9, atol=0)
    beyond = schedule.time_at(torch.tensor([-100.0, 100.0], dtype=torch.float64))
    assert torch.allclose(beyond, torch.tensor([0.999, 0.001], dtype=torch.float64))


def test_times_of_training_are_even_within_the_limits() -> None:
    schedule = Schedule(ScheduleConfig(t_min=0.2, t_max=0.6))
    made = schedule.times(torch.tensor([0.0, 0.25, 1.0]))
    assert torch.allclose(made, torch.tensor([0.2, 0.3, 0.6]))


@pytest.mark.parametrize("kind", ["vp", "linear", "cosine", "sigmoid"])
def test_it_compiles_in_one_graph(kind: Any) -> None:
    schedule = Schedule(ScheduleConfig(kind=kind, scale=0.5))
    compiled = torch.compile(schedule.at, fullgraph=True, backend="aot_eager")
    t = times(torch.float32)
    for found, wanted in zip(compiled(t), schedule.at(t), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "square"}, "choose one of: vp"),
        ({"beta_min": 3.0, "beta_max": 2.0}, "beta_min"),
        ({"beta_min": 0.0, "beta_max": 0.0}, "beta_max"),
        ({"scale": 0.0}, "scale"),
        ({"t_min": 0.0}, "t_min"),
        ({"t_min": 0.7, "t_max": 0.6}, "t_max"),
        ({"kind": "linear", "t_max": 1.0}, "below 1"),
        ({"kind": "vp", "tau": 1.0}, "leave them out"),
        ({"kind": "sigmoid", "start": 3.0, "end": -3.0}, "start < end"),
        ({"kind": "sigmoid", "tau": 0.0}, "tau > 0"),
        ({"kind": "cosine", "end": 1.5}, "within 0 and 1"),
    ],
)
def test_what_makes_no_schedule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScheduleConfig(**options)
