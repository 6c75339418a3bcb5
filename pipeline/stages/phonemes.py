"""Phonemes: the ids of the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import COLUMNS, ColumnSpec
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings


class PhonemesStage(Stage):
    """Tokens to ids in a phoneme table: (N,) uint16."""

    name: ClassVar[str] = "phonemes"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("tokens",)
    order: ClassVar[int] = 2

    def __init__(self, table: PhonemeTable) -> None:
        self.table = table

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Ids in the table of the run, unless TextGrids tell the phones."""
        return cls(settings.table) if settings.options.aligner == "builtin" else None

    @property
    def config(self) -> Mapping[str, Any]:
        """The table alone decides the ids."""
        return {"table": self.table.digest}

    @property
    def column(self) -> ColumnSpec:
        """N ids."""
        dtype, dims = COLUMNS["phonemes"]
        return ColumnSpec(name="phonemes", dtype=dtype, dims=dims)

    def compute(self, item: Item) -> Product:
        """Look up the tokens of `item.inputs["tokens"]`.

        Raises:
            UtteranceError: UNKNOWN_PHONEME, naming the symbol.
        """
        return Product(value=self.table.ids(item.inputs["tokens"].tokens))

    def write_asset(self, folder: Path, fingerprint: str) -> Path:
        """Write the phoneme table, which gives the ids their meaning."""
        path = folder / f"phonemes-{fingerprint}.json"
        write_if_changed(path, canonical_json(self.table.to_json()).encode())
        return path
