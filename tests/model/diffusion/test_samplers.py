"""Samplers with denoisers that are known exactly: one datum, some points, a mixture of Gaussians.

Letters for shapes: N samples (as the batch), D width, K components.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.diffusion.samplers import sample
from ns2.model.diffusion.schedules import Schedule, ScheduleConfig

SCHEDULES = [
    Schedule(ScheduleConfig(kind=kind, scale=scale))
    for kind, scale in itertools.product(("vp", "linear", "cosine", "sigmoid"), (1.0, 0.5))
]
SAMPLERS: list[dict[str, Any]] = [
    {"kind": "euler"},
    {"kind": "ddim"},
    {"kind": "ddim", "eta": 0.5},
    {"kind": "ddpm"},
    {"kind": "dpm++"},
]
on_every_schedule = pytest.mark.parametrize(
    "schedule", SCHEDULES, ids=lambda s: f"{s.config.kind}-{s.config.scale}"
)
on_most_schedules = pytest.mark.parametrize(  # for what takes long: one scale below 1 will do
    "schedule",
    [s for s in SCHEDULES if s.config.scale == 1 or s.config.kind == "vp"],
    ids=lambda s: f"{s.config.kind}-{s.config.scale}",
)
every_sampler = pytest.mark.parametrize("options", SAMPLERS, ids=str)


class Noise:
    """Standard normal, of one stream."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self._shape, self._generator = shape, torch.Generator().manual_seed(seed)
        self.asked: list[int] = []

    def __call__(self, step: int) -> Tensor:
        self.asked.append(step)
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float64)


def white(count: int, width: int, seed: int = 0) -> Tensor:
    """Noise (N, D, 1) whose mean and covariance are exactly 0 and 1."""
    x = Noise((count, width), seed)(0)
    x = x - x.mean(0)
    root = torch.linalg.cholesky(x.T @ x / count)
    return torch.linalg.solve_triangular(root, x.T, upper=False).T[:, :, None]


class Mixture:
    """Gaussians, and the mean of the data given what the noise made of them."""

    def __init__(self, schedule: Schedule, weights: Tensor, means: Tensor, spreads: Tensor) -> None:
        """Weights (K,), means (K, D), covariances (K, D, D)."""
        self.schedule, self.weights, self.means, self.spreads = schedule, weights, means, spreads
        self.along, self.axes = torch.linalg.eigh(spreads)

    @property
    def mean(self) -> Tensor:
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        off = self.means - self.mean
        within = self.spreads + off[:, :, None] * off[:, None, :]
        return (self.weights[:, None, None] * within).sum(0)

    def x0(self, x: Tensor, t: Tensor, previous: Tensor | None = None) -> Tensor:
        """E[x0 | x_t] (N, D, 1), all at one time, which is as in the first of t (N,)."""
        assert (t == t[0]).all()
        alpha, sigma = (level[0] for level in self.schedule.at(t)[:2])
        # along the axes of each ellipse, where covariances are diagonal
        variance = alpha**2 * self.along + sigma**2  # (K, D)
        off = torch.einsum("nkd,kde->nke", x[:, None, :, 0] - alpha * self.means, self.axes)
        shares = self.weights.log() - (variance.log() + off.square() / variance).sum(2) / 2
        inner = torch.einsum("nke,kde->nkd", alpha * self.along / variance * off, self.axes)
        return (shares.softmax(1)[:, :, None] * (self.means + inner)).sum(1)[:, :, None]

    def slope(self, x: Tensor, t: Tensor) -> Tensor:
        """dx/dt of the probability-flow ODE."""
        level = self.schedule.at(t)
        alpha, sigma, _, drift, diffusion = (value[0] for value in level)
        score = (alpha * self.x0(x, t) - x) / sigma**2
        return drift * x - diffusion / 2 * score


def mixture(schedule: Schedule) -> Mixture:
    """Three ellipses in a plane; mean and variance are not those of the noise."""
    return Mixture(
        schedule,
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        torch.tensor([[-1.0, 0.0], [1.0, 0.6], [0.5, -1.2]], dtype=torch.float64),
        torch.tensor(
            [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]], [[0.3, -0.1], [-0.1, 0.1]]],
            dtype=torch.float64,
        ),
    )


class Oracle:
    """The true x0, whatever it is shown; notes what it was shown."""

    def __init__(self, truth: Tensor) -> None:
        self.truth = truth
        self.shown: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def __call__(self, x: Tensor, t: Tensor, previous: Tensor | None) -> Tensor:
        assert not torch.is_grad_enabled()
        self.shown.append((x, t, previous))
        return self.truth


