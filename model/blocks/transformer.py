"""The Transformer that may follow the WaveNet: its norms are steered by the diffusion time.

Each layer has self-attention, attention to the prompt's tokens, and a GEGLU feed-forward part
(Shazeer 2020, arXiv:2002.05202) with a convolution inside, each behind an RMSNorm whose gain and
shift come from the time's embedding (as in DiT, Peebles and Xie 2023, arXiv:2212.09748).

Letters for shapes: B batch, T frames, C width, F inner width, M prompt tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import Attention, Conv


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of the Transformer behind the WaveNet.

    Attributes:
        depth: layers; 0 leaves it out.
        heads: of its attentions.
        expansion: F as times the width.
        kernel: of the convolution inside the feed-forward part; 1 for none.
        causal: that convolution sees what came before only, as in the seed. Attention sees all.
        dropout: while training.
    """

    depth: int = 0
    heads: int = 8
    expansion: int = 4
    kernel: int = 3
    causal: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.depth < 0 or min(self.heads, self.expansion, self.kernel) < 1:
            raise ValueError(f"depth has to be at least 0, all other sizes at least 1: {self}")


class ConditionalNorm(nn.Module):
    """RMSNorm whose gain and shift are linear in a vector an utterance."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Linear(width, 2 * width)
        nn.init.normal_(self.change.weight, std=0.02)
        nn.init.zeros_(self.change.bias)

    def forward(self, x: Tensor, steer: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C), given (B, C)."""
        gain, shift = self.change(steer)[:, None].chunk(2, dim=-1)
        return functional.rms_norm(x, x.shape[-1:], eps=1e-5) * (1 + gain) + shift


class GegluConv(nn.Module):
    """GELU of one half times the other, a convolution, and back to the width."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        inner = config.expansion * width * 2 // 3  # as many weights as without a gate
        self._dropout = config.dropout
        self.enter = nn.Linear(width, 2 * inner)
        self.conv = Conv(inner, inner, config.kernel, causal=config.causal)
        self.leave = nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        value, gate = self.enter(x).chunk(2, dim=-1)
        y = self.conv(value * functional.gelu(gate), mask)
        out: Tensor = self.leave(functional.dropout(y, self._dropout, self.training))
        return out


class TransformerLayer(nn.Module):
    """Attention to all frames, to the prompt, and a feed-forward part."""

    def __init__(self, config: TransformerConfig, width: int, conditional: bool) -> None:
        super().__init__()
        self.self_norm = ConditionalNorm(width)
        self.self_attention = Attention(width, config.heads, rotary=True)
        self.prompt_norm = ConditionalNorm(width) if conditional else None
        self.prompt_attention = Attention(width, config.heads) if conditional else None
        self.feed_norm = ConditionalNorm(width)
        self.feed = GegluConv(config, width)

    def forward(self, x: Tensor, steer: Tensor, tokens: Tensor | None, mask: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        normed = self.self_norm(x, steer)
        x = x + self.self_attention(normed, normed, mask)
        if self.prompt_attention is not None and self.prompt_norm is not None:
            assert tokens is not None
            x = x + self.prompt_attention(self.prompt_norm(x, steer), tokens, None)
        x = x + self.feed(self.feed_norm(x, steer), mask)
        return x


class ConditionableTransformer(nn.Module):
    """A stack of such layers."""

    def __init__(self, config: TransformerConfig, width: int, *, conditional: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(config, width, conditional) for _ in range(config.depth)
        )

    def forward(self, x: Tensor, steer: Tensor, tokens: Tensor | None, mask: Tensor) -> Tensor:
        """Run the stack.

        Args:
            x: (B, T, C).
            steer: embedding of the diffusion time, (B, C).
            tokens: of the prompt, (B, M, C).
            mask: (B, T).
        """
        for layer in self.layers:
            x = layer(x, steer, tokens, mask)
        return x * mask[..., None]
