"""The `durations` column: frames of each phoneme, from an aligner trained on the corpus.

Letters for shapes: T frames, N tokens, M mel bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ns2.pipeline.align.aligner_file import LIBRARIES, as_tensors, load_aligner
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import ColumnSpec, Reason, check_durations
from ns2.pipeline.dataset.bucket.staging import local_copy, url_of
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

if TYPE_CHECKING:
    from ns2.model.aligner.hmm import Aligner


class DurationsColumn(Stage):
    """What all stages that provide durations have in common: the column and its contract."""

    _table: PhonemeTable

    @property
    def column(self) -> ColumnSpec:
        """Durations uint16 (N,)."""
        return ColumnSpec(name="durations", dtype="uint16", dims=("N",))

    def check(self, item: Item, value: Any, *, frames: int, tokens: int | None) -> None:
        """Check that durations sum to T and that every phone has at least one frame."""
        super().check(item, value, frames=frames, tokens=tokens)
        symbols = self._table.symbols(item.inputs["phonemes"])
        check_durations(item.key, value, symbols, frames=frames, optional=self._table.optional)


class DurationsStage(DurationsColumn):
    """Mel and phonemes to durations uint16 (N,), and the scalar `align_score`.

    Requires `mel`: (M, T) float16 as stored, and `phonemes`: (N,) ids.
    """

    name: ClassVar[str] = "durations"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("mel", "phonemes")
    scalars: ClassVar[tuple[str, ...]] = ("align_score",)
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    assets: ClassVar[tuple[str, ...]] = ("aligner",)
    order: ClassVar[int] = 7

    def __init__(self, table: PhonemeTable, aligner_path: Path | None = None) -> None:
        """Name a trained aligner; it is loaded later.

        Args:
            table: the phoneme table that the ids belong to.
            aligner_path: a file that `train_and_save` made; None as long as it is not settled,
                which is enough to plan with.
        """
        self._table = table
        # workers may have another working directory
        self._path = None if aligner_path is None else Path(aligner_path).absolute()
        self._url = "" if self._path is None else url_of(self._path)

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Durations by an aligner that is not settled yet, unless TextGrids tell them."""
        return cls(settings.table) if settings.options.aligner == "builtin" else None

    @property
    def config(self) -> Mapping[str, Any]:
        """Nothing of its own: the aligner is an asset with its own fingerprint."""
        return {}

    def setup(self) -> None:
        """Load the aligner.

        Raises:
            UserError: its file is missing or damaged.
        """
        _ = self._aligner

    def compute(self, item: Item) -> Product:
        """Durations that sum to T, at least 1 for phones; `align_score`, at most 0.

        Raises:
            UtteranceError: MORE_PHONES_THAN_FRAMES.
        """
        from ns2.model.aligner.alignment import align
        from ns2.model.aligner.monotonic import NoPathError

        mel, tokens = as_tensors(item.inputs["mel"], item.inputs["phonemes"])
        try:
            found = align(self._aligner, mel, tokens, evidence=True)
        except NoPathError as error:
            raise UtteranceError(Reason.MORE_PHONES_THAN_FRAMES, str(error)) from error
        durations = found.durations.numpy()
        if durations.max() > np.iinfo(np.uint16).max:
            raise ValueError(f"{item.key}: a token of {durations.max()} frames does not fit uint16")
        return Product(
            value=durations.astype(np.uint16),
            scalars={"align_score": round(found.score, 6)},
            aside=found.evidence,
        )

    @cached_property
    def _aligner(self) -> Aligner:
        if self._path is None:
            raise RuntimeError("the aligner is not settled yet: durations can only be planned")
        return load_aligner(local_copy(self._path, self._url))

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: the table, the file's name, and its URL in a bucket."""
        return {"_table": self._table, "_path": self._path, "_url": self._url}
