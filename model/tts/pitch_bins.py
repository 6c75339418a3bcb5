"""The pitch quantiser, which maps F0 in Hz to log-spaced bins and back.

Bin 0 stands for unvoiced frames. F0 outside of the range gets the nearest bin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_HARMONICS = 8
"""The harmonics whose phase advance is in the initial embeddings."""
_SLOW = 4
"""The slow waves over log F0 in the initial embeddings."""


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
            raise ValueError(f"pitch bins need voiced >= 2 and 0 < lowest < highest: {self}")

    def __len__(self) -> int:
        return self.voiced + 1

    @property
    def step(self) -> float:
        """The distance of two bins in natural log F0."""
        return math.log(self.highest / self.lowest) / (self.voiced - 1)

    def bins(self, f0: Tensor) -> Tensor:
        """Return the bins (int64) of F0 in Hz, 0 where unvoiced, of any shape."""
        above = (f0.clamp(min=self.lowest, max=self.highest) / self.lowest).log()
        found = (above / self.step).round().long() + 1
        return torch.where(f0 > 0, found, torch.zeros_like(found))

    def f0(self, bins: Tensor) -> Tensor:
        """Return F0 in Hz at the centres of bins, 0 for bin 0."""
        f0 = self.lowest * ((bins - 1).float() * self.step).exp()
        return torch.where(bins > 0, f0, torch.zeros_like(f0))

    def embeddings(self, width: int, frame_rate: float) -> Tensor:
        """Draw initial embeddings of the bins, of variance 1.

        Latents contain phases, and from one frame to the next the phase of harmonic k advances by
        2 pi k F0 / frame_rate. Independent embeddings would have to learn that advance bin by bin.
        These are random mixtures of its sines and cosines for the lowest harmonics, and of slow
        waves over log F0, so that similar pitches have similar embeddings from the first step on.

        Args:
            width: C, the width of an embedding.
            frame_rate: frames per second.

        Returns:
            (voiced + 1, C).
        """
        if torch.get_default_device().type == "meta":  # only the size is asked for
            return torch.empty(len(self), width)
        numbers = torch.arange(len(self))
        turn = (
            2 * math.pi * self.f0(numbers)[:, None] / frame_rate * torch.arange(1, _HARMONICS + 1)
        )
        place = math.pi * (numbers / len(self))[:, None] * 2.0 ** torch.arange(_SLOW)
        waves = torch.cat([turn.sin(), turn.cos(), place.sin(), place.cos()], dim=1)
        mixture = torch.randn(waves.shape[1], width) * math.sqrt(2 / waves.shape[1])
        return torch.cat([torch.randn(1, width), (waves @ mixture)[1:]])
