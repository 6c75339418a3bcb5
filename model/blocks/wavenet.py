"""The WaveNet of the denoiser: a stack of dilated, gated convolutions, not causal.

After van den Oord et al. 2016 (arXiv:1609.03499) and DiffWave (Kong et al. 2021). Every third layer
of NaturalSpeech 2 attends to the prompt's tokens, and the result scales and shifts the layer's
input (FiLM, Perez et al. 2018).

A gated activation of 1,024 channels (the paper's "filter size") for 512 hidden channels gives the
paper's number of parameters. That number leaves no room for projections of time and content in each
layer (inferred): both are projected once, and each layer scales their channels. Time also scales
a layer's input, since how much of the noisy input must be kept depends on it.

Letters for shapes: B batch, T frames, C hidden width, F filter width, M prompt tokens, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import Attention, Conv, KeysValues, run


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig:
    """Sizes of a WaveNet."""

    layers: int = 40
    """L, the number of layers, one after the other."""

    hidden: int = 512
    """C, the width between layers."""

    filter: int = 1024
    """F, the width of the gated activation inside a layer."""

    kernel: int = 3
    """The kernel size of the dilated convolutions; odd."""

    dilation: int = 1
    """The dilation of the first convolution."""

    dilation_cycle: int = 2
    """The number of layers after which dilations, which double from layer to layer, start again;
    1 keeps all dilations equal. The paper gives "dilation 2"; were all of them 2, even and odd
    frames would never exchange information, and the phases of one could not follow those of the
    other."""

    attend_every: int = 3
    """Every how many layers one layer attends to the prompt."""

    heads: int = 8
    """The number of heads of that attention."""

    dropout: float = 0.2
    """The dropout rate of each layer's input."""

    def __post_init__(self) -> None:
        sizes = (self.layers, self.hidden, self.filter, self.dilation, self.dilation_cycle)
        if min(sizes) < 1 or self.attend_every < 1:
            raise ValueError(f"all sizes of a WaveNet must be at least 1: {self}")
        if self.kernel % 2 == 0:
            raise ValueError(f"a WaveNet's kernel must be odd, got {self.kernel}")

    def dilation_of(self, layer: int) -> int:
        """Return the dilation of one layer's convolution."""
        return self.dilation * 2 ** (layer % self.dilation_cycle)

    @property
    def reach(self) -> int:
        """The receptive field: frames that an output sees on either side of its own frame."""
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

    def forward(self, x: Tensor, tokens: Tensor, ready: KeysValues | None = None) -> Tensor:
        """Map x (B, T, C), given tokens (B, M, C), to (B, T, C); see `Attention.forward`."""
        found = self.attention(self.norm(x), tokens, None, ready)
        scale, shift = self.change(found).chunk(2, dim=-1)
        return x * (1 + scale) + shift


class WaveNetLayer(nn.Module):
    """One dilated, gated convolution, with a residual and a skip connection."""

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
        last = number == config.layers - 1  # no further layer needs its residual
        self.leave = nn.Linear(config.filter, hidden if last else 2 * hidden)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        content: Tensor | None,
        tokens: Tensor | None,
        mask: Tensor | None,
        ready: KeysValues | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the next layer's input and the skip output, (B, T, C) each; see `WaveNet`."""
        y = functional.dropout(x, self._dropout, self.training)
        if self.film is not None:
            assert tokens is not None
            y = self.film(y, tokens, ready)
        # Under autocast gains are float32, and without a cast so were all that follows of y.
        if self.content_gain is not None:
            assert content is not None
            y = y + self.content_gain.to(content.dtype) * content
        time = time[:, None]
        scale, shift = 1 + self.time_scale * time, self.time_gain * time
        y = y * scale.to(y.dtype) + shift.to(y.dtype)
        signal, gate = self.conv(y, mask).chunk(2, dim=-1)
        left = self.leave(signal.tanh() * gate.sigmoid())
        out, rest = left[..., : x.shape[-1]], left[..., x.shape[-1] :]
        return ((x + rest) * math.sqrt(0.5) if rest.shape[-1] else x), out


class WaveNet(nn.Module):
    """A stack of WaveNet layers over (B, T, C)."""

    def __init__(self, config: WaveNetConfig, *, conditional: bool = True) -> None:
        """Make the layers; without `conditional` they take neither content nor prompt."""
        super().__init__()
        self.layers = nn.ModuleList(
            WaveNetLayer(config, i, conditional) for i in range(config.layers)
        )

    def keys_values(self, tokens: Tensor) -> list[KeysValues | None]:
        """Return for each layer what it computes of the prompt's tokens (B, M, C) alone."""
        films = [layer.film for layer in self.layers]
        return [
            film.attention.keys_values(tokens) if isinstance(film, Film) else None for film in films
        ]

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        content: Tensor | None,
        tokens: Tensor | None,
        mask: Tensor | None,
        ready: Sequence[KeysValues | None] | None = None,
    ) -> Tensor:
        """Run all layers.

        Args:
            x: (B, T, C).
            time: (B, C) the embedding of the diffusion time.
            content: (B, T, C) the phoneme and pitch of each frame; None for an unconditional model.
            tokens: (B, M, C) the tokens of the prompt; None for an unconditional model.
            mask: (B, T) bool; None where nothing is padded.
            ready: what `keys_values` returned for these tokens; None computes it.

        Returns:
            (B, T, C), the sum of all layers' skip outputs, divided by the square root of L.
        """
        total = torch.zeros_like(x)
        for i, layer in enumerate(self.layers):
            x, out = run(layer, x, time, content, tokens, mask, ready[i] if ready else None)
            total = total + out
        return total / math.sqrt(len(self.layers))
