"""The options of the tools that take several: each default and each help text stands here alone.

Nothing heavy is imported, since the command line reads these classes before it runs a command.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.errors import OptionError


def _at_least_one(option: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise OptionError(f"{option} must be at least 1, not {value}")


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """How much of a dataset `ns2 verify` reads, and with how many processes."""

    sample: int | None = None
    """Only N arrays are read, always the same ones, instead of every tar as a whole; the small
    files are read completely all the same."""

    workers: int = 1
    """The number of processes that check shards at the same time."""

    def __post_init__(self) -> None:
        _at_least_one("--sample", self.sample)
        _at_least_one("--workers", self.workers)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What `ns2 export` writes, and how it is divided into tars."""

    columns: tuple[str, ...] = ()
    """Only these columns are exported, separated by commas.  [default: all columns]"""

    shard_utterances: int | None = 512
    """The largest number of utterances in a tar."""

    def __post_init__(self) -> None:
        _at_least_one("--shard-utterances", self.shard_utterances)


@dataclass(frozen=True, kw_only=True)
class TextGridOptions:
    """Which utterances `ns2 textgrid` writes, and in which of Praat's two text forms."""

    keys: tuple[str, ...] = ()
    """Only these utterances are written, named by key or id and separated by commas.
    [default: all utterances]"""

    limit: int | None = None
    """Only the first N of the utterances that are chosen are written."""

    short: bool = False
    """The files are written in Praat's short text form instead of the long one."""

    def __post_init__(self) -> None:
        _at_least_one("--limit", self.limit)


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What `ns2 report` shows beside what every report has."""

    where: str = ""
    """A condition on the index, such as "seconds < 12 and snr > 20": the report shows how much of
    everything it would keep, as `ns2 train --where` does."""

    run: Path | None = None
    """A run that was trained with --set utterance_loss=true: its loss of each utterance is one more
    measure, utterance_loss, which --where may name."""

    audio: int = 12
    """The number of utterances whose copies by the codec can be listened to in the report; 0
    leaves them out."""

    codec: str | None = None
    """The name or file of the dataset's codec, where ns2 does not find it by itself."""

    codec_weights: Path | None = None
    """A file with EnCodec's weights, where ns2 does not find them by itself."""

    def __post_init__(self) -> None:
        if self.audio < 0:
            raise OptionError(f"--audio must be at least 0, not {self.audio}")


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """What `ns2 segment` makes of long recordings."""

    language: str = "en-us"
    """The espeak-ng voice that pronounces the texts."""

    min_seconds: float = 2.0
    """The seconds that an utterance should last at least; shorter ones are made only where nothing
    beside them can be joined to them."""

    max_seconds: float = 15.0
    """The seconds that an utterance should last at most; longer ones are made only where nobody
    pauses."""

    least_confidence: float = 0.2
    """Words of a lower confidence are left out, from 0 to 1; `ns2 preprocess --min-confidence`
    can ask for more later."""

    max_left_out: float = 0.05
    """The exit code is 3 if a larger share of the recordings is left out as a whole; the corpus is
    finished all the same."""

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds < self.max_seconds <= 30:
            raise OptionError(
                "--min-seconds must be above 0 and below --max-seconds, which is 30 at most"
            )
        if not 0 <= self.least_confidence <= 1:
            raise OptionError("--least-confidence must be from 0 to 1")
        if not 0 <= self.max_left_out <= 1:
            raise OptionError("--max-left-out must be from 0 to 1")
