"""The settings of the pitch extractors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ns2.pipeline.core.schema import FrameGrid

Method = Literal["path", "dio", "harvest", "praat"]
"""The pitch extractors."""


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """Settings of the F0 extraction.

    Attributes:
        method: the extractor: path (candidates of DIO and of correlations, one path over time), dio
            (DIO with StoneMask), harvest (slower) or praat (autocorrelation).
        f0_min: lowest F0 in Hz.
        f0_max: highest F0 in Hz.
        sample_rate: sample rate of the waves in Hz.
        hop_length: samples from one frame to the next.
    """

    method: Method = "path"
    f0_min: float = 50.0
    f0_max: float = 1100.0
    sample_rate: int = 24_000
    hop_length: int = 320

    def __post_init__(self) -> None:
        methods = get_args(Method)
        if self.method not in methods:
            raise ValueError(
                f"unknown pitch method {self.method!r}: choose one of {', '.join(methods)}"
            )
        if self.sample_rate < 1 or self.hop_length < 1:
            raise ValueError(
                f"sample_rate and hop_length must be positive, got {self.sample_rate} and "
                f"{self.hop_length}: take them from the codec's grid"
            )
        ceiling = self.sample_rate / 12  # above it StoneMask refuses to refine
        if not 20.0 <= self.f0_min < self.f0_max <= ceiling:
            raise ValueError(
                f"pitch range {self.f0_min:g} to {self.f0_max:g} Hz: f0_min must be at least 20, "
                f"f0_max above it and at most {ceiling:g} (a twelfth of the sample rate); "
                "50 to 1100 fits speech and song"
            )
        for name in ("f0_min", "f0_max"):  # 50 and 50.0 are one configuration
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def grid(self) -> FrameGrid:
        """The frames that F0 is found for."""
        return FrameGrid(sample_rate=self.sample_rate, hop_length=self.hop_length)

    @property
    def library(self) -> str:
        """The Python distribution whose version decides the values."""
        return "praat-parselmouth" if self.method == "praat" else "pyworld"
