"""The random numbers of a training step, drawn from the seed of each utterance.

So they depend neither on the rest of the batch, nor on its padding, the device, or the number of
processes. They are drawn on the CPU, where the next batch is prepared.

Letters for shapes: B batch, D latent width, T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ns2.model.tts.ns2_config import DiffusionConfig, Sizes

_MASK = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random numbers of a training step."""

    uniform: Tensor
    """(B,) in [0, 1): each utterance's place in the range of diffusion times."""

    noise: Tensor
    """(B, D, T) of variance 1; zeros where padded."""

    quantizer: Tensor
    """(B,) int64: the quantiser whose cross-entropy is taken."""

    drop_prompt: Tensor
    """(B,) bool: utterances that learn without their prompt."""

    drop_content: Tensor
    """(B,) bool: utterances whose denoiser learns without content."""

    self_condition: bool
    """Whether the denoiser sees an earlier estimate; one decision for the whole step."""

    def to(self, device: str | torch.device) -> Draws:
        """Copy the draws to a device; from pinned memory the copy is asynchronous."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> Draws:
        """Copy the draws to pinned memory."""
        return self._each(lambda t: t.pin_memory())

    def tensors(self) -> list[Tensor]:
        """All tensors of the draws."""
        return [value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Draws:
        changed: dict[str, Any] = {
            f.name: change(getattr(self, f.name))
            for f in fields(self)
            if f.name != "self_condition"
        }
        return replace(self, **changed)


def draw(
    seeds: Tensor,
    frames: Tensor,
    padded: int,
    sizes: Sizes,
    config: DiffusionConfig,
    *,
    self_condition: bool,
) -> Draws:
    """Draw the random numbers of a batch, on the CPU.

    Args:
        seeds: (B,) int64, the seed of each utterance.
        frames: (B,) the frames of each utterance.
        padded: T, the frames after padding.
        sizes: give the latents' width and the number of quantisers.
        config: gives the shares of dropped conditions.
        self_condition: whether the step self-conditions, which the caller decides.
    """
    count = len(seeds)
    uniform = torch.empty(count)
    noise = torch.zeros(count, sizes.latent_dim, padded)
    quantizer = torch.empty(count, dtype=torch.int64)
    drops = torch.empty(count, 2)
    rows = zip(seeds.tolist(), frames.tolist(), strict=True)
    for i, (seed, length) in enumerate(rows):
        generator = torch.Generator().manual_seed(seed & _MASK)
        uniform[i : i + 1].uniform_(generator=generator)
        quantizer[i : i + 1].random_(0, sizes.quantizers, generator=generator)
        drops[i].uniform_(generator=generator)
        noise[i, :, :length] = latent_noise(generator, sizes.latent_dim, length)
    return Draws(
        uniform=uniform,
        noise=noise,
        quantizer=quantizer,
        drop_prompt=drops[:, 0] < config.drop_prompt,
        drop_content=drops[:, 1] < config.drop_content,
        self_condition=self_condition,
    )


def latent_noise(generator: torch.Generator, latent_dim: int, frames: int) -> Tensor:
    """Draw noise (D, T) of variance 1."""
    return torch.randn(latent_dim, frames, generator=generator)
