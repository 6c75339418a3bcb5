"""The Transformer that may follow the WaveNet, with norms conditioned on the diffusion time.

Each layer has self-attention, attention to the prompt's tokens, and a GEGLU feed-forward part
(Shazeer 2020, arXiv:2002.05202) with a convolution inside. Each follows an RMSNorm whose gain and
shift are computed from the time's embedding (as in DiT, Peebles and Xie 2023, arXiv:2212.09748).

Letters for shapes: B batch, T frames, C width, M prompt tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import Attention, Conv, run


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of the Transformer behind the WaveNet."""

    depth: int = 0
    """The number of layers; 0 leaves the Transformer out."""

    heads: int = 8
    """The number of heads of each attention."""

    expansion: int = 4
    """The inner width of the feed-forward part as a multiple of the width; two thirds of it are
    used, which makes up for the gate's weights."""

    kernel: int = 3
    """The kernel size of the convolution inside the feed-forward part; 1 mixes no frames."""

    causal: bool = True
    """Whether that convolution sees earlier frames only, as in naturalspeech2-pytorch; attention
    always sees all frames."""

    dropout: float = 0.1
    """The dropout rate inside the feed-forward part."""

    def __post_init__(self) -> None:
        if self.depth < 0 or min(self.heads, self.expansion, self.kernel) < 1:
            raise ValueError(f"depth must be at least 0, all other sizes at least 1: {self}")


class ConditionalNorm(nn.Module):
    """RMSNorm whose gain and shift are linear in one vector per utterance."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Linear(width, 2 * width)
        nn.init.normal_(self.change.weight, std=0.02)
        nn.init.zeros_(self.change.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map x (B, T, C), given a condition (B, C), to (B, T, C)."""
        gain, shift = self.change(condition)[:, None].chunk(2, dim=-1)
        return functional.rms_norm(x, x.shape[-1:], eps=1e-5) * (1 + gain) + shift


class GegluConv(nn.Module):
    """The GEGLU feed-forward part: a gated linear layer, a convolution, a linear layer."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        inner = config.expansion * width * 2 // 3  # with the gate as many weights as without
        self._dropout = config.dropout
        self.enter = nn.Linear(width, 2 * inner)
        self.conv = Conv(inner, inner, config.kernel, causal=config.causal)
        self.leave = nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map x (B, T, C) with its mask (B, T) to (B, T, C)."""
        value, gate = self.enter(x).chunk(2, dim=-1)
        y = self.conv(value * functional.gelu(gate), mask)
        out: Tensor = self.leave(functional.dropout(y, self._dropout, self.training))
        return out


class TransformerLayer(nn.Module):
    """Attention to all frames, attention to the prompt, and a feed-forward part."""

    def __init__(self, config: TransformerConfig, width: int, conditional: bool) -> None:
        super().__init__()
        self.self_norm = ConditionalNorm(width)
        self.self_attention = Attention(width, config.heads, rotary=True)
        self.prompt_norm = ConditionalNorm(width) if conditional else None
        self.prompt_attention = Attention(width, config.heads) if conditional else None
        self.feed_norm = ConditionalNorm(width)
        self.feed = GegluConv(config, width)

    def forward(
        self, x: Tensor, time: Tensor, tokens: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Map x (B, T, C) to (B, T, C); see `ConditionableTransformer.forward`."""
        normed = self.self_norm(x, time)
        x = x + self.self_attention(normed, normed, mask)
        if self.prompt_attention is not None and self.prompt_norm is not None:
            assert tokens is not None
            x = x + self.prompt_attention(self.prompt_norm(x, time), tokens, None)
        x = x + self.feed(self.feed_norm(x, time), mask)
        return x


class ConditionableTransformer(nn.Module):
    """A stack of Transformer layers that are conditioned on time and prompt."""

    def __init__(self, config: TransformerConfig, width: int, *, conditional: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(config, width, conditional) for _ in range(config.depth)
        )

    def forward(
        self, x: Tensor, time: Tensor, tokens: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Run all layers.

        Args:
            x: (B, T, C).
            time: (B, C) the embedding of the diffusion time.
            tokens: (B, M, C) the tokens of the prompt; None for an unconditional model.
            mask: (B, T) bool; None where nothing is padded.

        Returns:
            (B, T, C); zeros outside of the mask.
        """
        for layer in self.layers:
            x = run(layer, x, time, tokens, mask)
        return x if mask is None else x * mask[..., None]
