"""From options to the graph of stages, and what of it the card tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from ns2.model.codec.mini.mini_config import NAME as MINI
from ns2.model.codec.registry import CODECS
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import COLUMNS, FrameGrid
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.stages.graph import Graph


def build_graph(options: Options) -> Graph:
    """The stages that make a dataset, with the durations' aligner not yet settled.

    Raises:
        OptionError: an option has a value that no stage can work with.
        UserError: the codec's weights can't be had.
    """
    from ns2.model.log_mel import MelConfig
    from ns2.pipeline.align.textgrid.tiers import TierNames
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable
    from ns2.pipeline.sound.pitch import PitchConfig
    from ns2.pipeline.stages.audio import AudioStage
    from ns2.pipeline.stages.codes import CodesStage
    from ns2.pipeline.stages.durations import DurationsStage
    from ns2.pipeline.stages.f0 import F0Stage
    from ns2.pipeline.stages.from_textgrid import (
        TextGridDurationsStage,
        TextGridPhonemesStage,
        TextGridTokensStage,
    )
    from ns2.pipeline.stages.mel import MelStage
    from ns2.pipeline.stages.meta import MetaStage
    from ns2.pipeline.stages.phonemes import PhonemesStage
    from ns2.pipeline.stages.stage import Stage
    from ns2.pipeline.stages.tokens import TokensStage
    from ns2.pipeline.text.engine import languages

    if options.language not in languages():
        near = get_close_matches(options.language, languages(), n=4, cutoff=0.4)
        raise OptionError(
            f"--language {options.language}: espeak-ng has no such voice"
            + (f"; near it: {', '.join(near)}" if near else "")
        )
    try:
        codes = CodesStage(options.codec, options.codec_weights, options.quantizers)
    except UserError as error:
        raise OptionError(str(error)) from error
    grid = FrameGrid(sample_rate=codes.spec.sample_rate, hop_length=codes.spec.hop_length)
    table = PhonemeTable.default()
    if options.extra_phonemes is not None:
        table = table.with_extra(options.extra_phonemes)
    try:
        pitch = PitchConfig(
            method=options.f0,
            f0_min=options.f0_min,
            f0_max=options.f0_max,
            sample_rate=grid.sample_rate,
            hop_length=grid.hop_length,
        )
    except ValueError as error:
        raise OptionError(str(error)) from error
    spoken: list[Stage] = [TokensStage(), PhonemesStage(table)]
    durations: Stage = DurationsStage()
    if options.aligner == "textgrid":
        names = TierNames(phones=options.phone_tier, words=options.word_tier)
        spoken = [TextGridTokensStage(names, grid), TextGridPhonemesStage(table, grid)]
        durations = TextGridDurationsStage()
    stages: list[Stage] = [
        AudioStage(sample_rate=grid.sample_rate, trim=options.trim),
        *spoken,
        MetaStage(),
        MelStage(
            MelConfig(
                sample_rate=grid.sample_rate,
                hop_length=grid.hop_length,
                fmax=grid.sample_rate / 2,
            )
        ),
        F0Stage(pitch),
    ]
    if "codes" in options.columns:
        codes.config  # noqa: B018 - weights that can't be had are told now, before any work
        stages.append(codes)
    stages.append(durations)
    return Graph(grid=grid, stages={stage.name: stage for stage in stages}, assets={})


def describe(graph: Graph, name: str) -> Mapping[str, Any]:
    """A stage's configuration as the card tells it."""
    stage = graph.stages[name]
    return {
        "version": stage.version,
        "config": stage.config,
        "libraries": stage.library_versions(),
        "requires": list(stage.requires),
    }


def described_options(options: Options) -> dict[str, Any]:
    """The options as JSON values, without what names a place on a machine or has no effect."""
    values = asdict(options)
    reads = options.aligner == "textgrid"
    unused = ("aligner_init",) if reads else ("phone_tier", "word_tier")
    places = ("codec_weights", "extra_phonemes", "textgrids")
    for name in (*places, "checksum", "retrain_aligner", *unused):
        del values[name]
    codec = options.codec if options.codec in CODECS else MINI  # a file is a place too
    return {**values, "codec": codec, "columns": list(options.columns)}


def wanted_columns(graph: Graph, options: Options) -> tuple[str, ...]:
    """The columns that are asked for, and those that they require."""
    wanted = graph.closure(options.columns)
    return tuple(column for column in COLUMNS if column in wanted)
