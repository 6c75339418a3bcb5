"""The `mos` column: how good a recording sounds, as DNSMOS predicts what listeners would say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ns2.pipeline.stages.measured.measure import MeasureStage
from ns2.pipeline.stages.stage import Item, ScalarStage

if TYPE_CHECKING:
    from ns2.pipeline.sound.quality.dnsmos import Dnsmos


class MosStage(MeasureStage, ScalarStage):
    """A recording to mean opinion scores, see `ns2.pipeline.sound.quality.dnsmos`.

    Requires `recording`: (S,) float32 and its rate in Hz.
    """

    name: ClassVar[str] = "mos"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("recording",)
    scalars: ClassVar[tuple[str, ...]] = (
        "mos_signal", "mos_background", "mos_overall", "mos_p808",
    )  # fmt: skip
    libraries: ClassVar[tuple[str, ...]] = ("speechmos", "onnxruntime", "librosa", "soxr")
    modules: ClassVar[tuple[str, ...]] = ("speechmos", "onnxruntime", "librosa", "requests")
    order: ClassVar[int] = 90

    def setup(self) -> None:
        """Load the networks."""
        _ = self._judge

    def measure(self, item: Item) -> Mapping[str, float | None]:
        """Scores of 1 (bad) to 5."""
        found = self._judge.scores(*item.inputs["recording"])
        return {f"mos_{name}": value for name, value in vars(found).items()}

    @cached_property
    def _judge(self) -> Dnsmos:
        from ns2.pipeline.sound.quality.dnsmos import Dnsmos

        return Dnsmos()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: nothing."""
        return {}
