"""The graph of stages: which column needs what, and the fingerprint that names its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid
from ns2.pipeline.dataset.index import CORE_SCALARS
from ns2.pipeline.dataset.layout import FINGERPRINT_DIGITS
from ns2.pipeline.stages.stage import Stage

SOURCES = ("audio_file", "text", "record", "textgrid")
"""What comes from the corpus: the recording, the transcript, and who, what and whence; and from
elsewhere, its TextGrid."""

SCREEN = ("audio", "tokens", "phonemes")
"""Stages that decide whether an utterance is in the dataset at all."""


@dataclass(frozen=True)
class Graph:
    """Stages by name, in an order in which each comes after what it requires.

    Attributes:
        assets: fingerprints of the trained things that are settled, by name.
        added: columns that are made beside those that `--columns` names.
    """

    grid: FrameGrid
    stages: Mapping[str, Stage]
    assets: Mapping[str, str]
    added: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        seen = set(SOURCES)
        for name, stage in self.stages.items():
            missing = [r for r in stage.requires if r not in seen]
            if name != stage.name or missing:
                raise ValueError(f"stage {name}: comes before what it requires ({missing})")
            seen.add(name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the stages that provide a column, in the graph's order."""
        return tuple(name for name, stage in self.stages.items() if stage.column is not None)

    def spec(self, column: str) -> ColumnSpec:
        """The specification of a column."""
        spec = self.stages[column].column
        if spec is None:
            raise ValueError(f"{column} is not a column")
        return spec

    def scalars(self, column: str) -> tuple[str, ...]:
        """Fields of the index that come with a column, beside those of every index.

        They are none where no stage of the graph makes the column.
        """
        stage = self.stages.get(column)
        if stage is None:
            return ()
        own = (name for name in stage.scalars if name not in CORE_SCALARS)
        return (*own, *stage.surveyed)

    def closure(self, names: Iterable[str]) -> set[str]:
        """These stages and all that they require, directly or not."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in found or name in SOURCES:
                continue
            found.add(name)
            waiting.extend(self.stages[name].requires)
        return found

    def sources(self, name: str) -> tuple[str, ...]:
        """The sources that a stage reads, directly or through others, in fixed order."""
        needed = {r for stage in self.closure([name]) for r in self.stages[stage].requires}
        return tuple(source for source in SOURCES if source in needed)

    def missing_assets(self, name: str) -> set[str]:
        """Assets that a stage needs, directly or not, and that are not settled yet."""
        needed = {asset for stage in self.closure([name]) for asset in self.stages[stage].assets}
        return needed - set(self.assets)

    def fingerprint(self, name: str) -> str:
        """Names a stage's values: its own configuration and all that they come from."""
        stage = self.stages[name]
        return short_hash(
            {
                "name": stage.name,
                "version": stage.version,
                "config": stage.config,
                "libraries": stage.library_versions(),
                "inputs": {r: self.fingerprint(r) for r in stage.requires if r not in SOURCES},
                "assets": {asset: self.assets[asset] for asset in stage.assets},
            },
            FINGERPRINT_DIGITS,
        )

    def folder(self, column: str) -> str:
        """`<column>-<fingerprint>`: the folder of a column's tars."""
        return f"{column}-{self.fingerprint(column)}"

    def screen_folder(self) -> str:
        """The folder of what the screening found, below `.state/`."""
        return "screen-" + short_hash([self.fingerprint(s) for s in SCREEN], FINGERPRINT_DIGITS)

    def with_asset(self, name: str, fingerprint: str, *stages: Stage) -> Graph:
        """This graph with an asset settled and the stages that use it replaced."""
        return replace(
            self,
            stages={**self.stages, **{stage.name: stage for stage in stages}},
            assets={**self.assets, name: fingerprint},
        )
