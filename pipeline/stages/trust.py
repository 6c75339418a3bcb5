"""The `trust` column: how likely it is that tokens start where their durations put them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ns2.model.aligner.confidence import doubt, token_confidence
from ns2.pipeline.align.aligner_file import LIBRARIES, as_tensors, load_aligner
from ns2.pipeline.align.border_confidence import border_net, weights_digest
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid
from ns2.pipeline.dataset.bucket.staging import local_copy, url_of
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

if TYPE_CHECKING:
    from ns2.model.aligner.hmm import Aligner


class TrustStage(Stage):
    """Durations to the confidence in each token's start, float16 (N,), from 0 to 1.

    Requires `mel`, `phonemes` and `durations` as stored. Durations that were just found bring along
    what the aligner knows of their borders; for stored ones it is worked out again.
    """

    name: ClassVar[str] = "trust"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("mel", "phonemes", "durations")
    scalars: ClassVar[tuple[str, ...]] = ("border_error", "worst_word", "worst_word_time")
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    assets: ClassVar[tuple[str, ...]] = ("aligner",)
    order: ClassVar[int] = 8

    def __init__(
        self, table: PhonemeTable, grid: FrameGrid, aligner_path: Path | None = None
    ) -> None:
        """Name a trained aligner; it is loaded where it is needed.

        Args:
            table: the phoneme table that the ids belong to.
            grid: the frame grid of the durations.
            aligner_path: as `DurationsStage` has it.
        """
        self._table, self._grid = table, grid
        self._path = None if aligner_path is None else Path(aligner_path).absolute()
        self._url = "" if self._path is None else url_of(self._path)

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Where an aligner finds the durations: TextGrids say nothing of how sure they are."""
        if settings.options.aligner != "builtin":
            return None
        return cls(settings.table, settings.grid)

    def with_aligner(self, path: Path) -> TrustStage:
        """The same stage with a trained aligner."""
        return TrustStage(self._table, self._grid, path)

    @property
    def config(self) -> Mapping[str, Any]:
        """Nothing of its own."""
        return {}

    @property
    def column(self) -> ColumnSpec:
        """Confidence float16 (N,)."""
        return ColumnSpec(name=self.name, dtype="float16", dims=("N",))

    def compute(self, item: Item) -> Product:
        """The probability that each token starts within 50 ms of where its durations put it.

        `border_error` is the share of the starts of phones, but for the first, that are expected to
        be farther off; `worst_word` that of the phones of the word with the largest such share, and
        `worst_word_time` the second at which that word begins.
        """
        durations = np.asarray(item.inputs["durations"]).astype(np.int64)
        evidence = item.aside.get("durations")
        if evidence is None:
            evidence = self._worked_out(item, durations)
        found = token_confidence(border_net().confidence(evidence), durations)
        silent = np.isin(self._table.symbols(item.inputs["phonemes"]), [*self._table.optional])
        said = doubt(found, silent)
        if said is None:
            return Product(value=found.astype(np.float16))
        begins = float(durations[: said.word].sum() / self._grid.frame_rate)
        scalars = {
            "border_error": said.border_error,
            "worst_word": said.word_error,
            "worst_word_time": begins,
        }
        return Product(
            value=found.astype(np.float16),
            scalars={name: round(v, 4) for name, v in scalars.items()},
        )

    def check(self, item: Item, value: Any, *, frames: int, tokens: int | None) -> None:
        """Check that there is a probability for each token."""
        super().check(item, value, frames=frames, tokens=tokens)
        if not ((value >= 0) & (value <= 1)).all():
            raise ValueError(f"{self.name} of {item.key}: expected probabilities")

    def library_versions(self) -> dict[str, str]:
        """Those of the durations', and the weights of the network that judges borders."""
        return {**super().library_versions(), "border weights": weights_digest()}

    def _worked_out(self, item: Item, durations: np.ndarray) -> np.ndarray:
        import torch

        from ns2.model.aligner.alignment import evidence_of

        mel, tokens = as_tensors(item.inputs["mel"], item.inputs["phonemes"])
        return evidence_of(self._aligner, mel, tokens, torch.from_numpy(durations))

    @cached_property
    def _aligner(self) -> Aligner:
        if self._path is None:
            raise RuntimeError("the aligner is not settled yet: trust can only be planned")
        return load_aligner(local_copy(self._path, self._url))

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: the table, the grid and the file's name."""
        named = {"_path": self._path, "_url": self._url}
        return {"_table": self._table, "_grid": self._grid, **named}
