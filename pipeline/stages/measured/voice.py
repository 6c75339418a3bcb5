"""The `voice` column: the speaker's voice as a vector, and how far it is from the speaker's others.

Letters for shapes: E = 256 numbers of a vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.sound.quality.voice_encoder import WIDTH
from ns2.pipeline.stages.measured.measure import MeasureStage
from ns2.pipeline.stages.stage import Item, Product

if TYPE_CHECKING:
    from ns2.pipeline.sound.quality.voice_encoder import VoiceEncoder


class VoiceStage(MeasureStage):
    """A recording to the vector of its voice, float32 (E,), of length 1; 0 where no voice is.

    Requires `recording`: (S,) float32 and its rate in Hz.
    """

    name: ClassVar[str] = "voice"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("recording",)
    surveyed: ClassVar[tuple[str, ...]] = ("voice_distance",)
    libraries: ClassVar[tuple[str, ...]] = ("Resemblyzer", "librosa", "webrtcvad", "torch", "soxr")
    modules: ClassVar[tuple[str, ...]] = ("resemblyzer", "webrtcvad", "librosa")
    order: ClassVar[int] = 80

    @property
    def column(self) -> ColumnSpec:
        """A vector, float32 (E,)."""
        return ColumnSpec(name="voice", dtype="float32", dims=(WIDTH,))

    def setup(self) -> None:
        """Load the network."""
        _ = self._encoder

    def compute(self, item: Item) -> Product:
        """The vector of the recording's voice, on one thread."""
        import torch

        from ns2.model.codec.interface import one_thread

        with one_thread(), torch.inference_mode():
            vector = self._encoder.embedding(*item.inputs["recording"])
        return Product(value=vector.astype(np.float32))

    def survey(self) -> VoiceSurvey:
        """How far voices are from their speakers' others."""
        return VoiceSurvey()

    @cached_property
    def _encoder(self) -> VoiceEncoder:
        from ns2.pipeline.sound.quality.voice_encoder import VoiceEncoder

        return VoiceEncoder()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: nothing."""
        return {}


class VoiceSurvey:
    """The distance of each voice to the centre of the other utterances of its speaker.

    The utterance itself is no part of the centre, which it would draw to itself: of two utterances
    of a speaker both have the same distance. It is 1 less the cosine of the angle, 0 to 2.
    """

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: Counter[str] = Counter()

    def add(self, speaker: str, value: np.ndarray) -> None:
        """Add a vector (E,) to those of its speaker; one of zeros has no voice."""
        if value.any():
            self._counts[speaker] += 1
            self._sums[speaker] = self._sums.get(speaker, 0.0) + value.astype(np.float64)

    def fields(self, speaker: str, value: np.ndarray) -> Mapping[str, float | None]:
        """The distance; None for a speaker's only utterance, and where no voice is."""
        if not value.any() or self._counts[speaker] < 2:
            return {"voice_distance": None}
        own = value.astype(np.float64)
        centre = self._sums[speaker] - own
        length = float(np.sqrt(np.square(centre).sum() * np.square(own).sum()))
        if length == 0:
            return {"voice_distance": None}
        # a sum in fixed order: BLAS adds in an order of its own
        return {"voice_distance": 1 - float((centre * own).sum()) / length}
