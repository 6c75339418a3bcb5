"""The objectives x0, eps and v of the denoiser, conversions between them, and loss weights.

x_t = alpha x0 + sigma eps, and v = alpha eps - sigma x0 (Salimans & Ho 2022, arXiv:2202.00512). One
of the three and x_t determine the others. Nothing here assumes that alpha^2 + sigma^2 is 1.

A conversion and its inverse return their input: in float64 to 1e-9 at all times that a schedule
uses, in float32 to 1e-5 where alpha and sigma are above 0.1. Beyond that no formula can: with
little noise x0 and x_t differ in their last digits only, and eps is their difference over sigma.
The error is then within 4e-7 (|x_t| + |input| + 1) / min(alpha, sigma, 1). Then eps and v lose
digits when converted through x0, and x0 and v through eps; x0 and eps lose none through v.

Letters for shapes: B batch, D latent width, T frames. Alpha and sigma are (B,), all other tensors
(B, D, T) unless noted.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

Objective = Literal["x0", "eps", "v"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def check_objective(objective: str) -> None:
    """Raise ValueError if there is no such objective."""
    if objective not in OBJECTIVES:
        raise ValueError(
            f"there is no objective {objective!r}; choose one of: {', '.join(OBJECTIVES)}"
        )


def broadcastable(level: Tensor, like: Tensor) -> Tensor:
    """Reshape levels (B,) to (B, 1, 1), so that they multiply tensors like `like` (B, D, T).

    Raises:
        ValueError: there is not one level per utterance.
    """
    if level.shape != like.shape[:1]:
        raise ValueError(
            f"expected one level for each of {like.shape[0]} utterances, got {tuple(level.shape)}"
        )
    return level.reshape(-1, *(1 for _ in like.shape[1:]))


def noised(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return x_t, the data with the noise of its time."""
    return broadcastable(alpha, x0) * x0 + broadcastable(sigma, x0) * eps


def target(objective: Objective, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the target of the denoiser under an objective."""
    check_objective(objective)
    if objective == "x0":
        return x0
    if objective == "eps":
        return eps
    return broadcastable(alpha, x0) * eps - broadcastable(sigma, x0) * x0


def to_x0(
    objective: Objective, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """Convert a prediction under `objective` to x0."""
    check_objective(objective)
    alpha, sigma = broadcastable(alpha, x_t), broadcastable(sigma, x_t)
    if objective == "x0":
        return prediction
    if objective == "eps":
        return (x_t - sigma * prediction) / alpha
    return (alpha * x_t - sigma * prediction) / (alpha.square() + sigma.square())


def to_eps(
    objective: Objective, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """Convert a prediction under `objective` to eps."""
    check_objective(objective)
    alpha, sigma = broadcastable(alpha, x_t), broadcastable(sigma, x_t)
    if objective == "eps":
        return prediction
    if objective == "x0":
        return (x_t - alpha * prediction) / sigma
    return (sigma * x_t + alpha * prediction) / (alpha.square() + sigma.square())


def to_v(
    objective: Objective, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """Convert a prediction under `objective` to v."""
    check_objective(objective)
    alpha, sigma = broadcastable(alpha, x_t), broadcastable(sigma, x_t)
    if objective == "v":
        return prediction
    total = alpha.square() + sigma.square()
    if objective == "x0":
        return (alpha * x_t - total * prediction) / sigma
    return (total * prediction - sigma * x_t) / alpha


def min_snr_weight(
    objective: Objective, alpha: Tensor, sigma: Tensor, gamma: float = 5.0
) -> Tensor:
    """Return the min-SNR weight (B,) of a squared error (Hang et al. 2023, arXiv:2303.09556).

    The squared error of x0 is weighted by min(SNR, gamma). The squared errors of eps and v are
    multiples of it, and their weights are divided accordingly: the loss does not depend on the
    objective.
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
    """Return the weight (B,) that turns the squared error of x0 into that of the score, clipped.

    The score of x_t given x0 is (alpha x0 - x_t) / sigma^2, so the weight is alpha^2 / sigma^4. It
    is unbounded where there is little noise, so it is clipped at `most`.
    """
    return (alpha / sigma.square()).square().clamp(max=most)
