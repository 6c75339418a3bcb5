"""What all jobs of a run share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.dataset import layout
from ns2.pipeline.preprocess.options import Limits, Options
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.failure import Failure, screen_failure
from ns2.pipeline.preprocess.work.remembered import Scores
from ns2.pipeline.preprocess.work.screening import Screened, ScreenStore
from ns2.pipeline.preprocess.work.targets import Targets
from ns2.pipeline.stages.graph import SCREEN, Graph


def make_scene(
    graph: Graph,
    out: Path,
    options: Options,
    corpus: Corpus,
    failures: dict[tuple[str, str, str], Failure],
    scores: Scores,
) -> Scene:
    """What the jobs of a run share, for a graph as it is now."""
    screened = dict.fromkeys(source for name in SCREEN for source in graph.sources(name))
    return Scene(
        graph=graph,
        targets=Targets(out, graph),
        screens=ScreenStore(out / layout.STATE / graph.screen_folder()),
        limits=options.limits,
        corpus=corpus.root,
        language=options.language,
        screen_sources=tuple(screened),
        failures=failures,
        scores=scores,
        min_align_score=options.min_align_score,
    )


SCREENING = "screen"
"""Stands for the column's folder of a failure while screening."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What all jobs of a run share.

    Attributes:
        corpus: root folder of the recordings.
        language: of utterances that name none.
        screen_sources: the sources that screening reads.
        failures: of stages behind the screening, by (folder of the column, key, source state).
        scores: `align_score` of utterances that it excludes.
        min_align_score: below it an utterance is excluded; None excludes none.
    """

    graph: Graph
    targets: Targets
    screens: ScreenStore
    limits: Limits
    corpus: Path
    language: str
    screen_sources: tuple[str, ...]
    failures: dict[tuple[str, str, str], Failure]
    scores: Scores
    min_align_score: float | None

    def screen_state(self, source: Source) -> str:
        """The state of what screening reads of an utterance."""
        return source.state(self.screen_sources)

    def failed_screening(self, source: Source) -> Screened | None:
        """A screening that failed in this run for a reason that is not remembered for the next."""
        state = self.screen_state(source)
        failure = self.failures.get((SCREENING, source.key, state))
        if failure is None:
            return None
        return Screened(key=source.key, source=state, failure=failure)

    def knows(self, row: Screened) -> bool:
        """Whether a screening went far enough to decide with these limits."""
        return (
            row.failure is not None
            or "phones" in row.scalars
            or screen_failure(row.scalars, self.limits, self.graph.grid) is not None
        )

    def exclusion(
        self, source: Source, screened: Screened, columns: Sequence[str]
    ) -> Failure | None:
        """Why a screened utterance is not in the dataset, if anything excludes it."""
        if screened.failure is not None:
            return screened.failure
        failure = screen_failure(screened.scalars, self.limits, self.graph.grid)
        if failure is not None:
            return failure
        if not self.failures:
            return None
        for column in columns:
            name = self.targets.folder(column).name
            failed = self.failures.get((name, source.key, self.targets.state(column, source)))
            if failed is not None:
                return failed
        return None

    def record(self, source: Source) -> dict[str, Any]:
        """What stages may know of an utterance."""
        utterance = source.utterance
        return {
            "id": utterance.id,
            "source": utterance.source,
            "speaker": utterance.speaker,
            "language": utterance.language or self.language,
            "text": utterance.text,
            "audio_hash": source.audio_hash,
        }
