"""The options of `ns2 preprocess`, which are the whole configuration of a dataset.

Each default stands here and nowhere else; the text below a field is the help text of its option.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ns2.pipeline.core.errors import OptionError, UtteranceError
from ns2.pipeline.core.schema import LONGEST_SECONDS, FrameGrid, Reason
from ns2.pipeline.corpora.fields import Fields


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that decides what a dataset holds, apart from the corpus."""

    layout: str | None = None
    """The corpus's layout, such as ljspeech or manifest; without it the layout is recognised."""

    fields: str | None = None
    """Which columns of a table or fields of a manifest hold what, by their names or numbers, as in
    id=1,speaker=2,text=3 or text=sentence; without it they are taken by their names, or by the
    table as a whole."""

    limit: int | None = None
    """Only the first N utterances by key are used. For a trial take another OUT, since a dataset
    keeps its shards and its aligner."""

    columns: tuple[str, ...] = ()
    """Only these columns, and those that they require, are made.  [default: all]"""

    quality: bool = False
    """The columns that measure recordings are made as well: quality, loudness, mos and voice, those
    for which something is installed (ns2[quality]). What they measure is in the index, for --where.
    """

    stage: tuple[str, ...] = ()
    """A stage of your own, whose column is made as well: package.module:Class, or the name by which
    an installed package gives it to the entry point ns2.stages. The option can be repeated."""

    language: str = "en-us"
    """The espeak-ng voice that pronounces utterances whose language the corpus does not tell."""

    trim: bool = False
    """Silence at both ends of every recording is cut off."""

    loudness: float | None = None
    """The loudness in LUFS, such as -23, that every recording gets before codes and mel are made of
    it; what --quality measures is the recording as it was."""

    min_seconds: float = 0.3
    """Utterances that are shorter than this, in seconds, are filtered out."""

    max_seconds: float = 30.0
    """Utterances that are longer than this, in seconds, are filtered out."""

    min_align_score: float | None = None
    """Utterances whose alignment scores lower than this are filtered out; the index's align_score
    shows how they are distributed."""

    max_border_error: float | None = None
    """Utterances of whose phone borders a larger share than this, from 0 to 1, is expected to be
    off by more than 50 ms are filtered out; the index's border_error shows how it is
    distributed."""

    min_confidence: float | None = None
    """Utterances to which a manifest gives a lower confidence, from 0 to 1, are filtered out; the
    index's confidence shows how they are distributed."""

    codec: str = "encodec_24khz"
    """The codec that makes the codes: encodec_24khz, mini (which comes with ns2), mini-1 (its first
    version), a file that `ns2 codec train` made, or a codec of your own: package.module:Class, or
    the name by which an installed package gives it to the entry point ns2.codecs."""

    codec_weights: Path | None = None
    """A file with EnCodec's weights in their published layout; without it they come from torch
    hub's cache, or are downloaded. A codec of your own gets the file that is named here."""

    quantizers: int | None = None
    """The number of the codec's residual quantizers whose codes are stored.  [default: all, or 16
    of encodec_24khz]"""

    f0: Literal["path", "dio", "harvest", "praat"] = "path"
    """The pitch extractor: path weighs candidates of DIO and of correlations over time and misses
    the fewest frames; the others decide frame by frame."""

    f0_min: float = 50.0
    """The lowest pitch that is looked for, in Hz."""

    f0_max: float = 1100.0
    """The highest pitch that is looked for, in Hz."""

    extra_phonemes: Path | None = None
    """A file of symbols, one a line, that are appended to the phoneme table."""

    lexicon: Path | None = None
    """A file of pronunciations: each line has a word, a tab and its phones with spaces between
    them; only utterances with such words are made anew when it changes."""

    g2p: tuple[str, ...] = ()
    """Readings that go before espeak-ng: pypinyin for Chinese characters (language cmn or
    cmn-latn-pinyin), pyopenjtalk-plus for kanji (ja); they are extras of ns2."""

    val_share: float = 0.02
    """The share of utterances in the validation split, where the corpus has no splits itself."""

    val_by: Literal["utterance", "speaker"] = "utterance"
    """Whether single utterances or whole speakers are drawn for the validation split."""

    shard_utterances: int = 512
    """The number of utterances in a shard."""

    seed: int = 0
    """The seed of the aligner's training."""

    max_rejected: float = 0.05
    """The exit code is 3 if a larger share of the utterances is rejected; the dataset is finished
    all the same."""

    licence: str | None = None
    """The licence of the recordings and transcripts, such as CC-BY-4.0; card and README.md of the
    dataset name it."""

    checksum: bool = False
    """All audio files are hashed, even those whose size and modification time are as last seen."""

    retrain_aligner: bool = False
    """The aligner's training sample is drawn anew from all utterances that are there now, and
    durations are made anew."""

    aligner: Literal["builtin", "textgrid"] = "builtin"
    """Where durations come from: builtin trains an aligner on the corpus, textgrid reads durations
    and phonemes from --textgrids."""

    aligner_init: Literal["bundled", "bundled-2", "bundled-1", "none"] = "bundled"
    """What the builtin aligner starts from: the network that ns2 ships, one that it shipped before
    (bundled-1 was the first, bundled-2 the second), or the corpus alone (none)."""

    textgrids: Path | None = None
    """The folder of TextGrids that were made elsewhere, for --aligner textgrid."""

    phone_tier: str = "phones"
    """The name of the TextGrids' tier of phones."""

    word_tier: str = "words"
    """The name of the TextGrids' tier of words; it need not exist."""

    def __post_init__(self) -> None:
        def refuse(wrong: bool, message: str) -> None:
            if wrong:
                raise OptionError(message)

        Fields.parse(self.fields)
        refuse(self.limit is not None and self.limit < 1, "--limit must be at least 1")
        refuse(not 0 <= self.max_rejected <= 1, "--max-rejected must be from 0 to 1")
        refuse(
            self.min_confidence is not None and not 0 <= self.min_confidence <= 1,
            "--min-confidence must be from 0 to 1",
        )
        refuse(
            self.max_border_error is not None and not 0 <= self.max_border_error <= 1,
            "--max-border-error must be from 0 to 1",
        )
        named = bool(self.columns)
        refuse(
            self.max_border_error is not None and named and "trust" not in self.columns,
            "--max-border-error needs the column trust: name it in --columns",
        )
        refuse(
            self.loudness is not None and not -60 <= self.loudness <= -5,
            "--loudness must be from -60 to -5 LUFS: speech is broadcast at -23",
        )
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
        tiers = (self.phone_tier, self.word_tier) != (Options.phone_tier, Options.word_tier)
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
            reads and (self.min_align_score, self.max_border_error) != (None, None),
            "--min-align-score and --max-border-error are for --aligner builtin: TextGrids have no "
            "scores",
        )
        refuse(reads and self.retrain_aligner, "--retrain-aligner is for --aligner builtin")
        refuse(reads and self.aligner_init != "bundled", "--aligner-init is for --aligner builtin")
        refuse(
            reads and (self.lexicon is not None or bool(self.g2p)),
            "--lexicon and --g2p are for --aligner builtin: TextGrids have phones",
        )
        refuse(not self.phone_tier.strip(), "--phone-tier needs a name")

    @property
    def limits(self) -> Limits:
        """The lengths that these options allow."""
        return Limits(min_seconds=self.min_seconds, max_seconds=self.max_seconds)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Lengths in seconds that an utterance may have."""

    min_seconds: float
    max_seconds: float

    def check(self, samples: int, grid: FrameGrid) -> None:
        """Refuse an utterance that is too short or too long.

        Args:
            samples: S, after resampling to the grid's rate and trimming.

        Raises:
            UtteranceError: it is.
        """
        seconds = samples / grid.sample_rate
        if seconds < self.min_seconds:
            raise UtteranceError(
                Reason.TOO_SHORT, f"{seconds:.3f} s, and --min-seconds is {self.min_seconds:g}"
            )
        if seconds > self.max_seconds:
            raise UtteranceError(
                Reason.TOO_LONG, f"{seconds:.1f} s, and --max-seconds is {self.max_seconds:g}"
            )