@on_every_schedule
@pytest.mark.parametrize("spacing", ["time", "log_snr"])
@every_sampler
def test_with_an_oracle_x_is_at_each_time_what_noise_makes_of_the_data(
    schedule: Schedule, spacing: Any, options: dict[str, Any]
) -> None:
    """The known x0 is reached along x_t = alpha x0 + sigma eps, with an eps of variance 1."""
    truth, start = 3 * Noise((2, 3, 500), 1)(0), Noise((2, 3, 500), 2)(0)
    oracle = Oracle(truth)
    exact = options["kind"] != "euler"
    config = SamplerConfig(steps=25 if exact else 1500, temperature=1.0, spacing=spacing, **options)
    made = sample(oracle, start, schedule, config, Noise((2, 3, 500)))
    assert torch.equal(made, truth)
    assert len(oracle.shown) == config.steps
    for i, (x, t, _) in enumerate(oracle.shown):
        assert t.shape == (2,) and t.dtype == x.dtype
        alpha, sigma = (level[0] for level in schedule.at(t)[:2])
        if i == 0:
            assert abs(float(t[0]) - schedule.config.t_max) < 1e-9
            first = (x - alpha * truth) / sigma
            assert torch.equal(x, start)
        eps = (x - alpha * truth) / sigma
        if not exact:
            assert (x - alpha * truth - sigma * first).abs().max() < 0.07
        elif options["kind"] == "ddpm" or "eta" in options:
            assert abs(float(eps.square().mean()) - 1) < 0.1
        else:
            assert torch.allclose(eps, first, atol=1e-6)
    assert abs(float(t[0]) - schedule.config.t_min) < 1e-9


@on_every_schedule
@every_sampler
def test_samples_land_on_the_data(schedule: Schedule, options: dict[str, Any]) -> None:
    """Of four points, one a sample, each as often as it should be."""
    points = torch.tensor([[-1.5, 0.0], [0.0, 1.5], [1.5, 0.0], [0.0, -1.5]], dtype=torch.float64)
    truth = Mixture(
        schedule,
        torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64),
        points,
        1e-12 * torch.eye(2, dtype=torch.float64).expand(4, 2, 2),
    )
    count = 2000
    config = SamplerConfig(steps=40, temperature=1.0, spacing="log_snr", **options)
    made = sample(truth.x0, white(count, 2), schedule, config, Noise((count, 2, 1)))[:, :, 0]
    distance, nearest = torch.cdist(made, points).min(1)
    assert (distance < 1e-3).double().mean() > 0.995
    shares = torch.bincount(nearest, minlength=4) / count
    assert (shares - truth.weights).abs().max() < 0.05


@on_most_schedules
@every_sampler
def test_samples_have_the_mean_and_covariance_of_the_data(
    schedule: Schedule, options: dict[str, Any]
) -> None:
    truth, count = mixture(schedule), 2000
    steps = {"euler": 80, "dpm++": 40}.get(options["kind"], 200)
    config = SamplerConfig(steps=steps, temperature=1.0, spacing="log_snr", **options)
    made = sample(truth.x0, white(count, 2), schedule, config, Noise((count, 2, 1)))[:, :, 0]
    assert (made.mean(0) - truth.mean).abs().max() < 0.07
    assert (torch.cov(made.T) - truth.covariance).abs().max() < 0.07


@pytest.mark.parametrize(
    ("kind", "spacing", "order"),
    [("euler", "time", 1), ("ddim", "log_snr", 1), ("dpm++", "log_snr", 2)],
)
@on_most_schedules
def test_the_error_falls_at_the_order_of_the_method(
    schedule: Schedule, kind: Any, spacing: Any, order: int
) -> None:
    """Against the same ODE by a Runge-Kutta method of fourth order.

    dpm++ works in log-SNR. With times even in time its first and last moves are long there, and
    its order shows only when its error has long gone.
    """
    truth, start = mixture(schedule), white(40, 2, seed=3)
    exact = runge_kutta(schedule)
    errors = []
    for moves in (40, 80, 160):
        config = SamplerConfig(kind=kind, steps=moves + 1, temperature=1.0, spacing=spacing)
        made = sample(truth.x0, start, schedule, config)
        errors.append(float((made - exact).square().mean().sqrt()))
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert abs(slopes[-1] - order) < 0.2, (errors, slopes)
    assert errors[-1] < (0.001 if order == 2 else 0.04)


