"""Classes of frames, each a Gaussian with full covariance.

Letters for shapes: F frames, D features, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ns2.model.kernels import on_all_cores


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

    def fit(
        self, features: Tensor, weights: Tensor, *, prior: Tensor, shared: float, floor: float
    ) -> None:
        """Set means and covariances to those of weighted features.

        Args:
            features: (F, D).
            weights: (F, K), how much of each frame belongs to each class.
            prior: (K, D + 1) a mean for each class, and in the last place how many frames of it
                are added to the class.
            shared: frames of the pooled covariance that are added to that of each class; classes
                with few frames thus have nearly that one.
            floor: added to all variances, as a share of the mean pooled variance.
        """
        counts = weights.sum(0, dtype=torch.float64)
        added = prior[:, -1:].double()
        sums = (weights.T @ features).double() + added * prior[:, :-1]
        means = sums / (counts[:, None] + added).clamp_min(1e-9)
        self.means = means.float()

        def scatter(k: int) -> Tensor:
            used = torch.nonzero(by_class[k] > 1e-3).flatten()
            centred = features[used] - self.means[k]
            return (centred * by_class[k, used, None]).T @ centred

        width, by_class = features.shape[1], weights.T.contiguous()
        scatters = torch.stack(on_all_cores(scatter, range(len(counts)))).double()
        pooled = scatters.sum(0) / counts.sum().clamp_min(1.0)
        covariances = (scatters + shared * pooled) / (counts + shared)[:, None, None]
        # The constant keeps classes apart from points even where all frames are equal.
        floor = floor * float(pooled.diagonal().mean()) + 1e-6
        covariances += floor * torch.eye(width, dtype=torch.float64)
        roots = torch.linalg.cholesky(covariances)
        self.whiten = torch.linalg.inv(roots).float().contiguous()
        self.log_dets = roots.diagonal(dim1=1, dim2=2).log().sum(1).float()
