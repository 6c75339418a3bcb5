"""The WaveNet of the denoiser: dilated convolutions, one after the other, that see both sides.

After van den Oord et al. 2016 (arXiv:1609.03499) and DiffWave (Kong et al. 2021), not causal. Every
third layer of NaturalSpeech 2 attends to the prompt's tokens, and what it finds scales and shifts
the layer's input (FiLM, Perez et al. 2018).

The paper's sizes are matched by a gate of 1,024 channels ("filter size") for 512 hidden ones. They
leave no room for projections of time and content in each layer (inferred): both are projected once
and each layer weighs their channels. Time also scales what a layer sees: what has to be kept of the
input turns with it.

Letters for shapes: B batch, T frames, C hidden width, F filter width, M prompt tokens, L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import Attention, Conv


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """Sizes of a WaveNet.

    Attributes:
        layers: L, one after the other.
        hidden: C, the width between layers.
        filter: F, the width of the gate inside.
        kernel: odd.
        dilation: of the first convolution.
        dilation_cycle: dilations double from layer to layer and begin anew after so many; 1 keeps
            them alike. The paper has "dilation 2"; were all of them 2, even and odd frames would
            never hear of each other, and the phases of one could not follow those of the other.
        attend_every: every so many layers one attends to the prompt.
        heads: of that attention.
        dropout: while training.
    """

    layers: int = 40
    hidden: int = 512
    filter: int = 1024
    kernel: int = 3
    dilation: int = 1
    dilation_cycle: int = 2
    attend_every: int = 3
    heads: int = 8
    dropout: float = 0.2

    def __post_init__(self) -> None:
        sizes = (self.layers, self.hidden, self.filter, self.dilation, self.dilation_cycle)
        if min(sizes) < 1 or self.attend_every < 1:
            raise ValueError(f"all sizes of a WaveNet have to be at least 1: {self}")
        if self.kernel % 2 == 0:
            raise ValueError(f"a WaveNet's kernel has to be odd, got {self.kernel}")

    def dilation_of(self, layer: int) -> int:
        """Dilation of the convolution of one layer."""
        return self.dilation * 2 ** (layer % self.dilation_cycle)

    @property
    def reach(self) -> int:
        """Frames that an output sees on either side of its own."""
        return sum(self.dilation_of(i) for i in range(self.layers)) * (self.kernel - 1) // 2


class Film(nn.Module):
    """Attention to the prompt whose result scales and shifts each channel of each frame."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.change = nn.Linear(width, 2 * width)
        nn.init.normal_(self.change.weight, std=0.1 / math.sqrt(width))
        nn.init.zeros_(self.change.bias)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C), given tokens (B, M, C)."""
        found = self.attention(self.norm(x), tokens, None)
        scale, shift = self.change(found).chunk(2, dim=-1)
        return x * (1 + scale) + shift


class WaveNetLayer(nn.Module):
    """One dilated convolution with a gate; a residual for the next layer, a part of the output."""

    def __init__(self, config: WaveNetConfig, number: int, conditional: bool) -> None:
        super().__init__()
        self._dropout = config.dropout
        hidden, every = config.hidden, config.attend_every
        attends = conditional and number % every == every - 1
        self.film = Film(hidden, config.heads) if attends else None
        self.time_gain = nn.Parameter(torch.ones(hidden))
        self.time_scale = nn.Parameter(torch.full((hidden,), 0.1))
        self.content_gain = nn.Parameter(torch.ones(hidden)) if conditional else None
        dilation = config.dilation_of(number)
        self.conv = Conv(hidden, 2 * config.filter, config.kernel, dilation=dilation)
        last = number == config.layers - 1  # no layer takes its residual
        self.leave = nn.Linear(config.filter, hidden if last else 2 * hidden)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        content: Tensor | None,
        tokens: Tensor | None,
        mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See `WaveNet`; returns the next layer's input and what goes to the output."""
        y = functional.dropout(x, self._dropout, self.training)
        if self.film is not None:
            assert tokens is not None
            y = self.film(y, tokens)
        if self.content_gain is not None:
            assert content is not None
            y = y + self.content_gain * content
        time = time[:, None]
        y = y * (1 + self.time_scale * time) + self.time_gain * time
        signal, gate = self.conv(y, mask).chunk(2, dim=-1)
        left = self.leave(signal.tanh() * gate.sigmoid())
        out, rest = left[..., : x.shape[-1]], left[..., x.shape[-1] :]
        return ((x + rest) * math.sqrt(0.5) if rest.shape[-1] else x), out


class WaveNet(nn.Module):
    """A stack of layers over (B, T, C)."""

    def __init__(self, config: WaveNetConfig, *, conditional: bool = True) -> None:
        """Take sizes; one that is not conditional knows neither content nor prompt."""
        super().__init__()
        self.layers = nn.ModuleList(
            WaveNetLayer(config, i, conditional) for i in range(config.layers)
        )

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        content: Tensor | None,
        tokens: Tensor | None,
        mask: Tensor,
    ) -> Tensor:
        """Run the stack.

        Args:
            x: (B, T, C).
            time: embedding of the diffusion time, (B, C).
            content: what is to be said at each frame, (B, T, C).
            tokens: of the prompt, (B, M, C).
            mask: (B, T).

        Returns:
            the sum of all layers' outputs, of about the scale of one, (B, T, C).
        """
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, out = layer(x, time, content, tokens, mask)
            total = total + out
        return total / math.sqrt(len(self.layers))
