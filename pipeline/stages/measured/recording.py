"""recording: what was recorded, at its own rate and as a whole, for the stages that measure it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ns2.pipeline.sound.decode import read_audio
from ns2.pipeline.stages.measured.loudness import LoudnessStage
from ns2.pipeline.stages.measured.measure import is_asked_for
from ns2.pipeline.stages.measured.mos import MosStage
from ns2.pipeline.stages.measured.quality import QualityStage
from ns2.pipeline.stages.measured.voice import VoiceStage
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

MEASURES = (QualityStage, LoudnessStage, MosStage, VoiceStage)
"""The stages that measure recordings."""


class RecordingStage(Stage):
    """Decode and mix down; nothing is resampled or cut off. Never stored.

    Takes the path of the file; gives (S,) float32 and its rate in Hz.
    """

    name: ClassVar[str] = "recording"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio_file",)
    libraries: ClassVar[tuple[str, ...]] = ("soundfile",)
    order: ClassVar[int] = 20

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """The stage, where any other one measures recordings."""
        asked = any(is_asked_for(kind, settings.options) for kind in MEASURES)
        return cls() if asked else None

    @property
    def config(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {}

    def library_versions(self) -> dict[str, str]:
        """Versions of the wrapper and of the library inside, which does the work."""
        import soundfile

        inside = str(soundfile.__libsndfile_version__)
        return {**super().library_versions(), "libsndfile": inside}

    def compute(self, item: Item) -> Product:
        """Decode the file at `item.inputs["audio_file"]`, or the `piece` of it in the record.

        Raises:
            UtteranceError: as `read_audio` does.
        """
        return Product(value=read_audio(item.inputs["audio_file"], item.record.get("piece")))
