"""The `phonemes` column: ids of the tokens in the phoneme table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ns2.pipeline.phoneme_table import PhonemeTable
from ns2.pipeline.schema import ColumnSpec
from ns2.pipeline.stages.base import Item, Product, Stage


class PhonemesStage(Stage):
    """Tokens to ids uint16 (N,)."""

    name: ClassVar[str] = "phonemes"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("tokens",)

    def __init__(self, table: PhonemeTable) -> None:
        self.table = table

    @property
    def config(self) -> Mapping[str, Any]:
        """The table's digest: another table, other ids."""
        return {"table": self.table.digest}

    @property
    def column(self) -> ColumnSpec:
        """Ids uint16 (N,)."""
        return ColumnSpec(name="phonemes", dtype="uint16", dims=("N",))

    def compute(self, item: Item) -> Product:
        """Ids uint16 (N,) of `tokens`.

        Raises:
            UtteranceError: UNKNOWN_PHONEME, naming the symbol.
        """
        return Product(value=self.table.ids(item.inputs["tokens"].tokens))
