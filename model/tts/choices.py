"""How an utterance is generated. No torch is loaded here, so that commands can show it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ns2.model.diffusion.sampler_config import SamplerConfig


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How an utterance is generated."""

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """The sampler and its settings."""

    guidance: float = 1.0
    """The scale of classifier-free guidance; 1 guides nothing."""

    rescale: float = 0.0
    """How far the standard deviation of the guided estimate is brought back to that of the
    conditional one, from 0 (not at all) to 1 (wholly)."""

    speed: float = 1.0
    """The factor of the speaking rate: 2 is twice as fast."""

    semitones: float = 0.0
    """The number of semitones by which a predicted or given pitch is raised."""

    def __post_init__(self) -> None:
        for name in ("speed", "guidance", "semitones"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} has to be finite, got {getattr(self, name)}")
        if not self.speed > 0:
            raise ValueError(f"speed has to be above 0, got {self.speed}")
        if self.guidance < 0:
            raise ValueError(f"guidance can't be negative, got {self.guidance}")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale has to lie between 0 and 1, got {self.rescale}")
