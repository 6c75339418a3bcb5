"""What the work on all shards of a run shares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ns2.pipeline.corpora.corpus import Corpus, recording_of
from ns2.pipeline.dataset import layout
from ns2.pipeline.preprocess.options import Limits, Options
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.filters import ScoreFilter, filters_of
from ns2.pipeline.preprocess.work.messages import SourceFile, Task
from ns2.pipeline.preprocess.work.remembered import Place, Remembered
from ns2.pipeline.preprocess.work.screening import ScreenStore
from ns2.pipeline.preprocess.work.targets import Targets
from ns2.pipeline.stages.graph import SCREEN, Graph

_SCREENING = "screen"
"""Takes the place of a column's folder in the place of a failure while screening."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the work on all shards of a run shares, for a graph as it is now.

    Attributes:
        corpus: root folder of the recordings.
        language: of utterances that name none.
        screen_sources: the sources that screening reads.
        remembered: failures and scores of this run and those before; it grows.
        filters: exclude utterances by what columns tell of them.
    """

    graph: Graph
    targets: Targets
    screens: ScreenStore
    limits: Limits
    corpus: Path
    language: str
    screen_sources: tuple[str, ...]
    remembered: Remembered
    filters: tuple[ScoreFilter, ...] = ()

    @classmethod
    def of(
        cls, graph: Graph, out: Path, options: Options, corpus: Corpus, remembered: Remembered
    ) -> Scene:
        """The scene of a run on a corpus.

        Args:
            out: the dataset's folder.
        """
        screened = dict.fromkeys(source for name in SCREEN for source in graph.sources(name))
        return cls(
            graph=graph,
            targets=Targets(out, graph),
            screens=ScreenStore(out / layout.STATE / graph.screen_folder()),
            limits=options.limits,
            corpus=corpus.root,
            language=options.language,
            screen_sources=tuple(screened),
            remembered=remembered,
            filters=filters_of(options),
        )

    def screen_state(self, source: Source) -> str:
        """The state of what screening reads of an utterance."""
        return source.state(self.screen_sources)

    def screen_place(self, source: Source) -> Place:
        """Where a failure of an utterance's screening is remembered."""
        return _SCREENING, source.key, self.screen_state(source)

    def place(self, column: str, source: Source) -> Place:
        """Where a failure or score of an utterance's column is remembered."""
        return self.targets.folder(column).name, source.key, self.targets.state(column, source)

    def task(self, source: Source, columns: tuple[str, ...]) -> Task:
        """The task of making these columns of an utterance, none of which is stored."""
        utterance = source.utterance
        recording = replace(recording_of(self.corpus, utterance), stamp=source.stamp)
        own = utterance.held is None and not recording.url
        files = {
            "audio_file": SourceFile(
                name=utterance.source if utterance.held is None else utterance.held.file,
                path=str(recording.path),
                stamp=source.stamp,
                recording=None if own else recording,
            )
        }
        if source.textgrid is not None:
            files["textgrid"] = SourceFile(
                name=source.textgrid.name,
                path=str(source.textgrid),
                stamp=source.textgrid_stamp,
            )
        record: dict[str, Any] = {
            "id": utterance.id,
            "source": utterance.source,
            "speaker": utterance.speaker,
            "language": utterance.language or self.language,
            "text": utterance.text,
            "audio_hash": source.audio_hash,
        }
        if utterance.piece is not None:
            record["piece"] = utterance.piece
        if utterance.phonemes:
            record["phonemes"] = utterance.phonemes
        states = {column: self.targets.state(column, source) for column in columns}
        return Task(key=source.key, record=record, files=files, columns=states)
