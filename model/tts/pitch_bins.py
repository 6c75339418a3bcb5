"""The pitch quantiser: F0 in Hz to bins that are even in the logarithm, and back.

Bin 0 stands for unvoiced frames. What lies outside of the range counts as its nearest bin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_HARMONICS, _SLOW = 8, 4


@dataclass(frozen=True, kw_only=True)
class PitchBins:
    """A pitch quantiser with log-spaced bins; the paper gives no numbers, so these are inferred."""

    voiced: int = 256
    """The number of bins of voiced frames, numbered from 1."""

    lowest: float = 50.0
    """The centre of bin 1 in Hz."""

    highest: float = 1100.0
    """The centre of the last bin in Hz."""

    def __post_init__(self) -> None:
        if self.voiced < 2 or not 0 < self.lowest < self.highest:
            raise ValueError(f"pitch bins need two or more, between 0 < lowest < highest: {self}")

    def __len__(self) -> int:
        return self.voiced + 1

    @property
    def step(self) -> float:
        """Distance of two bins, in natural logarithms."""
        return math.log(self.highest / self.lowest) / (self.voiced - 1)

    def bins(self, f0: Tensor) -> Tensor:
        """Bins int64 of F0 in Hz, 0 where unvoiced, of any shape."""
        above = (f0.clamp(min=self.lowest, max=self.highest) / self.lowest).log()
        found = (above / self.step).round().long() + 1
        return torch.where(f0 > 0, found, torch.zeros_like(found))

    def f0(self, bins: Tensor) -> Tensor:
        """Hz of bins, 0 for bin 0: what `bins` takes to the same bins."""
        f0 = self.lowest * ((bins - 1).float() * self.step).exp()
        return torch.where(bins > 0, f0, torch.zeros_like(f0))

    def embeddings(self, width: int, frame_rate: float) -> Tensor:
        """Where embeddings (voiced + 1, width) of the bins begin, of variance 1.

        Latents hold phases, and from one frame to the next a harmonic's phase turns by its share of
        2 pi F0 / frame_rate. Embeddings drawn apart would have to learn that turn bin by bin; these
        are random mixtures of its sines and cosines for the lowest harmonics, and of slow waves
        over log F0, so that near pitches are near from the first step on.
        """
        numbers = torch.arange(len(self))
        turn = (
            2 * math.pi * self.f0(numbers)[:, None] / frame_rate * torch.arange(1, _HARMONICS + 1)
        )
        place = math.pi * (numbers / len(self))[:, None] * 2.0 ** torch.arange(_SLOW)
        waves = torch.cat([turn.sin(), turn.cos(), place.sin(), place.cos()], dim=1)
        mixture = torch.randn(waves.shape[1], width) * math.sqrt(2 / waves.shape[1])
        return torch.cat([torch.randn(1, width), (waves @ mixture)[1:]])
