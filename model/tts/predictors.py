"""Durations and pitch from text and a voice: convolutions that look at the prompt now and then.

The paper's predictors are thirty convolutions, every third followed by attention to the speech
prompt, over phonemes for durations and over frames for pitch. Targets are logarithms: log(1 + d)
of d frames, log F0 of voiced frames; whether a frame is voiced is a logit of its own. Nothing
behind the last layer cuts values off, so every output keeps its gradient.

Letters for shapes: B batch, N phonemes, T sequence of either kind, K prompt frames, C width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import NORMS, Attention, Conv, Norm, norm_layer

Block = Literal["conv", "resnet"]

MEAN_LOG_F0 = 5.1
"""About log(164 Hz): predicted logarithms are relative to it, so that weights start near."""


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Sizes and choices of a duration or pitch predictor."""

    layers: int = 30
    """The number of convolutions (of blocks of two convolutions for "resnet")."""

    kernel: int = 3
    """The kernel size of the convolutions; odd."""

    attend_every: int = 3
    """The number of layers after which one attention to the prompt follows."""

    heads: int = 8
    """The number of heads of that attention."""

    dropout: float = 0.5
    """The dropout rate after each convolution."""

    block: Block = "conv"
    """The kind of layer: "conv" is the paper's convolution, ReLU and norm; "resnet" is norm,
    SiLU and convolution, twice."""

    norm: Norm = "layer"
    """The kind of norm: "layer" or "rms"."""

    def __post_init__(self) -> None:
        if self.layers < self.attend_every or self.attend_every < 1:
            raise ValueError(
                "a predictor needs to see the prompt: layers have to be at least attend_every, "
                f"got {self.layers} and {self.attend_every}"
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"a predictor's kernel has to be odd, got {self.kernel}")
        if self.block not in ("conv", "resnet"):
            raise ValueError(f"block is conv or resnet, got {self.block!r}")
        if self.norm not in NORMS:
            raise ValueError(f"norm is one of {', '.join(NORMS)}, got {self.norm!r}")


class ConvBlock(nn.Module):
    """The paper's: a convolution, ReLU, a norm, dropout, and (inferred) a residual."""

    def __init__(self, config: PredictorConfig, width: int) -> None:
        super().__init__()
        self._dropout = config.dropout
        self.conv = Conv(width, width, config.kernel)
        self.norm = norm_layer(config.norm, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        y = self.norm(functional.relu(self.conv(x, mask)))
        return x + functional.dropout(y, self._dropout, self.training)


class ResnetBlock(nn.Module):
    """Norm, SiLU and a convolution, twice, with a residual."""

    def __init__(self, config: PredictorConfig, width: int) -> None:
        super().__init__()
        self._dropout = config.dropout
        self.first_norm = norm_layer(config.norm, width)
        self.first = Conv(width, width, config.kernel)
        self.second_norm = norm_layer(config.norm, width)
        self.second = Conv(width, width, config.kernel)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        y = self.first(functional.silu(self.first_norm(x)), mask)
        y = functional.dropout(functional.silu(self.second_norm(y)), self._dropout, self.training)
        return x + self.second(y, mask)


class PromptAttention(nn.Module):
    """A look at the prompt, with a residual."""

    def __init__(self, config: PredictorConfig, width: int) -> None:
        super().__init__()
        self.norm = norm_layer(config.norm, width)
        self.attention = Attention(width, config.heads)

    def forward(self, x: Tensor, prompt: Tensor, prompt_mask: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        return x + self.attention(self.norm(x), prompt, prompt_mask)


class Predictor(nn.Module):
    """One or more numbers for each place of a sequence, given a speech prompt."""

    def __init__(self, config: PredictorConfig, width: int, outputs: int) -> None:
        super().__init__()
        block = ConvBlock if config.block == "conv" else ResnetBlock
        self._every = config.attend_every
        self.blocks = nn.ModuleList(block(config, width) for _ in range(config.layers))
        self.looks = nn.ModuleList(
            PromptAttention(config, width) for _ in range(config.layers // config.attend_every)
        )
        self.last_norm = norm_layer(config.norm, width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, mask: Tensor, prompt: Tensor, prompt_mask: Tensor) -> Tensor:
        """Predict.

        Args:
            x: (B, T, C).
            mask: (B, T).
            prompt: states of the speech prompt, (B, K, C).
            prompt_mask: (B, K), at least one True a row.

        Returns:
            (B, T, outputs), float32.
        """
        for i, block in enumerate(self.blocks):
            x = block(x, mask)
            if (i + 1) % self._every == 0:
                x = self.looks[i // self._every](x, prompt, prompt_mask)
        out: Tensor = self.head(self.last_norm(x))
        return out.float()


def duration_error(predicted: Tensor, durations: Tensor, mask: Tensor) -> Tensor:
    """Absolute errors of log(1 + d), added up over each utterance: (B,).

    Args:
        predicted: log(1 + d), (B, N).
        durations: d in frames, (B, N) of any integer type.
        mask: (B, N).
    """
    error = (predicted - torch.log1p(durations.float())).abs()
    return (error * mask).sum(1)


def pitch_errors(predicted: Tensor, f0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Errors of a predicted pitch, added up over each utterance.

    Args:
        predicted: (B, T, 2): log F0 relative to `MEAN_LOG_F0`, and the logit of being voiced.
        f0: Hz, 0 where unvoiced, (B, T).
        mask: (B, T).

    Returns:
        absolute errors of log F0 over voiced frames, (B,), and cross-entropies of voicing over
        all frames, (B,).
    """
    voiced = (f0 > 0) & mask
    log_f0 = f0.clamp(min=1.0).log() - MEAN_LOG_F0  # where unvoiced, any number does
    pitch = ((predicted[..., 0] - log_f0).abs() * voiced).sum(1)
    voicing = functional.binary_cross_entropy_with_logits(
        predicted[..., 1], voiced.float(), reduction="none"
    )
    return pitch, (voicing * mask).sum(1)


def predicted_f0(predicted: Tensor) -> Tensor:
    """F0 in Hz, 0 where it is more likely unvoiced, (B, T) of a prediction (B, T, 2)."""
    f0 = (predicted[..., 0].clamp(-2.0, 2.5) + MEAN_LOG_F0).exp()
    return torch.where(predicted[..., 1] > 0, f0, torch.zeros_like(f0))
