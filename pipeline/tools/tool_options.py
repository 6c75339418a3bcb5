"""The options of the tools that take several: each default and each help text stands here alone.

Nothing heavy is imported, since the command line reads these classes before it runs a command.
"""

from __future__ import annotations

from dataclasses import dataclass

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
