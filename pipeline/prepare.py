"""What a run and its preview have in common: sources, shards, the scene, the aligner's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ns2.pipeline import index as ix
from ns2.pipeline.assets import AlignerAsset, AlignerRecord
from ns2.pipeline.corpora import audio_path
from ns2.pipeline.corpora.base import Corpus
from ns2.pipeline.graph import SCREEN, Graph
from ns2.pipeline.jobs import Scene
from ns2.pipeline.options import Options
from ns2.pipeline.plan import Shard, load_plan, plan_shards
from ns2.pipeline.schema import COLUMNS, Rejection, UserError
from ns2.pipeline.screening import ScreenStore
from ns2.pipeline.sources import Source, SourceStates, read_sources
from ns2.pipeline.targets import Targets
from ns2.pipeline.worker import Failure

ALIGNER_HOURS = 2.0
"""Cap on the aligner's sample: what bounds its cost on any corpus."""


def wanted_columns(graph: Graph, options: Options) -> tuple[str, ...]:
    """The columns that are asked for, and those that they require."""
    wanted = graph.closure(options.columns)
    return tuple(column for column in COLUMNS if column in wanted)


def find_sources(
    corpus: Corpus,
    options: Options,
    states: SourceStates,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Source], list[Rejection]]:
    """Hash the sources of a corpus, or of its first utterances by key.

    Returns:
        sources, sorted by key, and the utterances whose audio can't be read.
    """
    utterances = corpus.utterances
    if options.limit is not None:
        utterances = tuple(sorted(utterances, key=lambda u: u.key)[: options.limit])
    return read_sources(
        utterances,
        states,
        locate=lambda utterance: audio_path(corpus.root, utterance),
        language=options.language,
        advance=advance,
    )


def state_file(out: Path) -> Path:
    """Where a dataset's folder keeps what was seen of its sources."""
    return out / ix.STATE / "sources.parquet"


def plan_file(out: Path) -> Path:
    """Where a dataset's folder keeps which utterance lies in which shard."""
    return out / ix.STATE / "plan.parquet"


def place(
    sources: Sequence[Source], out: Path, options: Options
) -> tuple[tuple[Shard, ...], Mapping[str, int]]:
    """Shards of all sources, and where every key was before.

    Raises:
        UserError: the folder holds a dataset of other utterances.
    """
    previous = load_plan(plan_file(out), out / ix.INDEX, options.shard_utterances)
    if previous and not any(source.key in previous for source in sources):
        raise UserError(
            f"{out} holds a dataset of other utterances: none of its {len(previous)} "
            "keys is in this corpus. Name another output folder."
        )
    return plan_shards(sources, previous, options.shard_utterances), previous


def make_scene(
    graph: Graph,
    out: Path,
    options: Options,
    corpus: Corpus,
    failures: dict[tuple[str, str, str], Failure],
) -> Scene:
    """What the jobs of a run share, for a graph as it is now."""
    screened = dict.fromkeys(source for name in SCREEN for source in graph.sources(name))
    return Scene(
        graph=graph,
        targets=Targets(out, graph),
        screens=ScreenStore(out / ix.STATE / graph.screen_folder()),
        limits=options.limits,
        corpus=corpus.root,
        language=options.language,
        screen_sources=tuple(screened),
        failures=failures,
    )


def aligner_asset(graph: Graph, out: Path, options: Options) -> AlignerAsset:
    """The aligner of a dataset's folder, for this graph and these options."""
    from ns2.pipeline.stages.durations import aligner_config

    config = {**aligner_config(), "seed": options.seed, "hours": ALIGNER_HOURS}
    return AlignerAsset(out / ix.ASSETS, graph, config)


def with_aligner(graph: Graph, asset: AlignerAsset, record: AlignerRecord) -> Graph:
    """The graph with its durations made by a recorded aligner."""
    from ns2.pipeline.stages.durations import DurationsStage

    stage = DurationsStage(asset.weights(record))
    return graph.with_asset("aligner", record.fingerprint, stage)