@functools.cache
def runge_kutta(schedule: Schedule, moves: int = 250) -> Tensor:
    """x0 at t_min, on a grid even in log-SNR; the ODE itself is in time."""
    truth, x = mixture(schedule), white(40, 2, seed=3)
    ends = torch.tensor([schedule.config.t_max, schedule.config.t_min], dtype=torch.float64)
    first, last = schedule.at(ends).log_snr
    grid = schedule.time_at(torch.linspace(float(first), float(last), moves + 1).double())
    grid[0], grid[-1] = ends
    for now, then in itertools.pairwise(grid[:, None]):
        h = then - now
        a = truth.slope(x, now)
        b = truth.slope(x + h / 2 * a, now + h / 2)
        c = truth.slope(x + h / 2 * b, now + h / 2)
        d = truth.slope(x + h * c, then)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return truth.x0(x, grid[-1:])


@on_most_schedules
def test_temperature_narrows_a_gaussian_by_its_closed_form(schedule: Schedule) -> None:
    """Where all is Gaussian, the ODE carries x along by the ratio of deviations, exactly."""
    mean, spread, temperature = torch.tensor([0.7, -0.4]).double(), 0.6, 1.2
    truth = Mixture(
        schedule,
        torch.ones(1, dtype=torch.float64),
        mean[None],
        spread**2 * torch.eye(2, dtype=torch.float64)[None],
    )
    start = white(200, 2)
    ends = torch.tensor([schedule.config.t_max, schedule.config.t_min], dtype=torch.float64)
    alpha, sigma, *_ = schedule.at(ends)
    deviation = (alpha**2 * spread**2 + sigma**2).sqrt()
    off = start / temperature - alpha[0] * mean[:, None]
    x = alpha[1] * mean[:, None] + deviation[1] / deviation[0] * off
    wanted = truth.x0(x, ends[1:])
    narrowed = wanted.std(0) / (spread / temperature)
    assert (narrowed - 1).abs().max() < 0.01
    for kind, steps in (("euler", 400), ("ddim", 400), ("dpm++", 60)):
        config = SamplerConfig(kind=kind, steps=steps, temperature=temperature, spacing="log_snr")  # type: ignore[arg-type]
        made = sample(truth.x0, start, schedule, config)
        assert (made - wanted).abs().max() < 0.03, kind


@pytest.mark.parametrize("spacing", ["time", "log_snr"])
@pytest.mark.parametrize("difference", [0.0, 0.5, 2.0])
@on_every_schedule
def test_time_difference_lets_a_move_go_further_than_the_time_told_next(
    schedule: Schedule, difference: float, spacing: Any
) -> None:
    """Each move of ddim, by hand: levels of the time that it starts from, as told, and of the one
    it goes to, which is further than what is told next."""
    steps = 9
    truth, start = 3 * Noise((1, 4, 50), 1)(0), Noise((1, 4, 50), 2)(0)
    oracle = Oracle(truth)
    config = SamplerConfig(
        kind="ddim", steps=steps, temperature=1.0, spacing=spacing, time_difference=difference
    )
    sample(oracle, start, schedule, config)
    told = torch.stack([t[0] for _, t, _ in oracle.shown])
    even = told if spacing == "time" else schedule.at(told).log_snr
    assert torch.allclose(even.diff(), even.diff()[:1])
    for i, ((x, t, _), (moved, _, _)) in enumerate(itertools.pairwise(oracle.shown)):
        place = even[0] + even.diff()[0] * min(i + 1 + difference, steps - 1)
        reached = place if spacing == "time" else schedule.time_at(place)
        alpha, sigma = (level[0] for level in schedule.at(t)[:2])
        alpha_then, sigma_then = schedule.at(reached)[:2]
        wanted = alpha_then * truth + sigma_then * (x - alpha * truth) / sigma
        assert torch.allclose(moved, wanted, atol=1e-6)


@every_sampler
def test_the_last_estimate_is_passed_on(options: dict[str, Any]) -> None:
    shown: list[tuple[Tensor, Tensor | None]] = []

    def guess(x: Tensor, t: Tensor, previous: Tensor | None) -> Tensor:
        shown.append((x.tanh(), previous))
        return x.tanh()

    config = SamplerConfig(steps=5, **options)
    made = sample(guess, Noise((2, 3, 4))(0), SCHEDULES[0], config, Noise((2, 3, 4)))
    assert shown[0][1] is None
    for (estimate, _), (_, previous) in itertools.pairwise(shown):
        assert previous is not None and torch.equal(estimate, previous)
    assert torch.equal(made, shown[-1][0])


