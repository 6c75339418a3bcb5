"""The prompt resampler, which maps a speech prompt of any length to a fixed number of tokens.

Learned queries attend to the prompt's states, as in Perceiver (Jaegle et al. 2021) and Flamingo
(Alayrac et al. 2022). NaturalSpeech 2 has 32 queries; their results are all that the denoiser sees
of the prompt.

Letters for shapes: B batch, K prompt frames, M queries, C width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ns2.model.blocks.layers import Attention


@dataclass(frozen=True, kw_only=True)
class ResamplerConfig:
    """Sizes of a prompt resampler."""

    queries: int = 32
    """M, the number of learned queries and so of tokens that come out."""

    layers: int = 1
    """The number of layers; each attends to the prompt once."""

    heads: int = 8
    """The number of attention heads."""

    expansion: int = 0
    """The inner width of the feed-forward part as a multiple of the width; 0 leaves that part
    out."""

    def __post_init__(self) -> None:
        if self.queries < 1 or self.layers < 1 or self.expansion < 0:
            raise ValueError(f"queries and layers must be at least 1, expansion at least 0: {self}")


class ResamplerLayer(nn.Module):
    """Attention of the queries to the prompt, and a feed-forward part, with residuals."""

    def __init__(self, config: ResamplerConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, config.heads)
        inner = config.expansion * width
        self.feed: nn.Module | None = None
        if inner:
            self.feed = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width)
            )

    def forward(self, x: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """Map x (B, M, C), given a prompt (B, K, C) and its mask (B, K), to (B, M, C)."""
        x = x + self.attention(self.norm(x), prompt, mask)
        return x if self.feed is None else x + self.feed(x)


class Resampler(nn.Module):
    """Maps the states of a prompt (B, K, C) to tokens (B, M, C)."""

    def __init__(self, config: ResamplerConfig, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(config.queries, width) / width**0.5)
        self.layers = nn.ModuleList(ResamplerLayer(config, width) for _ in range(config.layers))
        self.last_norm = nn.LayerNorm(width)

    def forward(self, prompt: Tensor, mask: Tensor) -> Tensor:
        """Compute the tokens of a prompt.

        Args:
            prompt: (B, K, C).
            mask: (B, K) bool, at least one True per row.

        Returns:
            (B, M, C).
        """
        x = self.queries.to(prompt.dtype).expand(len(prompt), -1, -1)
        for layer in self.layers:
            x = layer(x, prompt, mask)
        out: Tensor = self.last_norm(x)
        return out
