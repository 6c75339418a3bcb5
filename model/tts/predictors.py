"""The duration and pitch predictors, and their errors.

The paper's predictors are thirty convolutions, every third followed by attention to the speech
prompt, over phonemes for durations and over frames for pitch. Targets are logarithms: log(1 + d) of
d frames, log F0 of voiced frames; voicing has a logit of its own. Nothing behind the last layer
clips values, so every output keeps its gradient.

Letters for shapes: B batch, N phonemes, T sequence of either kind, K prompt frames, C width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import NORMS, Attention, Conv, Norm, norm_layer, run

Block = Literal["conv", "resnet"]

MEAN_LOG_F0 = 5.1
"""About log(164 Hz), which predicted log F0 is relative to, so that it starts near its targets."""


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
                "a predictor has to see the prompt: layers must be at least attend_every, and that "
                f"at least 1, got {self.layers} and {self.attend_every}"
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"a predictor's kernel must be odd, got {self.kernel}")
        if self.block not in ("conv", "resnet"):
            raise ValueError(f"block must be conv or resnet, got {self.block!r}")
        if self.norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {self.norm!r}")


class ConvBlock(nn.Module):
    """The paper's block: a convolution, ReLU, a norm, dropout, and (inferred) a residual."""

    def __init__(self, config: PredictorConfig, width: int) -> None:
        super().__init__()
        self._dropout = config.dropout
        self.conv = Conv(width, width, config.kernel)
        self.norm = norm_layer(config.norm, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x (B, T, C) with its mask (B, T) to (B, T, C)."""
        y = self.norm(functional.relu(self.conv(x, mask)))
        return x + functional.dropout(y, self._dropout, self.training)


class ResnetBlock(nn.Module):
    """A block of norm, SiLU and convolution, twice, with a residual."""

    def __init__(self, config: PredictorConfig, width: int) -> None:
        super().__init__()
        self._dropout = config.dropout
        self.first_norm = norm_layer(config.norm, width)
        self.first = Conv(width, width, config.kernel)
        self.second_norm = norm_layer(config.norm, width)
        self.second = Conv(width, width, config.kernel)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x (B, T, C) with its mask (B, T) to (B, T, C)."""
        y = self.first(functional.silu(self.first_norm(x)), mask)
        y = functional.dropout(functional.silu(self.second_norm(y)), self._dropout, self.training)
        return x + self.second(y, mask)


class PromptAttention(nn.Module):
    """Attention to the prompt, with a residual."""

    def __init__(self, config: PredictorConfig, width: int) -> None:
        super().__init__()
        self.norm = norm_layer(config.norm, width)
        self.attention = Attention(width, config.heads)

    def forward(self, x: Tensor, prompt: Tensor, prompt_mask: Tensor) -> Tensor:
        """Map x (B, T, C), given a prompt (B, K, C) and its mask (B, K), to (B, T, C)."""
        return x + self.attention(self.norm(x), prompt, prompt_mask)


class Predictor(nn.Module):
    """Predicts one or more numbers at each place of a sequence, given a speech prompt."""

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
        """Predict numbers at each place.

        Args:
            x: (B, T, C) states of phonemes, or of frames.
            mask: (B, T) bool.
            prompt: (B, K, C) states of the speech prompt.
            prompt_mask: (B, K) bool, at least one True per row.

        Returns:
            (B, T, outputs), float32.
        """
        for i, block in enumerate(self.blocks):
            x = run(block, x, mask)
            if (i + 1) % self._every == 0:
                x = run(self.looks[i // self._every], x, prompt, prompt_mask)
        out: Tensor = self.head(self.last_norm(x))
        return out.float()


def duration_error(predicted: Tensor, durations: Tensor, mask: Tensor) -> Tensor:
    """Return the absolute errors of log(1 + d), summed over each utterance.

    Args:
        predicted: (B, N) log(1 + d).
        durations: (B, N) d in frames, of any integer type.
        mask: (B, N) bool.

    Returns:
        (B,).
    """
    error = (predicted - torch.log1p(durations.float())).abs()
    return (error * mask).sum(1)


def pitch_errors(predicted: Tensor, f0: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the errors of a predicted pitch, summed over each utterance.

    Args:
        predicted: (B, T, 2) log F0 relative to `MEAN_LOG_F0`, and the logit of voicing.
        f0: (B, T) F0 in Hz, 0 where unvoiced.
        mask: (B, T) bool.

    Returns:
        (B,) absolute errors of log F0 over voiced frames, and (B,) cross-entropies of voicing over
        all frames.
    """
    voiced = (f0 > 0) & mask
    log_f0 = f0.clamp(min=1.0).log() - MEAN_LOG_F0  # any number where unvoiced
    pitch = ((predicted[..., 0] - log_f0).abs() * voiced).sum(1)
    voicing = functional.binary_cross_entropy_with_logits(
        predicted[..., 1], voiced.float(), reduction="none"
    )
    return pitch, (voicing * mask).sum(1)


def predicted_f0(predicted: Tensor) -> Tensor:
    """Return F0 (B, T) in Hz of a prediction (B, T, 2), 0 where it is more likely unvoiced."""
    f0 = (predicted[..., 0].clamp(-2.0, 2.5) + MEAN_LOG_F0).exp()
    return torch.where(predicted[..., 1] > 0, f0, torch.zeros_like(f0))
