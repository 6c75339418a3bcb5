"""From options to the graph of stages, and what of it the card tells."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ns2.model.codec.interface import CodecError
from ns2.model.codec.registry import codec_spec
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import COLUMNS, FrameGrid, in_column_order
from ns2.pipeline.dataset.card import ColumnEntry, StageEntry
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.stages.graph import Graph

if TYPE_CHECKING:
    from ns2.pipeline.text.lexicon import Lexicon


def build_graph(options: Options) -> Graph:
    """The stages that make a dataset, with the durations' aligner not yet settled.

    Raises:
        OptionError: an option has a value that no stage can work with.
        UserError: what a stage needs is not there, such as a codec's weights.
    """
    from ns2.pipeline.stages.catalogue import make_stages
    from ns2.pipeline.stages.measured.recording import MEASURES
    from ns2.pipeline.stages.own import check_own, own_stages
    from ns2.pipeline.stages.stage import StageSettings
    from ns2.pipeline.text.engine import languages

    if options.language not in languages():
        near = get_close_matches(options.language, languages(), n=4, cutoff=0.4)
        raise OptionError(
            f"--language {options.language}: espeak-ng has no such voice"
            + (f"; near it: {', '.join(near)}" if near else "")
        )
    try:
        codec = codec_spec(options.codec, options.quantizers)
    except CodecError as error:
        raise OptionError(str(error)) from error
    grid = FrameGrid(sample_rate=codec.sample_rate, hop_length=codec.hop_length)
    settings = StageSettings(options=options, grid=grid, table=phoneme_table(options))
    try:
        own = own_stages(options.stage)
        stages = make_stages(settings, own)
        check_own(own, stages)
    except (UserError, ValueError) as error:
        raise OptionError(str(error)) from error
    measures = {kind.name for kind in MEASURES} if options.quality else set()
    added = frozenset({kind.name for kind in own} | measures)
    graph = Graph(grid=grid, stages={stage.name: stage for stage in stages}, assets={}, added=added)
    unknown = sorted(set(options.columns) - set(graph.columns))
    if unknown:
        there = {*COLUMNS, *graph.columns, *(kind.name for kind in MEASURES)}
        near = get_close_matches(unknown[0].lower(), there, n=1)
        meant = f", did you mean {near[0]}?" if near else ";"
        raise OptionError(
            f"--columns: there is no column {', '.join(unknown)}{meant} columns are "
            f"{', '.join(in_column_order(there))}, and those of a --stage"
        )
    for stage in stages:
        stage.prepare()  # what is missing is said now, before any work
    return graph


def missing_measures(options: Options) -> list[str]:
    """What `--quality` can't make for want of a package, as notes."""
    from ns2.pipeline.stages.measured.measure import INSTALL
    from ns2.pipeline.stages.measured.recording import MEASURES

    return [
        f"--quality: no {kind.name} ({', '.join((*kind.scalars, *kind.surveyed))}): "
        f"{', '.join(missing)} is not installed: {INSTALL}"
        for kind in MEASURES
        if options.quality and (missing := kind.missing())
    ]


def phoneme_table(options: Options) -> PhonemeTable:
    """The phoneme table of a dataset: the one that ns2 ships, and symbols of the user's own.

    Raises:
        UserError: the file of extra phonemes can't be used.
    """
    table = PhonemeTable.default()
    return table if options.extra_phonemes is None else table.with_extra(options.extra_phonemes)


def lexicon_of(graph: Graph) -> Lexicon | None:
    """The lexicon that texts are pronounced with, if one is given."""
    found: Lexicon | None = getattr(graph.stages["tokens"], "lexicon", None)
    return found


def describe(graph: Graph, name: str) -> StageEntry:
    """A stage as the card tells of it."""
    stage = graph.stages[name]
    return StageEntry(
        version=stage.version,
        config=stage.config,
        libraries=stage.library_versions(),
        requires=stage.requires,
    )


def describe_column(graph: Graph, column: str, *, tars: int, size: int) -> ColumnEntry:
    """A column as the card tells of it.

    Args:
        tars, size: the number of its current tars, and the bytes of all of them.
    """
    spec = graph.spec(column)
    return ColumnEntry(
        **vars(describe(graph, column)),
        folder=graph.folder(column),
        dtype=spec.dtype,
        dims=spec.dims,
        tars=tars,
        bytes=size,
        scalars=graph.scalars(column),
    )


def described_options(graph: Graph, options: Options) -> dict[str, Any]:
    """The options as JSON values, without what names a place on a machine or has no effect."""
    values = asdict(options)
    reads = options.aligner == "textgrid"
    unused = ("aligner_init",) if reads else ("phone_tier", "word_tier")
    places = ("codec_weights", "extra_phonemes", "textgrids", "lexicon")
    for name in (*places, "g2p", "checksum", "retrain_aligner", *unused):
        del values[name]
    # What is not used is not told: cards of before don't have it, and are to stay as they are.
    lexicon = lexicon_of(graph)
    if lexicon is not None:
        values["lexicon"] = lexicon.digest
    if options.g2p:
        values["g2p"] = list(options.g2p)
    for name in ("fields", "stage", "quality", "licence", "loudness"):
        if not values[name]:
            del values[name]  # as in the cards of before
    for name in ("min_confidence", "max_border_error"):
        if values[name] is None:
            del values[name]
    spec = codec_spec(options.codec, options.quantizers)
    return {
        **values,
        "codec": spec.name,  # not that of its file, which is a place too
        "quantizers": spec.quantizers,
        "columns": list(asked_columns(graph, options)),
    }


def asked_columns(graph: Graph, options: Options) -> tuple[str, ...]:
    """The columns that are asked for; all where none is named."""
    if not options.columns:
        return in_column_order(graph.columns)
    return in_column_order((*options.columns, *graph.added.intersection(graph.columns)))


def wanted_columns(graph: Graph, options: Options) -> tuple[str, ...]:
    """The columns that are asked for, and those that they require."""
    wanted = graph.closure(asked_columns(graph, options))
    return in_column_order(name for name in graph.columns if name in wanted)
