"""x0, eps and v against their definitions; weights against errors that autograd measures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ns2.model.diffusion.objectives import (
    OBJECTIVES,
    Objective,
    broadcastable,
    min_snr_weight,
    noised,
    score_weight,
    target,
    to_eps,
    to_v,
    to_x0,
)
from ns2.model.diffusion.schedules import Schedule, ScheduleConfig

TO: dict[Objective, Callable[..., Tensor]] = {"x0": to_x0, "eps": to_eps, "v": to_v}
KINDS: list[Any] = ["vp", "linear", "cosine", "sigmoid"]
SCALES = [1.0, 0.5, 0.1, 2.0]


def levels(kind: Any, scale: float, dtype: torch.dtype, count: int = 41) -> tuple[Tensor, Tensor]:
    """alpha and sigma (B,) of times over all the range that is used, both ends included."""
    schedule = Schedule(ScheduleConfig(kind=kind, scale=scale))
    at = schedule.at(schedule.times(torch.linspace(0, 1, count, dtype=torch.float64)))
    return at.alpha.to(dtype), at.sigma.to(dtype)


def noise(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("kind", "scale"), itertools.product(KINDS, SCALES))
def test_each_comes_out_of_each_other(kind: Any, scale: float) -> None:
    """From the definitions, not from one another: x0 and eps are known."""
    alpha, sigma = levels(kind, scale, torch.float64)
    x0, eps = noise(41, 3, 5, seed=0), noise(41, 3, 5, seed=1)
    a, s = alpha[:, None, None], sigma[:, None, None]
    x_t = noised(x0, eps, alpha, sigma)
    assert torch.equal(x_t, a * x0 + s * eps)
    true = {"x0": x0, "eps": eps, "v": a * eps - s * x0}
    for name, wanted in true.items():
        given: Any = name
        assert torch.equal(target(given, x0, eps, alpha, sigma), wanted)
        for other, convert in TO.items():
            found = convert(given, wanted, x_t, alpha, sigma)
            assert torch.allclose(found, true[other], rtol=0, atol=1e-9), (name, other)


@pytest.mark.parametrize(("kind", "scale"), itertools.product(KINDS, SCALES))
def test_conversions_invert_each_other(kind: Any, scale: float) -> None:
    """Of any x_t and any answer, however wrong; in float32 as far as its digits go.

    Where an error is more than 1e-5, the last digit of x_t over alpha or sigma is too.
    """
    for dtype in (torch.float64, torch.float32):
        alpha, sigma = levels(kind, scale, dtype)
        x_t, answer = noise(41, 4, 6, seed=2, dtype=dtype), noise(41, 4, 6, seed=3, dtype=dtype)
        for name, other in itertools.permutations(OBJECTIVES, 2):
            there = TO[other](name, answer, x_t, alpha, sigma)
            back = TO[name](other, there, x_t, alpha, sigma)
            error = (back - answer).abs()
            if dtype == torch.float64:
                assert error.max() < 1e-9, (name, other)
            size = x_t.abs() + answer.abs() + 1
            least = torch.minimum(alpha, sigma)[:, None, None].clamp(max=1)
            assert (error <= 3 * torch.finfo(dtype).eps * size / least).all(), (name, other)
            good = torch.minimum(alpha, sigma) > 0.1
            assert not good.any() or error[good].max() < 1e-5, (name, other)


def test_each_level_meets_its_own_utterance() -> None:
    """With as many utterances as frames and channels, a wrong broadcast has the right shape."""
    level, x = torch.tensor([1.0, 2.0, 3.0]), noise(3, 3, 3, seed=4)
    assert torch.equal(broadcastable(level, x) * x, torch.stack([(i + 1) * x[i] for i in range(3)]))
    sigma = torch.tensor([0.5, 0.2, 0.9])
    together = to_v("x0", x, 2 * x, level, sigma)
    for i in range(3):
        alone = to_v("x0", x[i : i + 1], 2 * x[i : i + 1], level[i : i + 1], sigma[i : i + 1])
        assert torch.equal(together[i : i + 1], alone)
    with pytest.raises(ValueError, match="one level for each of 3"):
        to_x0("v", x, x, torch.tensor([0.5]), torch.tensor([0.5]))
    with pytest.raises(ValueError, match="one level"):
        to_x0("v", x, x, torch.ones(3, 1, 1), sigma)


def test_min_snr_weights_are_those_of_the_paper() -> None:
    """By hand, for scale 1: Hang et al. 2023, section 3.4 and its Table of objectives."""
    snr = torch.tensor([0.01, 1.0, 4.0, 5.0, 6.0, 100.0], dtype=torch.float64)
    alpha, sigma = (snr / (snr + 1)).sqrt(), (1 / (snr + 1)).sqrt()
    expected = {
        "x0": [0.01, 1, 4, 5, 5, 5],
        "eps": [1, 1, 1, 1, 5 / 6, 5 / 100],
        "v": [0.01 / 1.01, 1 / 2, 4 / 5, 5 / 6, 5 / 7, 5 / 101],
    }
    for name, values in expected.items():
        objective: Any = name
        found = min_snr_weight(objective, alpha, sigma)
        assert found.shape == (6,)
        assert torch.allclose(found, torch.tensor(values, dtype=torch.float64)), name
    other = min_snr_weight("x0", alpha, sigma, gamma=2.0)
    assert torch.allclose(other, snr.clamp(max=2))


@pytest.mark.parametrize(("kind", "scale"), itertools.product(KINDS, SCALES))
def test_min_snr_is_the_same_loss_whatever_is_predicted(kind: Any, scale: float) -> None:
    """The weighted squared error is min(SNR, 5) times that of x0, also with a scale."""
    alpha, sigma = levels(kind, scale, torch.float64)
    x0, eps, guess = (noise(41, 3, 5, seed=seed) for seed in (5, 6, 7))
    x_t = noised(x0, eps, alpha, sigma)
    error = (guess - x0).square().mean((1, 2))
    wanted = (alpha / sigma).square().clamp(max=5) * error
    for name in OBJECTIVES:
        answer = TO[name]("x0", guess, x_t, alpha, sigma)
        loss = (answer - target(name, x0, eps, alpha, sigma)).square().mean((1, 2))
        found = min_snr_weight(name, alpha, sigma) * loss
        assert torch.allclose(found, wanted, rtol=1e-6), name


@pytest.mark.parametrize(("kind", "scale"), itertools.product(KINDS, SCALES))
def test_the_score_weight_makes_an_error_of_x0_that_of_the_score(kind: Any, scale: float) -> None:
    """The score is the gradient of the log-density of x_t given x0, by autograd."""
    alpha, sigma = levels(kind, scale, torch.float64)
    x0, guess = noise(41, 3, 5, seed=8), noise(41, 3, 5, seed=9)
    x_t = noised(x0, noise(41, 3, 5, seed=10), alpha, sigma).requires_grad_()

    def score(given: Tensor) -> Tensor:
        spread_out = torch.distributions.Normal(
            alpha[:, None, None] * given, sigma[:, None, None].expand_as(given)
        )
        (gradient,) = torch.autograd.grad(spread_out.log_prob(x_t).sum(), x_t)
        return gradient

    wanted = (score(guess) - score(x0)).square().mean((1, 2))
    error = (guess - x0).square().mean((1, 2))
    assert torch.allclose(score_weight(alpha, sigma, float("inf")) * error, wanted, rtol=1e-6)
    clipped = score_weight(alpha.float(), sigma.float(), 3.0)
    assert torch.allclose(clipped.double() * error, torch.minimum(wanted, 3 * error), rtol=1e-4)


def test_it_compiles_in_one_graph() -> None:
    alpha, sigma = levels("vp", 0.5, torch.float32)
    x, y = noise(41, 3, 5, seed=11).float(), noise(41, 3, 5, seed=12).float()

    def all_of_it(x: Tensor, y: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        total = noised(x, y, alpha, sigma)
        for name in OBJECTIVES:
            weight = min_snr_weight(name, alpha, sigma) + score_weight(alpha, sigma, 5.0)
            answer = target(name, x, y, alpha, sigma)
            for convert in TO.values():
                answer = answer + convert(name, x, y, alpha, sigma)
            total = total + broadcastable(weight, x) * answer
        return total

    compiled = torch.compile(all_of_it, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x, y, alpha, sigma), all_of_it(x, y, alpha, sigma))


def test_there_are_three_objectives() -> None:
    wrong: Any = "x_0"
    with pytest.raises(ValueError, match="choose one of: x0, eps, v"):
        to_x0(wrong, torch.ones(1, 1, 1), torch.ones(1, 1, 1), torch.ones(1), torch.ones(1))
