"""The denoiser: from noised latents, time, text and voice to a prediction of clean latents.

Letters for shapes: B batch, T frames, D latent width, C hidden width, K prompt frames, M prompt
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import KeysValues, sinusoids
from ns2.model.blocks.resampler import Resampler, ResamplerConfig
from ns2.model.blocks.transformer import (
    ConditionableTransformer,
    ConditionalNorm,
    TransformerConfig,
)
from ns2.model.blocks.wavenet import WaveNet, WaveNetConfig

_TIME_SCALE = 1000.0
"""Time 0 to 1 is encoded as a position 0 to 1000, like the discrete steps of DDPM."""


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Sizes and choices of the denoiser."""

    wavenet: WaveNetConfig = field(default_factory=WaveNetConfig)
    """The WaveNet, whose hidden width is that of the whole denoiser."""

    resampler: ResamplerConfig = field(default_factory=ResamplerConfig)
    """The resampler of the speech prompt."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    """The Transformer behind the WaveNet; depth 0 leaves it out."""

    self_condition: bool = True
    """Whether the denoiser also sees its previous estimate (self-conditioning, Chen et al. 2022,
    arXiv:2208.04202)."""

    @property
    def reach(self) -> int | None:
        """The receptive field: frames of noised latents on either side; None for all frames."""
        return None if self.transformer.depth else self.wavenet.reach


@dataclass(frozen=True)
class Conditions:
    """What a denoiser computes of text and voice, which is the same in each step of a sampler."""

    content: Tensor | None
    """(B, T, C) the projected content."""

    tokens: Tensor | None
    """(B, M, C) the tokens of the prompt."""

    ready: list[KeysValues | None] | None
    """For each layer of the WaveNet the keys and values of the tokens, where it attends."""


class Denoiser(nn.Module):
    """Predicts the objective (x0, eps or v) at each frame."""

    def __init__(
        self, config: DenoiserConfig, *, latent_dim: int, width: int, conditional: bool = True
    ) -> None:
        """Make the layers.

        Args:
            config: sizes and choices.
            latent_dim: D.
            width: the width of the states of phonemes and prompt.
            conditional: False for a model of latents alone.
        """
        super().__init__()
        hidden = config.wavenet.hidden
        self.config = config
        self._hidden = hidden
        self.enter = nn.Linear(latent_dim * (2 if config.self_condition else 1), hidden)
        self.time = nn.Sequential(
            nn.Linear(hidden, 4 * hidden), nn.SiLU(), nn.Linear(4 * hidden, hidden)
        )
        self.content = nn.Linear(width, hidden) if conditional else None
        self.prompt = nn.Linear(width, hidden) if conditional and width != hidden else None
        self.resampler = Resampler(config.resampler, hidden) if conditional else None
        self.wavenet = WaveNet(config.wavenet, conditional=conditional)
        self.transformer = (
            ConditionableTransformer(config.transformer, hidden, conditional=conditional)
            if config.transformer.depth
            else None
        )
        self.last_norm = ConditionalNorm(hidden)
        self.leave = nn.Linear(hidden, latent_dim)
        self.pass_on = nn.Linear(hidden, latent_dim)
        nn.init.normal_(self.pass_on.weight, std=0.1 / hidden**0.5)
        nn.init.zeros_(self.pass_on.bias)

    def tokens(self, prompt: Tensor, prompt_mask: Tensor) -> Tensor | None:
        """Resample the prompt's states for `forward`; a sampler needs to do this only once.

        Args:
            prompt: (B, K, width) states of the prompt encoder.
            prompt_mask: (B, K) bool.

        Returns:
            (B, M, C); None for an unconditional model.
        """
        if self.resampler is None:
            return None
        if self.prompt is not None:
            prompt = self.prompt(prompt)
        out: Tensor = self.resampler(prompt, prompt_mask)
        return out

    def conditions(self, content: Tensor | None, tokens: Tensor | None) -> Conditions:
        """Compute what all steps of a sampler share.

        Args:
            content: (B, T, width) the phoneme and pitch of each frame.
            tokens: (B, M, C) the result of `tokens`.
        """
        return Conditions(
            content=None if self.content is None else self.content(content),
            tokens=tokens,
            ready=None if tokens is None else self.wavenet.keys_values(tokens),
        )

    def forward(
        self,
        noised: Tensor,
        time: Tensor,
        mask: Tensor | None,
        *,
        content: Tensor | None = None,
        tokens: Tensor | None = None,
        estimate: Tensor | None = None,
        conditions: Conditions | None = None,
    ) -> Tensor:
        """Predict the objective.

        Args:
            noised: (B, D, T) noised latents.
            time: (B,) the diffusion times, 0 to 1.
            mask: (B, T) bool; None where nothing is padded.
            content: (B, T, width) the phoneme and pitch of each frame.
            tokens: (B, M, C) the result of `tokens`.
            estimate: (B, D, T) an earlier estimate of the clean latents, if there is one.
            conditions: the result of `conditions`, instead of content and tokens.

        Returns:
            (B, D, T) float32, zeros outside of the mask.
        """
        seen = noised
        if self.config.self_condition:
            earlier = torch.zeros_like(noised) if estimate is None else estimate
            seen = torch.cat([noised, earlier], dim=1)
        x = self.enter(seen.transpose(1, 2))
        at = self.time(sinusoids(time * _TIME_SCALE, self._hidden).to(x.dtype))
        if conditions is None:
            said = None if self.content is None else self.content(content)
            x = self.wavenet(x, at, said, tokens, mask)
        else:
            tokens = conditions.tokens
            x = self.wavenet(x, at, conditions.content, tokens, mask, conditions.ready)
        if self.transformer is not None:
            x = self.transformer(x, at, tokens, mask)
        x = self.leave(functional.silu(self.last_norm(x, at)))
        # eps and v contain the noise itself, which gated layers pass on badly, so a skip connection
        # adds the noised latents, scaled as the time needs it.
        direct = self.pass_on(at).float()[..., None] * noised.float()
        predicted: Tensor = x.float().transpose(1, 2) + direct
        return predicted if mask is None else predicted * mask[:, None]
