"""What the denoiser is asked for: x0, eps or v, and what an error in each of them weighs.

x_t = alpha x0 + sigma eps, and v = alpha eps - sigma x0 (Salimans & Ho 2022, arXiv:2202.00512). One
of the three and x_t give the others. Nothing here assumes that alpha^2 + sigma^2 is 1.

A conversion and its inverse give back what they got. In float64 that holds to 1e-9 at all times
that a schedule uses; in float32 to 1e-5 where alpha and sigma are above 0.1. Beyond, no formula can
hold it: with little noise x0 and x_t differ by the last digits, and eps is their difference over
sigma. The error is then within 4e-7 (|x_t| + |what was converted| + 1) / min(alpha, sigma, 1), and
it is eps and v that lose through x0, x0 and v through eps; x0 and eps lose nothing through v.

Letters for shapes: B batch, D latent width, T frames; alpha and sigma are (B,), all else (B, D, T).
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

Objective = Literal["x0", "eps", "v"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def check_objective(objective: str) -> None:
    """Raise ValueError unless there is such an objective."""
    if objective not in OBJECTIVES:
        raise ValueError(
            f"there is no objective {objective!r}; choose one of: {', '.join(OBJECTIVES)}"
        )


def spread(level: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, 1), so that each utterance's level meets its own frames.

    Raises:
        ValueError: there is not one level an utterance.
    """
    if level.shape != like.shape[:1]:
        raise ValueError(
            f"expected one level for each of {like.shape[0]} utterances, got {tuple(level.shape)}"
        )
    return level.reshape(-1, *(1 for _ in like.shape[1:]))


def noised(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_t: the data with as much noise as its time has."""
    return spread(alpha, x0) * x0 + spread(sigma, x0) * eps


def target(objective: Objective, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the denoiser should answer."""
    check_objective(objective)
    if objective == "x0":
        return x0
    if objective == "eps":
        return eps
    return spread(alpha, x0) * eps - spread(sigma, x0) * x0


def to_x0(
    objective: Objective, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """x0 of an answer to `objective`."""
    check_objective(objective)
    alpha, sigma = spread(alpha, x_t), spread(sigma, x_t)
    if objective == "x0":
        return prediction
    if objective == "eps":
        return (x_t - sigma * prediction) / alpha
    return (alpha * x_t - sigma * prediction) / (alpha.square() + sigma.square())


def to_eps(
    objective: Objective, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """eps of an answer to `objective`."""
    check_objective(objective)
    alpha, sigma = spread(alpha, x_t), spread(sigma, x_t)
    if objective == "eps":
        return prediction
    if objective == "x0":
        return (x_t - alpha * prediction) / sigma
    return (sigma * x_t + alpha * prediction) / (alpha.square() + sigma.square())


def to_v(
    objective: Objective, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """v of an answer to `objective`."""
    check_objective(objective)
    alpha, sigma = spread(alpha, x_t), spread(sigma, x_t)
    if objective == "v":
        return prediction
    total = alpha.square() + sigma.square()
    if objective == "x0":
        return (alpha * x_t - total * prediction) / sigma
    return (total * prediction - sigma * x_t) / alpha


def min_snr_weight(
    objective: Objective, alpha: Tensor, sigma: Tensor, gamma: float = 5.0
) -> Tensor:
    """The weight (B,) of the squared error of an answer, after Hang et al. 2023 (arXiv:2303.09556).

    The squared error of x0 weighs min(SNR, gamma); those of eps and v are multiples of it, so
    their weights are divided by these: the loss is the same whatever the network answers.
    """
    check_objective(objective)
    snr = (alpha / sigma).square()
    weight = snr.clamp(max=gamma)
    if objective == "x0":
        return weight
    if objective == "eps":
        return weight / snr
    return weight * (sigma / (alpha.square() + sigma.square())).square()


def score_weight(alpha: Tensor, sigma: Tensor, most: float) -> Tensor:
    """The weight (B,) that makes the squared error of x0 that of the score, clipped.

    The score of x_t given x0 is (alpha x0 - x_t) / sigma^2, so the factor is alpha^2 / sigma^4. It
    is without bounds where there is little noise: `most` is the largest that counts.
    """
    return (alpha / sigma.square()).square().clamp(max=most)
