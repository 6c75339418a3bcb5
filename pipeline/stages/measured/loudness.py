"""The `loudness` column: how loud a recording is, as people hear it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ns2.pipeline.sound.quality.lufs import integrated_loudness
from ns2.pipeline.stages.measured.measure import MeasureStage
from ns2.pipeline.stages.stage import Item, ScalarStage


class LoudnessStage(MeasureStage, ScalarStage):
    """A recording to its integrated loudness.

    Requires `recording`: (S,) float32 and its rate in Hz.
    """

    name: ClassVar[str] = "loudness"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("recording",)
    scalars: ClassVar[tuple[str, ...]] = ("lufs",)
    libraries: ClassVar[tuple[str, ...]] = ("pyloudnorm", "scipy")
    modules: ClassVar[tuple[str, ...]] = ("pyloudnorm",)
    order: ClassVar[int] = 22

    def measure(self, item: Item) -> Mapping[str, float | None]:
        """LUFS; None where the recording is too short or too quiet."""
        return {"lufs": integrated_loudness(*item.inputs["recording"])}
