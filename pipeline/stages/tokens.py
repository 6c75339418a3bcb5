"""The transient `tokens`: what is spoken, as IPA phones with borders and pauses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ns2.pipeline.stages.base import Item, Product, Stage


class TokensStage(Stage):
    """Text to a `Pronunciation`, by espeak-ng. Requires `text`, and the record's `language`.

    Raise `version` whenever `pipeline/text*.py` reads any text differently.
    """

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("text",)
    libraries: ClassVar[tuple[str, ...]] = ("espeakng-loader", "phonemizer", "num2words")

    @property
    def config(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {}

    def compute(self, item: Item) -> Product:
        """A `Pronunciation`; scalars `tokens` (N) and `phones` (those that are no pause)."""
        from ns2.pipeline.text import pronounce

        spoken = pronounce(item.inputs["text"], item.record["language"])
        phones = sum(end - first for _, first, end in spoken.words)
        return Product(value=spoken, scalars={"tokens": len(spoken.tokens), "phones": phones})
