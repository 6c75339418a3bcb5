"""Gaussian classes of frames with full covariance, and the moments they are fitted to.

Letters for shapes: F frames, D features, K classes, C classes that are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ns2.model.aligner.kernels import compiled

_LEAST_WEIGHT = 1e-3
"""Weights of frames below this are skipped: they are most of the work and change little."""


@dataclass(frozen=True)
class Moments:
    """Weighted moments of features: all that a fit needs, whatever the number of frames."""

    counts: np.ndarray
    """(K,) float64: the sum of the weights of each class."""

    sums: np.ndarray
    """(K, D) float64: the sums of weighted features."""

    products: np.ndarray
    """(K, D, D) float64: the sums of weighted outer products; symmetric after `whole`."""

    @classmethod
    def zeros(cls, classes: int, width: int) -> Moments:
        """Return the moments of no frames."""
        return cls(np.zeros(classes), np.zeros((classes, width)), np.zeros((classes, width, width)))

    def add(self, features: Tensor, weights: np.ndarray, classes: np.ndarray) -> None:
        """Add weighted frames, in place.

        Args:
            features: (F, D) the features of the frames.
            weights: (F, C) float64, the weight of each frame in each class.
            classes: (C,) int64, the numbers of these classes.
        """
        _accumulate(
            features.double().numpy(), weights, classes, self.counts, self.sums, self.products
        )

    @classmethod
    def whole(cls, parts: Iterable[Moments]) -> Moments:
        """Return the sum of several moments, added up in order."""
        first, *rest = parts
        total = cls(first.counts.copy(), first.sums.copy(), first.products.copy())
        for part in rest:
            for mine, theirs in zip(total._arrays(), part._arrays(), strict=True):
                mine += theirs
        lower = np.tril(total.products)
        total.products[:] = lower + np.tril(lower, -1).transpose(0, 2, 1)
        return total

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.counts, self.sums, self.products


class Gaussians(nn.Module):
    """K Gaussians over D features; float32 buffers, fitted in closed form.

    Whitening by the inverse Cholesky root makes the squared length of a whitened frame its
    Mahalanobis distance.
    """

    means: Tensor
    whiten: Tensor
    log_dets: Tensor

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, width))
        self.register_buffer("whiten", torch.eye(width).repeat(classes, 1, 1))
        self.register_buffer("log_dets", torch.zeros(classes))

    def forward(self, features: Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Return the log density of features under each class, up to a shared constant.

        Args:
            features: (F, D).
            chosen: the numbers of the C classes to look at; all by default.

        Returns:
            (F, C) log densities.
        """
        whiten, means = self.whiten[chosen], self.means[chosen]
        classes, width = means.shape
        shift = torch.einsum("kij,kj->ki", whiten, means).reshape(-1)
        whitened = features @ whiten.reshape(-1, width).T - shift
        return -0.5 * whitened.square().view(-1, classes, width).sum(2) - self.log_dets[chosen]

    def fit(self, moments: Moments, *, prior: Tensor, shared: float, floor: float) -> None:
        """Fit means and covariances to weighted features, in closed form.

        Args:
            moments: the moments of the features.
            prior: (K, D + 1) a prior mean for each class, and in the last place its weight in
                frames.
            shared: the weight in frames of the pooled covariance, which is added to the covariance
                of each class; classes with few frames have nearly the pooled one.
            floor: a constant that is added to all variances, as a share of the mean pooled
                variance.
        """
        counts, sums = torch.from_numpy(moments.counts), torch.from_numpy(moments.sums)
        prior = prior.double()
        added = prior[:, -1:]
        means = (sums + added * prior[:, :-1]) / (counts[:, None] + added).clamp_min(1e-9)
        self.means = means.float()

        cross = sums[:, :, None] * means[:, None]
        about = counts[:, None, None] * means[:, :, None] * means[:, None]
        scatters = torch.from_numpy(moments.products) - cross - cross.transpose(1, 2) + about
        pooled = scatters.sum(0) / counts.sum().clamp_min(1.0)
        covariances = (scatters + shared * pooled) / (counts + shared)[:, None, None]
        # The constant keeps covariances positive definite even where all frames are equal.
        floor = floor * float(pooled.diagonal().mean()) + 1e-6
        covariances += floor * torch.eye(sums.shape[1], dtype=torch.float64)
        roots = torch.linalg.cholesky(covariances)
        self.whiten = torch.linalg.inv(roots).float().contiguous()
        self.log_dets = roots.diagonal(dim1=1, dim2=2).log().sum(1).float()


@compiled
def _accumulate(
    features: np.ndarray,
    weights: np.ndarray,
    classes: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
    products: np.ndarray,
) -> None:
    """Add features (F, D), each weighted for some classes (F, C), to the moments."""
    width = features.shape[1]
    for t in range(len(features)):
        for c in range(len(classes)):
            weight = weights[t, c]
            if weight < _LEAST_WEIGHT:
                continue
            k = classes[c]
            counts[k] += weight
            for i in range(width):
                weighted = weight * features[t, i]
                sums[k, i] += weighted
                for j in range(i + 1):
                    products[k, i, j] += weighted * features[t, j]
