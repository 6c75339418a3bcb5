"""Parts that both versions of `mini` have: ConvNeXt blocks, overlap-add, residual quantisation.

Letters for shapes: B batch, T frames, C channels, Q quantisers, E entries, D latent width,
N vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """A ConvNeXt block: a depthwise convolution, then two linear layers at each frame.

    Source: Siuzdak 2023 (Vocos, arXiv:2306.00814), after Liu et al. 2022 (arXiv:2201.03545).
    """

    def __init__(self, width: int, inner: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, T, C) to (B, T, C)."""
        y = self.norm(self.conv(x.transpose(1, 2)).transpose(1, 2))
        return x + self.scale * self.down(functional.gelu(self.up(y)))


def make_blocks(width: int, count: int, expansion: int, kernel: int) -> nn.Sequential:
    """Return blocks one after the other, each scaled by their number at first."""
    return nn.Sequential(
        *(Block(width, width * expansion, kernel, 1 / count) for _ in range(count))
    )


def add_up(frames: Tensor, hop: int) -> Tensor:
    """Overlap and add frames (B, T, size), one hop apart: (B, (T - 1) * hop + size).

    The size must be a multiple of the hop.
    """
    batch, count, size = frames.shape
    hops = size // hop
    parts = frames.reshape(batch, count, hops, hop)
    rows = [functional.pad(parts[:, :, i], (0, 0, i, hops - 1 - i)) for i in range(hops)]
    return torch.stack(rows).sum(0).flatten(1)


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return the indices (N,) of the entries (E, D) that are nearest to vectors (N, D)."""
    scores = torch.addmm(codebook.square().sum(1) / 2, vectors, codebook.T, alpha=-1)
    if scores.device.type == "cpu":  # numpy's takes a third of the time of torch's
        return torch.from_numpy(scores.detach().numpy().argmin(1))
    return scores.min(1).indices


def quantise(latents: Tensor, codebooks: Tensor) -> Tensor:
    """Return codes (..., T, Q) of latents (..., T, D), each stage on the residual of the last."""
    rest = latents.reshape(-1, latents.shape[-1])
    codes = []
    for codebook in codebooks:
        chosen = nearest(rest, codebook)
        rest = rest - codebook[chosen]
        codes.append(chosen)
    return torch.stack(codes, -1).reshape(*latents.shape[:-1], len(codebooks))
