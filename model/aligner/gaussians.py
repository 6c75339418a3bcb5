"""Classes of frames, each a Gaussian with full covariance.

Letters for shapes: F frames, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ns2.model.aligner.kernels import compiled

_LEAST = 1e-3
"""Smaller weights of a frame are left out: most of the work for nothing."""


@dataclass(frozen=True)
class Moments:
    """What a fit needs to know of weighted frames: little, whatever their number.

    Attributes:
        counts: (K,) float64, sum of weights.
        sums: (K, D) float64 of weighted features.
        products: (K, D, D) float64 of weighted outer products; symmetric once it is `whole`.
    """

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray

    @classmethod
    def zeros(cls, classes: int, width: int) -> Moments:
        """Of no frames."""
        return cls(np.zeros(classes), np.zeros((classes, width)), np.zeros((classes, width, width)))

    def add(self, features: Tensor, weights: np.ndarray, classes: np.ndarray) -> None:
        """Take frames in.

        Args:
            features: (F, D).
            weights: (F, C) float64, how much of each frame belongs to each of some classes.
            classes: (C,) int64, which these are.
        """
        _accumulate(
            features.double().numpy(), weights, classes, self.counts, self.sums, self.products
        )

    @classmethod
    def whole(cls, parts: Iterable[Moments]) -> Moments:
        """The sum of some moments, added up in order."""
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
        """(F, K) log density of features (F, D) under each class, but for a shared constant.

        Args:
            chosen: numbers of the classes to look at, all by default; K is how many they are.
        """
        whiten, means = self.whiten[chosen], self.means[chosen]
        classes, width = means.shape
        shift = torch.einsum("kij,kj->ki", whiten, means).reshape(-1)
        whitened = features @ whiten.reshape(-1, width).T - shift
        return -0.5 * whitened.square().view(-1, classes, width).sum(2) - self.log_dets[chosen]

    def fit(self, moments: Moments, *, prior: Tensor, shared: float, floor: float) -> None:
        """Set means and covariances to those of weighted features.

        Args:
            moments: of the features.
            prior: (K, D + 1) a mean for each class, and in the last place how many frames of it
                are added to the class.
            shared: frames of the pooled covariance that are added to that of each class; classes
                with few frames thus have nearly that one.
            floor: added to all variances, as a share of the mean pooled variance.
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
        # The constant keeps classes apart from points even where all frames are equal.
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
            if weight < _LEAST:
                continue
            k = classes[c]
            counts[k] += weight
            for i in range(width):
                weighted = weight * features[t, i]
                sums[k, i] += weighted
                for j in range(i + 1):
                    products[k, i, j] += weighted * features[t, j]
