"""Tokens, phonemes and durations from TextGrids: what stands in for text and aligner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from ns2.pipeline.align.textgrid.frames import align_textgrid
from ns2.pipeline.align.textgrid.marks import marks_behind
from ns2.pipeline.align.textgrid.tiers import TierNames
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import FrameGrid, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.durations import DurationsColumn
from ns2.pipeline.stages.phonemes import PhonemesStage
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

_UNKNOWN_WORD = "spn"  # MFA's phone of a word that its dictionary lacks


class TextGridTokensStage(Stage):
    """A TextGrid to an `Aligned`: tokens, words and durations. Never stored.

    Requires `audio`, for its length, `text`, for its punctuation, and `textgrid`, the path of the
    file.
    """

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 3  # raise it with the rules of `align/textgrid/` and the clauses
    requires: ClassVar[tuple[str, ...]] = ("audio", "text", "textgrid")
    # It read TextGrids once, and no longer does; its version stays in the fingerprint, so that the
    # datasets that were made with it are still current.
    scalars: ClassVar[tuple[str, ...]] = ("tokens", "phones")
    libraries: ClassVar[tuple[str, ...]] = ("praatio",)
    order: ClassVar[int] = 1

    def __init__(self, names: TierNames, grid: FrameGrid) -> None:
        self._names, self._grid = names, grid

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Where durations are read from TextGrids."""
        options = settings.options
        if options.aligner != "textgrid":
            return None
        return cls(TierNames(phones=options.phone_tier, words=options.word_tier), settings.grid)

    @property
    def config(self) -> Mapping[str, Any]:
        """Tiers and grid."""
        return {
            "aligner": "textgrid",
            "phone_tier": self._names.phones,
            "word_tier": self._names.words,
            "hop_length": self._grid.hop_length,
        }

    def compute(self, item: Item) -> Product:
        """Read the file at `item.inputs["textgrid"]`.

        Raises:
            UtteranceError: see `read_textgrid` and `align_textgrid`.
        """
        from ns2.pipeline.align.textgrid.read import read_textgrid

        textgrid = read_textgrid(Path(item.inputs["textgrid"]))
        aligned = align_textgrid(
            textgrid,
            len(item.inputs["audio"]),
            self._grid,
            self._names,
            lambda words: marks_behind(words, item.inputs["text"], item.record["language"]),
        )
        optional = PhonemeTable.default().optional
        phones = sum(token not in optional for token in aligned.tokens)
        return Product(value=aligned, scalars={"tokens": len(aligned.tokens), "phones": phones})


class TextGridPhonemesStage(PhonemesStage):
    """Tokens to ids, as `PhonemesStage`, with messages that say where in the TextGrid to look."""

    def __init__(self, table: PhonemeTable, grid: FrameGrid) -> None:
        super().__init__(table)
        self._grid = grid

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Where durations are read from TextGrids."""
        textgrid = settings.options.aligner == "textgrid"
        return cls(settings.table, settings.grid) if textgrid else None

    def compute(self, item: Item) -> Product:
        """Look up the tokens of `item.inputs["tokens"]`.

        Raises:
            UtteranceError: UNKNOWN_PHONEME, naming the label and its time.
        """
        aligned = item.inputs["tokens"]
        for token, end in zip(aligned.tokens, np.cumsum(aligned.durations), strict=True):
            if token in self.table:
                continue
            seconds = int(end) / self._grid.frame_rate
            message = (
                f"the phone {token!r} that ends at {seconds:.2f} s is not in the phoneme table"
            )
            if token.lower() == _UNKNOWN_WORD:
                message += (
                    ": the aligner did not know the word. Add the word to its dictionary and "
                    f"align again, or keep {token} as a phone of its own with --extra-phonemes"
                )
            else:
                message += "; add it with --extra-phonemes"
            raise UtteranceError(Reason.UNKNOWN_PHONEME, message)
        return super().compute(item)


class TextGridDurationsStage(DurationsColumn):
    """Durations uint16 (N,) as the TextGrid has them; there is no `align_score`.

    Requires `tokens`, an `Aligned`; and `phonemes`, to which the durations are compared.
    """

    name: ClassVar[str] = "durations"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("tokens", "phonemes")
    order: ClassVar[int] = 7

    def __init__(self, table: PhonemeTable) -> None:
        self._table = table

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Where durations are read from TextGrids."""
        return cls(settings.table) if settings.options.aligner == "textgrid" else None

    @property
    def config(self) -> Mapping[str, Any]:
        """Where they come from; the tokens' configuration says the rest."""
        return {"aligner": "textgrid"}

    def compute(self, item: Item) -> Product:
        """The durations of `item.inputs["tokens"]`: their sum is T, phones have at least 1."""
        return Product(value=item.inputs["tokens"].durations)
