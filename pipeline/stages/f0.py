"""The `f0` column: the fundamental frequency of the audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.core.versions import version
from ns2.pipeline.sound.f0.evidence import VERSION as EVIDENCE
from ns2.pipeline.sound.f0.path import weights_digest
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0, f0_scalars, f0_sums
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings


class F0Stage(Stage):
    """Audio to F0 in Hz, float32 (T,), 0 where unvoiced; see `ns2.pipeline.sound.pitch`.

    Requires `audio`: (S,) float32 at the configuration's sample rate.
    """

    name: ClassVar[str] = "f0"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio",)
    scalars: ClassVar[tuple[str, ...]] = ("voiced_share", "f0_median")
    libraries: ClassVar[tuple[str, ...]] = ("pyworld", "praat-parselmouth")
    order: ClassVar[int] = 5

    def __init__(self, config: PitchConfig | None = None) -> None:
        self._config = config or PitchConfig()

    @classmethod
    def of(cls, settings: StageSettings) -> Self:
        """F0 on the run's grid.

        Raises:
            ValueError: the pitch range is none.
        """
        options, grid = settings.options, settings.grid
        return cls(
            PitchConfig(
                method=options.f0,
                f0_min=options.f0_min,
                f0_max=options.f0_max,
                sample_rate=grid.sample_rate,
                hop_length=grid.hop_length,
            )
        )

    @property
    def config(self) -> Mapping[str, Any]:
        """The fields of `PitchConfig`."""
        return asdict(self._config)

    @property
    def column(self) -> ColumnSpec:
        """F0 float32 (T,)."""
        return ColumnSpec(name="f0", dtype="float32", dims=("T",))

    def compute(self, item: Item) -> Product:
        """F0 of `audio`, with `voiced_share` and `f0_median` as scalars."""
        f0 = extract_f0(np.asarray(item.inputs["audio"]), self._config)
        return Product(value=f0, scalars=f0_scalars(f0))

    def summarise(self, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
        """Counts and sums over voiced frames, see `ns2.pipeline.sound.pitch.f0_sums`."""
        return f0_sums(arrays)

    def library_versions(self) -> dict[str, str]:
        """The versions of the one library that the method uses, and of path's parts."""
        library = {self._config.library: version(self._config.library)}
        parts = {"pitch weights": weights_digest(), "pitch evidence": str(EVIDENCE)}
        return library | parts if self._is_path else library

    @property
    def _is_path(self) -> bool:
        return self._config.method == "path"
