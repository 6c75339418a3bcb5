"""The options of `ns2 preprocess`, and the graph of stages that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from ns2.model.codec.loading import CODECS
from ns2.model.codec.mini.mini_config import NAME as MINI
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import COLUMNS, LONGEST_SECONDS, FrameGrid
from ns2.pipeline.graph import Graph, check_columns
from ns2.pipeline.worker import Limits


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that decides what a dataset holds, apart from the corpus.

    Attributes:
        layout: of the corpus, or None to recognise it.
        limit: only the first utterances by key, or None for all.
        columns: to make; what these require is made too.
        language: espeak-ng voice of utterances that name none.
        trim: cut outer silence.
        min_seconds, max_seconds: utterances outside are filtered.
        min_align_score: utterances that align worse are filtered; None filters none.
        codec: one of `ns2.model.codec.CODECS`, or a file that `ns2 codec train` made.
        codec_weights: a file with EnCodec's, or None for the usual cache or a download.
        f0: "dio", "harvest" or "praat".
        extra_phonemes: a file of symbols appended to the phoneme table.
        val_share: of utterances without a split of the corpus's own.
        val_by: "utterance" or "speaker": what is drawn for the validation split.
        shard_utterances: utterances a shard.
        seed: of the aligner's training.
        max_rejected: share of rejected utterances above which the exit code is 3.
        checksum: hash all audio files, whatever their size and mtime say.
        retrain_aligner: choose its sample anew among all utterances that there are now.
        aligner_init: "bundled" helps the aligner with the network that comes with the package;
            "none" trains it from the corpus alone.
        aligner: "builtin", or "textgrid" to read phonemes and durations from TextGrids.
        textgrids: the folder of those, see `find_textgrids`.
        phone_tier, word_tier: their tiers, see `TierNames`.
    """

    layout: str | None = None
    limit: int | None = None
    columns: tuple[str, ...] = tuple(COLUMNS)
    language: str = "en-us"
    trim: bool = False
    min_seconds: float = 0.3
    max_seconds: float = 30.0
    min_align_score: float | None = None
    codec: str = "encodec_24khz"
    codec_weights: Path | None = None
    quantizers: int = 16
    f0: Literal["dio", "harvest", "praat"] = "dio"
    f0_min: float = 50.0
    f0_max: float = 1100.0
    extra_phonemes: Path | None = None
    val_share: float = 0.02
    val_by: str = "utterance"
    shard_utterances: int = 512
    seed: int = 0
    max_rejected: float = 0.05
    checksum: bool = False
    retrain_aligner: bool = False
    aligner: Literal["builtin", "textgrid"] = "builtin"
    aligner_init: Literal["bundled", "none"] = "bundled"
    textgrids: Path | None = None
    phone_tier: str = "phones"
    word_tier: str = "words"

    def __post_init__(self) -> None:
        def refuse(wrong: bool, message: str) -> None:
            if wrong:
                raise OptionError(message)

        try:
            object.__setattr__(self, "columns", check_columns(self.columns))
        except ValueError as error:
            raise OptionError(f"--columns: {error}") from error
        refuse(not self.columns, "--columns: name at least one column")
        refuse(self.limit is not None and self.limit < 1, "--limit must be at least 1")
        refuse(not 0 <= self.max_rejected <= 1, "--max-rejected must be from 0 to 1")
        refuse(self.shard_utterances < 1, "--shard-utterances must be at least 1")
        refuse(not 0 <= self.val_share < 1, "--val-share must be at least 0 and below 1")
        refuse(self.val_by not in ("utterance", "speaker"), "--val-by is utterance or speaker")
        refuse(
            not 0 <= self.min_seconds < self.max_seconds,
            "--min-seconds must be at least 0 and below --max-seconds",
        )
        refuse(
            self.max_seconds > LONGEST_SECONDS,
            f"--max-seconds can be {LONGEST_SECONDS:g} at most: durations are 16 bits",
        )

        reads = self.aligner == "textgrid"
        refuse(reads and self.textgrids is None, "--aligner textgrid needs --textgrids DIR")
        tiers = (self.phone_tier, self.word_tier) != ("phones", "words")
        refuse(
            not reads and (self.textgrids is not None or tiers),
            "--textgrids, --phone-tier and --word-tier are for --aligner textgrid",
        )
        refuse(
            reads and self.trim,
            "--trim would shift the audio against its TextGrids: trim before you align, or leave "
            "out --trim",
        )
        refuse(
            reads and self.min_align_score is not None,
            "--min-align-score is for --aligner builtin: TextGrids have no scores",
        )
        refuse(reads and self.retrain_aligner, "--retrain-aligner is for --aligner builtin")
        refuse(reads and self.aligner_init != "bundled", "--aligner-init is for --aligner builtin")
        refuse(not self.phone_tier.strip(), "--phone-tier needs a name")

    @property
    def limits(self) -> Limits:
        """The lengths these options allow."""
        return Limits(min_seconds=self.min_seconds, max_seconds=self.max_seconds)


def build_graph(options: Options) -> Graph:
    """The stages that make a dataset, with the durations' aligner not yet settled.

    Raises:
        OptionError: an option has a value that no stage can work with.
        UserError: the codec's weights can't be had.
    """
    from ns2.model.log_mel import MelConfig
    from ns2.pipeline.align.textgrid.frames import TierNames
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable
    from ns2.pipeline.sound.pitch import PitchConfig
    from ns2.pipeline.stages.audio import AudioStage
    from ns2.pipeline.stages.base import Stage
    from ns2.pipeline.stages.codes import CodesStage
    from ns2.pipeline.stages.durations import DurationsStage
    from ns2.pipeline.stages.f0 import F0Stage
    from ns2.pipeline.stages.mel import MelStage
    from ns2.pipeline.stages.meta import MetaStage
    from ns2.pipeline.stages.phonemes import PhonemesStage
    from ns2.pipeline.stages.textgrid import (
        TextGridDurationsStage,
        TextGridPhonemesStage,
        TextGridTokensStage,
    )
    from ns2.pipeline.stages.tokens import TokensStage
    from ns2.pipeline.text.pronounce import languages

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