@every_sampler
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_and_float32(options: dict[str, Any], steps: int) -> None:
    config, noise = SamplerConfig(steps=steps, **options), Noise((2, 3, 4))
    start = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    made = sample(
        lambda x, t, previous: x.tanh(), start, SCHEDULES[0], config, lambda i: noise(i).float()
    )
    assert made.dtype == torch.float32 and made.shape == (2, 3, 4)
    assert made.isfinite().all()
    assert noise.asked == (list(range(steps - 1)) if config.random else [])


def test_an_utterance_hears_only_its_own_noise() -> None:
    """The noise of the caller is used utterance by utterance: neighbours change nothing."""
    start, streams = (
        Noise((3, 2, 4))(0),
        [[Noise((2, 4), 9 * i + k)(0) for k in range(9)] for i in range(3)],
    )
    config = SamplerConfig(kind="ddpm", steps=9)

    def made(rows: list[int]) -> Tensor:
        return sample(
            lambda x, t, previous: x.tanh(), start[rows], SCHEDULES[0], config,
            lambda step: torch.stack([streams[row][step] for row in rows]),
        )  # fmt: skip

    together = made([0, 1, 2])
    for row in range(3):
        assert torch.allclose(made([row])[0], together[row], atol=1e-12)
    assert torch.allclose(made([2, 0]), together[[2, 0]], atol=1e-12)


def test_ddim_with_eta_1_is_ddpm() -> None:
    truth, start = mixture(SCHEDULES[1]), white(10, 2)
    made = [
        sample(truth.x0, start, SCHEDULES[1], SamplerConfig(steps=20, **options), Noise((10, 2, 1)))
        for options in ({"kind": "ddpm"}, {"kind": "ddim", "eta": 1.0}, {"kind": "ddim"})
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2], atol=0.1)


@on_every_schedule
def test_a_step_of_ddpm_is_a_draw_from_the_posterior(schedule: Schedule) -> None:
    """q(x_s | x_t, x0) of two Gaussian steps, by Bayes' rule: mean and variance of many draws."""
    truth = torch.full((1, 1, 40_000), 1.3, dtype=torch.float64)
    start = torch.full_like(truth, 0.8)
    oracle = Oracle(truth)
    config = SamplerConfig(kind="ddpm", steps=6, temperature=1.0)
    sample(oracle, start, schedule, config, Noise((1, 1, 40_000)))
    (_, t, _), (x_s, s, _) = oracle.shown[:2]
    a_t, s_t = (float(level[0]) for level in schedule.at(t)[:2])
    a_s, s_s = (float(level[0]) for level in schedule.at(s)[:2])
    ratio = a_t / a_s  # x_t given x_s is N(ratio x_s, s_t^2 - ratio^2 s_s^2)
    step = s_t**2 - ratio**2 * s_s**2
    precision = 1 / s_s**2 + ratio**2 / step
    mean = (a_s * 1.3 / s_s**2 + ratio * 0.8 / step) / precision
    assert abs(float(x_s.mean()) - mean) < 0.02
    assert abs(float(x_s.var()) * precision - 1) < 0.03


def test_noise_has_to_come_from_somewhere() -> None:
    start = torch.zeros(1, 2, 3)
    for options in ({"kind": "ddpm"}, {"kind": "ddim", "eta": 0.1}):
        with pytest.raises(ValueError, match="give a function"):
            sample(lambda x, t, p: x, start, SCHEDULES[0], SamplerConfig(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "heun"}, "choose one of: euler"),
        ({"steps": 0}, "steps"),
        ({"temperature": 0.0}, "temperature"),
        ({"kind": "ddim", "eta": 1.5}, "within 0 and 1"),
        ({"kind": "euler", "eta": 0.5}, "eta is for ddim"),
        ({"kind": "ddim", "time_difference": -1.0}, "at least 0"),
        ({"kind": "dpm++", "time_difference": 1.0}, "for ddim and ddpm"),
        ({"spacing": "even"}, "time or log_snr"),
    ],
)
def test_what_makes_no_sampler(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplerConfig(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "heun"}, "there is no sampler 'heun'"),
        ({"spacing": "even"}, "there is no spacing 'even'"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 100_000_000}, "steps must be at most 10,000"),
        ({"temperature": 0.0}, "temperature must be finite and above 0"),
        ({"temperature": math.inf}, "temperature must be finite and above 0"),
        ({"eta": 0.5}, "eta is for ddim"),
        ({"kind": "ddim", "eta": 1.5}, "eta must lie within 0 and 1"),
        ({"time_difference": 0.5}, "time_difference is for ddim and ddpm"),
    ],
)
def test_settings_that_make_no_sampler(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplerConfig(**options)
