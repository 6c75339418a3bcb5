"""The options of a run, which are the whole configuration of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ns2.pipeline.core.errors import OptionError, UtteranceError
from ns2.pipeline.core.schema import COLUMNS, LONGEST_SECONDS, FrameGrid, Reason
from ns2.pipeline.stages.graph import check_columns


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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Lengths that options allow, in seconds."""

    min_seconds: float = 0.3
    max_seconds: float = 30.0

    def check(self, samples: int, grid: FrameGrid) -> None:
        """Raise UtteranceError for an utterance that is too short or too long."""
        seconds = samples / grid.sample_rate
        if seconds < self.min_seconds:
            raise UtteranceError(
                Reason.TOO_SHORT, f"{seconds:.3f} s, and --min-seconds is {self.min_seconds:g}"
            )
        if seconds > self.max_seconds:
            raise UtteranceError(
                Reason.TOO_LONG, f"{seconds:.1f} s, and --max-seconds is {self.max_seconds:g}"
            )
