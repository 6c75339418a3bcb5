"""What a stage is: a declaration, a set-up once a worker, then utterances in, arrays out.

A new stage is one new file in this folder with one subclass of `Stage`: `stages.catalogue` finds
it, and all that is special about it is said by its hooks. A new column needs no more than that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid, check_array
from ns2.pipeline.core.versions import version
from ns2.pipeline.dataset.phoneme_table import PhonemeTable


class StageOptions(Protocol):
    """The options of a run that stages read; see `preprocess.options.Options`."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def quality(self) -> bool: ...
    @property
    def trim(self) -> bool: ...
    @property
    def loudness(self) -> float | None: ...
    @property
    def codec(self) -> str: ...
    @property
    def codec_weights(self) -> Path | None: ...
    @property
    def quantizers(self) -> int | None: ...
    @property
    def f0(self) -> Literal["path", "dio", "harvest", "praat"]: ...
    @property
    def f0_min(self) -> float: ...
    @property
    def f0_max(self) -> float: ...
    @property
    def aligner(self) -> Literal["builtin", "textgrid"]: ...
    @property
    def lexicon(self) -> Path | None: ...
    @property
    def g2p(self) -> tuple[str, ...]: ...
    @property
    def phone_tier(self) -> str: ...
    @property
    def word_tier(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What all stages of a run are made from."""

    options: StageOptions
    grid: FrameGrid
    table: PhonemeTable


@dataclass(frozen=True, kw_only=True)
class Item:
    """One utterance as a stage sees it.

    Attributes:
        key: its WebDataset key.
        record: id, source, speaker, language, text, audio_hash; for a part of a recording its
            `piece`, which belongs to the source `audio_file`; and where the corpus gives them its
            `phonemes`, which belong to the source `text`.
        inputs: what the stage requires, by name: products of other stages (their `value`).
        aside: what these products bring along, by the same names; a stored one brings nothing.
    """

    key: str
    record: Mapping[str, Any]
    inputs: Mapping[str, Any]
    aside: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Product:
    """What a stage makes of one utterance.

    Attributes:
        value: the column's array, a mapping for `json` columns, anything if transient.
        scalars: finite numbers for the index, of the names that the stage declares; what can't be
            said of the utterance is left out. The scalar `samples` is the length S of the
            utterance, which decides how many frames its arrays have.
        aside: what a stage that requires this one would have to work out again; never stored.
    """

    value: Any
    scalars: Mapping[str, float] = field(default_factory=dict)
    aside: Any = None


class Survey(Protocol):
    """What can be said of an utterance only once the values of all are known."""

    def add(self, speaker: str, value: Any) -> None:
        """Take the value of an utterance; each comes once, in the order of the dataset."""

    def fields(self, speaker: str, value: Any) -> Mapping[str, float | None]:
        """What the index says of an utterance, by the names in `Stage.surveyed`."""


class Stage(ABC):
    """One kind of work on utterances.

    Class attributes:
        name: of the stage and of what it provides: a column, or a transient (never stored) value.
        version: raised whenever its values change for the same configuration.
        requires: sources (`audio_file`, `text`, `record`, `textgrid`) and names of other stages.
        scalars: names of the numbers that its products bring along for the index.
        surveyed: names of the numbers of the index that its `survey` gives.
        libraries: distributions whose versions decide its values.
        assets: names of the trained things it needs.
        accelerated: it works on a GPU where a worker has one, on batches.
        order: of stages whose requirements are met, those with a lower number come first; cheap
            stages come before expensive ones.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    requires: ClassVar[tuple[str, ...]]
    scalars: ClassVar[tuple[str, ...]] = ()
    surveyed: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ()
    assets: ClassVar[tuple[str, ...]] = ()
    accelerated: ClassVar[bool] = False
    order: ClassVar[int] = 100

    device: str = "cpu"
    """Torch's name of where it works; a worker sets it before `setup`."""

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """The stage of a run with these settings, or None if the run has no such stage.

        Raises:
            UserError, ValueError: an option has a value that it can't work with.
        """
        return cls()

    def prepare(self) -> None:  # noqa: B027 - most stages have nothing to find
        """Find what the stage needs before any work begins, such as weights; called once a run.

        Raises:
            UserError: it is not there; the message says what to do.
        """

    @property
    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """All settings that decide its values, as JSON values."""

    @property
    def column(self) -> ColumnSpec | None:
        """The column it provides, or None for a transient stage."""
        return None

    def setup(self) -> None:  # noqa: B027 - most stages have nothing to set up
        """Load what is heavy; called once a worker before the first utterance."""

    @abstractmethod
    def compute(self, item: Item) -> Product:
        """Make the product of one utterance.

        Raises:
            UtteranceError: the utterance can't be used; no other is touched by it.
        """

    def compute_batch(self, items: Sequence[Item]) -> list[Product | Exception]:
        """Products of several utterances, in order; what is raised takes the product's place."""
        results: list[Product | Exception] = []
        for item in items:
            try:
                results.append(self.compute(item))
            except Exception as error:
                results.append(error)
        return results

    def check(self, item: Item, value: Any, *, frames: int, tokens: int | None) -> None:
        """Check a value against the frame contract before it is written.

        Args:
            value: what `compute` made of the item, for the stage's column.
            frames: T of the utterance.
            tokens: N of the utterance, or None where it is not known.

        Raises:
            ValueError: naming the key, what was expected and what came.
        """
        spec = self.column
        if spec is not None and spec.dtype != "json":
            check_array(spec, item.key, value, frames=frames, tokens=tokens)

    def write_asset(self, folder: Path, fingerprint: str) -> Path | None:
        """Write the file that a dataset's `assets/` keeps for this stage, if it needs one.

        Args:
            folder: the assets folder; it exists.
            fingerprint: of the stage, which is part of the file's name.

        Returns:
            the file, or None where the stage has none.
        """
        return None

    def summarise(self, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
        """Float64 sums over the arrays of a shard, for statistics in the card."""
        return {}

    def survey(self) -> Survey | None:
        """What is to see the values of all utterances before the index is written, if anything."""
        return None

    def library_versions(self) -> dict[str, str]:
        """Versions of the libraries that decide its values."""
        return {name: version(name) for name in self.libraries}


class ScalarStage(Stage):
    """A stage whose column is a JSON object of numbers, which are fields of the index as well.

    A subclass names them in `scalars` and gives them in `measure`.
    """

    @property
    def column(self) -> ColumnSpec:
        """JSON, one object an utterance: a number, or null, for each of `scalars`."""
        return ColumnSpec(name=self.name, dtype="json", dims=())

    @abstractmethod
    def measure(self, item: Item) -> Mapping[str, float | None]:
        """The numbers of one utterance; None, or no entry, where one can't be said."""

    def compute(self, item: Item) -> Product:
        """The object and the scalars of what `measure` says."""
        found = self.measure(item)
        numbers = {name: float(value) for name, value in found.items() if value is not None}
        return Product(value={name: numbers.get(name) for name in self.scalars}, scalars=numbers)


__all__ = ["Item", "Product", "ScalarStage", "Stage", "Survey", "UtteranceError"]
