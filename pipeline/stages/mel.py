"""The `mel` column: the log-mel spectrogram of the audio.

Letters for shapes: S samples, T frames, M mel bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ns2.model.codec.interface import one_thread
from ns2.model.log_mel import MelConfig
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

if TYPE_CHECKING:
    from ns2.model.log_mel import LogMel


class MelStage(Stage):
    """Audio to log-mel float16 (M, T), see `ns2.model.log_mel.LogMel`.

    Requires `audio`: (S,) float32 at the configuration's sample rate.
    """

    name: ClassVar[str] = "mel"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio",)
    libraries: ClassVar[tuple[str, ...]] = ("torch", "torchaudio")
    order: ClassVar[int] = 4

    def __init__(self, config: MelConfig | None = None) -> None:
        self._config = config or MelConfig()

    @classmethod
    def of(cls, settings: StageSettings) -> Self:
        """Mels on the run's grid, up to half of its rate."""
        rate, hop = settings.grid.sample_rate, settings.grid.hop_length
        return cls(MelConfig(sample_rate=rate, hop_length=hop, fmax=rate / 2))

    @property
    def config(self) -> Mapping[str, Any]:
        """The fields of `MelConfig`."""
        return asdict(self._config)

    @property
    def column(self) -> ColumnSpec:
        """Log-mel float16 (M, T)."""
        return ColumnSpec(name="mel", dtype="float16", dims=(self._config.bins, "T"))

    def setup(self) -> None:
        """Load torch and make the filters."""
        _ = self._transform

    def compute(self, item: Item) -> Product:
        """Log-mel float16 (M, T) of `audio` (S,) float32, on one thread."""
        import torch

        with one_thread(), torch.inference_mode():
            wave = torch.tensor(np.asarray(item.inputs["audio"], dtype=np.float32))
            mel = self._transform(wave)
        return Product(value=mel.numpy().astype(np.float16))

    @cached_property
    def _transform(self) -> LogMel:
        from ns2.model.log_mel import LogMel

        return LogMel(self._config)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: the settings alone."""
        return {"_config": self._config}
