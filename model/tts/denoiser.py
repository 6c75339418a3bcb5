"""The denoiser: noised latents, their time, text and voice to a prediction of clean latents.

Letters for shapes: B batch, T frames, D latent width, C hidden width, K prompt frames, M tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import sinusoids
from ns2.model.blocks.resampler import Resampler, ResamplerConfig
from ns2.model.blocks.transformer import (
    ConditionableTransformer,
    ConditionalNorm,
    TransformerConfig,
)
from ns2.model.blocks.wavenet import WaveNet, WaveNetConfig

_TIME_SCALE = 1000.0
"""Time 0 to 1 becomes a position 0 to 1000, as the discrete steps of older models were."""


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
        """Frames of noised latents that an output sees on either side; None for all."""
        return None if self.transformer.depth else self.wavenet.reach


class Denoiser(nn.Module):
    """Predicts, for each frame, what the objective asks for."""

    def __init__(
        self, config: DenoiserConfig, *, latent_dim: int, width: int, conditional: bool = True
    ) -> None:
        """Take sizes.

        Args:
            latent_dim: D.
            width: of the states of text and prompt.
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
        """What the layers see of a prompt: (B, M, C) of states (B, K, width).

        It does not depend on the diffusion time: a sampler needs it once.
        """
        if self.resampler is None:
            return None
        if self.prompt is not None:
            prompt = self.prompt(prompt)
        out: Tensor = self.resampler(prompt, prompt_mask)
        return out

    def forward(
        self,
        noised: Tensor,
        time: Tensor,
        mask: Tensor,
        *,
        content: Tensor | None = None,
        tokens: Tensor | None = None,
        estimate: Tensor | None = None,
    ) -> Tensor:
        """Predict.

        Args:
            noised: latents at that time, (B, D, T).
            time: 0 to 1, (B,).
            mask: (B, T).
            content: states of what is said at each frame, (B, T, width).
            tokens: of the prompt, see `tokens`.
            estimate: an earlier estimate of the clean latents, (B, D, T); None for none.

        Returns:
            (B, D, T) float32, zeros outside of the mask.
        """
        seen = noised
        if self.config.self_condition:
            earlier = torch.zeros_like(noised) if estimate is None else estimate
            seen = torch.cat([noised, earlier], dim=1)
        x = self.enter(seen.transpose(1, 2))
        at = self.time(sinusoids(time * _TIME_SCALE, self._hidden).to(x.dtype))
        said = None if self.content is None else self.content(content)
        x = self.wavenet(x, at, said, tokens, mask)
        if self.transformer is not None:
            x = self.transformer(x, at, tokens, mask)
        x = self.leave(functional.silu(self.last_norm(x, at)))
        # eps and v hold the noise itself, which gates pass on badly: as much of it as the time asks
        direct = self.pass_on(at).float()[..., None] * noised.float()
        return (x.float().transpose(1, 2) + direct) * mask[:, None]
