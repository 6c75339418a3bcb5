"""The encoder of phonemes and of speech prompts: a Transformer with convolutions.

As in FastSpeech (Ren et al. 2019, arXiv:1905.09263): the feed-forward part of a layer is a
convolution to an inner width and a linear layer back. NaturalSpeech 2 uses six layers of width 512
in both encoders.

Letters for shapes: B batch, T sequence, C width, F inner width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import (
    ACTIVATIONS,
    NORMS,
    Activation,
    Attention,
    Conv,
    Norm,
    activation,
    norm_layer,
    run,
    sinusoids,
)

Positions = Literal["sinusoidal", "rotary"]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes and choices of an encoder."""

    layers: int = 6
    """The number of Transformer layers."""

    heads: int = 8
    """The number of attention heads."""

    inner: int = 2048
    """F, the inner width of the feed-forward part."""

    kernel: int = 9
    """The kernel size of the feed-forward part's convolution; odd."""

    stem: int = 0
    """The number of residual convolutions in front of the Transformer."""

    dropout: float = 0.1
    """The dropout rate after every part."""

    norm: Norm = "layer"
    """The kind of norm: "layer" or "rms"."""

    pre_norm: bool = False
    """Whether the norm stands in front of each part (pre-norm) or behind the residual sum."""

    positions: Positions = "sinusoidal"
    """The position encoding: "sinusoidal" encodings are added to the input, "rotary" ones rotate
    queries and keys."""

    activation: Activation = "relu"
    """The activation function of the feed-forward part: "relu", "silu" or "gelu"."""

    def __post_init__(self) -> None:
        if self.layers < 1 or self.stem < 0:
            raise ValueError("an encoder needs at least 1 layer, and 0 or more in its stem")
        if self.kernel % 2 == 0:
            raise ValueError(f"an encoder's kernel must be odd, got {self.kernel}")
        if self.norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {self.norm!r}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        if self.positions not in ("sinusoidal", "rotary"):
            raise ValueError(f"positions must be sinusoidal or rotary, got {self.positions!r}")


class EncoderLayer(nn.Module):
    """Self-attention and a convolutional feed-forward part, each with a residual."""

    def __init__(self, config: EncoderConfig, width: int) -> None:
        super().__init__()
        self._pre_norm, self._dropout = config.pre_norm, config.dropout
        self._activation = activation(config.activation)
        self.attention = Attention(
            width, config.heads, dropout=config.dropout, rotary=config.positions == "rotary"
        )
        self.attention_norm = norm_layer(config.norm, width)
        self.enter = Conv(width, config.inner, config.kernel)
        self.leave = nn.Linear(config.inner, width)
        self.feed_norm = norm_layer(config.norm, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x (B, T, C) with its mask (B, T) to (B, T, C)."""
        if self._pre_norm:
            normed = self.attention_norm(x)
            x = x + self._drop(self.attention(normed, normed, mask))
            return x + self._drop(self._feed(self.feed_norm(x), mask))
        x = self.attention_norm(x + self._drop(self.attention(x, x, mask)))
        out: Tensor = self.feed_norm(x + self._drop(self._feed(x, mask)))
        return out

    def _feed(self, x: Tensor, mask: Tensor) -> Tensor:
        out: Tensor = self.leave(self._drop(self._activation(self.enter(x, mask))))
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self._dropout, self.training)


class Encoder(nn.Module):
    """Encodes a sequence of vectors as a sequence of states of the same width."""

    def __init__(self, config: EncoderConfig, width: int) -> None:
        super().__init__()
        self._config, self._width = config, width
        self.stem = nn.ModuleList(Conv(width, width, 5) for _ in range(config.stem))
        self.layers = nn.ModuleList(EncoderLayer(config, width) for _ in range(config.layers))
        last = norm_layer(config.norm, width) if config.pre_norm else nn.Identity()
        self.last_norm = last

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode a batch of sequences.

        Args:
            x: (B, T, C).
            mask: (B, T) bool, at least one True per row.

        Returns:
            (B, T, C); zeros outside of the mask.
        """
        for conv in self.stem:
            x = x + activation(self._config.activation)(conv(x, mask))
        if self._config.positions == "sinusoidal":
            places = torch.arange(x.shape[1], device=x.device)
            x = x + sinusoids(places, self._width).to(x.dtype)
        x = functional.dropout(x, self._config.dropout, self.training)
        for layer in self.layers:
            x = run(layer, x, mask)
        return self.last_norm(x) * mask[..., None]
