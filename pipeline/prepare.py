"""What a run and its preview have in common: sources, shards, the scene, the aligner's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ns2.pipeline.align.textgrid.find import find_textgrids
from ns2.pipeline.assets import AlignerAsset, AlignerRecord
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import COLUMNS, Rejection, Utterance
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import read_card
from ns2.pipeline.dataset.layout import plan_file
from ns2.pipeline.graph import SCREEN, Graph
from ns2.pipeline.jobs import Scene
from ns2.pipeline.options import Options
from ns2.pipeline.plan import Shard, load_plan, plan_shards
from ns2.pipeline.scores import Scores
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


def open_corpus(path: Path, options: Options) -> Corpus:
    """Read a corpus; with `--limit`, what is found is its first utterances by key.

    Raises:
        UserError: there is none.
    """
    corpus = read_corpus(path.absolute(), options.layout)
    if options.limit is None:
        return corpus
    found: list[Utterance | Rejection] = [*corpus.utterances, *corpus.rejected]
    found.sort(key=lambda one: (one.key, one.id))
    first = found[: options.limit]
    return replace(
        corpus,
        utterances=tuple(one for one in first if isinstance(one, Utterance)),
        rejected=tuple(one for one in first if isinstance(one, Rejection)),
    )


def find_sources(
    corpus: Corpus,
    options: Options,
    states: SourceStates,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[list[Source], list[Rejection]]:
    """Hash the sources of a corpus.

    Returns:
        sources, sorted by key, and the utterances whose audio or TextGrid can't be read.

    Raises:
        OptionError: TextGrids are to be read, and not one is there.
    """
    utterances, textgrids, missing = corpus.utterances, None, list[Rejection]()
    if options.textgrids is not None:
        textgrids, missing = find_textgrids(options.textgrids.absolute(), utterances)
        utterances = tuple(one for one in utterances if one.key in textgrids)
        advance(len(missing))
    sources, unreadable = read_sources(
        utterances,
        states,
        locate=lambda utterance: audio_path(corpus.root, utterance),
        language=options.language,
        textgrids=textgrids,
        advance=advance,
    )
    return sources, [*missing, *unreadable]


def place(
    sources: Sequence[Source], out: Path, options: Options
) -> tuple[tuple[Shard, ...], Mapping[str, int]]:
    """Shards of all sources, and where every key was before.

    Raises:
        UserError: the folder holds a dataset of other utterances, or with shards of another size.
    """
    if not any(out.glob("*-*/*.parquet")):
        return plan_shards(sources, {}, options.shard_utterances), {}
    previous, size = load_plan(plan_file(out), out / layout.INDEX)
    if size is None:
        size = (read_card(out) or {}).get("options", {}).get("shard_utterances")
    if previous and size not in (None, options.shard_utterances):
        raise UserError(
            f"{out} has shards of {size} utterances, and a dataset keeps its shards: add "
            f"--shard-utterances {size}, or name another output folder."
        )
    if previous and not sources:
        raise UserError(
            f"no audio of this corpus can be read, and {out} holds a dataset of "
            f"{len(previous)} utterances: is the corpus's disk there?"
        )
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


def aligner_asset(graph: Graph, out: Path, options: Options) -> AlignerAsset:
    """The aligner of a dataset's folder, for this graph and these options."""
    from ns2.pipeline.align.aligner_file import aligner_config

    config = aligner_config(init=options.aligner_init)
    config |= {"seed": options.seed, "hours": ALIGNER_HOURS}
    return AlignerAsset(out / layout.ASSETS, graph, config)


def with_aligner(graph: Graph, asset: AlignerAsset, record: AlignerRecord) -> Graph:
    """The graph with its durations made by a recorded aligner."""
    from ns2.pipeline.stages.durations import DurationsStage

    stage = DurationsStage(asset.weights(record))
    return graph.with_asset("aligner", record.fingerprint, stage)
