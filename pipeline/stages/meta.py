"""The `meta` column: what an utterance is, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings


class MetaStage(Stage):
    """Text, tokens, words, speaker, language and origin of an utterance."""

    name: ClassVar[str] = "meta"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio", "text", "record", "tokens")
    order: ClassVar[int] = 3

    @classmethod
    def of(cls, settings: StageSettings) -> Self:
        """Every run can make it."""
        return cls()

    @property
    def config(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {}

    @property
    def column(self) -> ColumnSpec:
        """JSON, one object an utterance."""
        return ColumnSpec(name="meta", dtype="json", dims=())

    def compute(self, item: Item) -> Product:
        """The object of one utterance: `schema.META_FIELDS`, and `piece` of a part of a file."""
        spoken = item.inputs["tokens"]
        value = {
            "text": item.inputs["text"],
            "phonemes": list(spoken.tokens),
            "words": [list(word) for word in spoken.words],
            "samples": len(item.inputs["audio"]),
            **{name: item.record[name] for name in _RECORD},
        }
        if "piece" in item.record:
            value["piece"] = item.record["piece"].to_json()
        return Product(value=value)


_RECORD = ("speaker", "language", "id", "source", "audio_hash")
