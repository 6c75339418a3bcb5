"""Tokens: the pronunciation of a transcript, which the columns `phonemes` and `meta` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings


class TokensStage(Stage):
    """Text to a `Pronunciation`: IPA tokens and the spans of the words."""

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 2  # raise it with every change of the normaliser or the clauses
    requires: ClassVar[tuple[str, ...]] = ("text",)
    libraries: ClassVar[tuple[str, ...]] = ("espeakng-loader", "phonemizer", "num2words")
    order: ClassVar[int] = 1

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """The text is pronounced unless TextGrids tell the phones."""
        return cls() if settings.options.aligner == "builtin" else None

    @property
    def config(self) -> Mapping[str, Any]:
        """The table decides how phones are taken apart that espeak-ng ran together."""
        return {"table": PhonemeTable.default().digest}

    def compute(self, item: Item) -> Product:
        """Speak `item.inputs["text"]` in `item.record["language"]`.

        Raises:
            UtteranceError: see `ns2.pipeline.text.pronunciation.pronounce`.
        """
        from ns2.pipeline.text.pronunciation import pronounce

        spoken = pronounce(item.inputs["text"], item.record["language"])
        optional = PhonemeTable.default().optional
        phones = sum(token not in optional for token in spoken.tokens)
        return Product(value=spoken, scalars={"tokens": len(spoken.tokens), "phones": phones})
