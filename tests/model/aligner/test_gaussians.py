"""The Gaussian classes, against torch.distributions and closed forms."""

from __future__ import annotations

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from ns2.model.aligner.gaussians import Gaussians, Moments


def moments(features: torch.Tensor, weights: torch.Tensor) -> Moments:
    """Added up in two parts."""
    parts = []
    for rows in (slice(None, 7), slice(7, None)):
        part = Moments.zeros(weights.shape[1], features.shape[1])
        part.add(features[rows], weights[rows].double().numpy(), np.arange(weights.shape[1]))
        parts.append(part)
    return Moments.whole(parts)


def fitted(features: torch.Tensor, weights: torch.Tensor, **settings: float) -> Gaussians:
    model = Gaussians(weights.shape[1], features.shape[1])
    prior = torch.zeros(weights.shape[1], features.shape[1] + 1)
    model.fit(moments(features, weights), prior=prior, **{"shared": 1e-6, "floor": 0.0, **settings})
    return model


def test_fit_and_densities_equal_the_weighted_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2000, 5, generator=generator) @ torch.randn(5, 5, generator=generator)
    weights = 0.01 + torch.rand(2000, 3, generator=generator)
    model = fitted(features, weights)
    densities = model(features[:50])
    expected = []
    for k in range(3):
        w, x = weights[:, k].double(), features.double()
        mean = (w[:, None] * x).sum(0) / w.sum()
        covariance = (w[:, None] * (x - mean)).T @ (x - mean) / w.sum()
        expected.append(MultivariateNormal(mean, covariance).log_prob(x[:50]))
    difference = densities.double() - torch.stack(expected, 1)
    # Equal but for one constant that all classes share: D / 2 * log(2 pi).
    torch.testing.assert_close(
        difference, torch.full_like(difference, 2.5 * 1.8378770664), atol=2e-3, rtol=0
    )


def test_a_class_without_frames_has_the_pooled_covariance_and_its_prior_mean() -> None:
    features = torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
    weights = torch.zeros(500, 2)
    weights[:, 0] = 1.0
    model = Gaussians(2, 4)
    prior = torch.tensor([[0.0] * 5, [1.0, 2.0, 3.0, 4.0, 2.0]])
    model.fit(moments(features, weights), prior=prior, shared=100.0, floor=0.0)
    assert model.means[1].tolist() == [1.0, 2.0, 3.0, 4.0]
    torch.testing.assert_close(model.whiten[0], model.whiten[1], rtol=1e-4, atol=1e-4)


def test_frames_that_are_all_equal_give_finite_densities() -> None:
    model = fitted(torch.ones(20, 3), torch.ones(20, 1), floor=0.02)
    assert torch.isfinite(model(torch.tensor([[1.0, 1.0, 1.0], [50.0, 0.0, 0.0]]))).all()
