"""What travels between a driver and its workers: batches of work and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ns2.pipeline.dataset.shards import Stored
from ns2.pipeline.preprocess.work.failure import Failure

BATCH_UTTERANCES = 32
"""The unit of work: utterances of a shard, cut at fixed places."""

CRASHED = "worker"
"""Stands for the stage of a failure where a worker crashed: which one it was can't be known."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done for one utterance.

    Attributes:
        record: id, source, speaker, language, text, audio_hash.
        columns: to be made.
        stored: required columns that exist.
        samples: of the decoded audio, if the utterance was screened before; else None.
        stamp: size and mtime_ns that the audio file had when it was hashed.
        textgrid: file of its TextGrid where one is read, and its stamp.
    """

    key: str
    record: Mapping[str, Any]
    audio_file: str
    columns: tuple[str, ...]
    stored: Mapping[str, Stored] = field(default_factory=dict)
    samples: int | None = None
    stamp: tuple[int, int] | None = None
    textgrid: str | None = None
    textgrid_stamp: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """At most 32 utterances of one shard: the unit of work."""

    shard: int
    number: int
    works: tuple[Work, ...]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A column's member, ready to be written."""

    data: bytes
    shape: tuple[int, ...]
    scalars: Mapping[str, float]


@dataclass(kw_only=True)
class Done:
    """What became of one utterance.

    Attributes:
        screened: scalars of the screening stages; None where they did not run.
        failure: a stage could not work on it.
        excluded: `screen_failure` excludes it, so that nothing more was made.
    """

    key: str
    screened: dict[str, float] | None = None
    failure: Failure | None = None
    excluded: bool = False
    members: dict[str, Encoded] = field(default_factory=dict)

    @property
    def out(self) -> bool:
        """Nothing more is to be made of it."""
        return self.excluded or self.failure is not None


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """Results of a batch, in its order.

    Attributes:
        seconds: time spent, by stage.
        audio_seconds: of speech that each stage worked on.
    """

    shard: int
    number: int
    done: tuple[Done, ...]
    seconds: Mapping[str, float]
    audio_seconds: Mapping[str, float]


Handed = dict[str, dict[str, Any]]
"""Values by key and name that one worker hands to another, such as decoded audio."""


def batches(shard: int, works: Sequence[Work | None], size: int = BATCH_UTTERANCES) -> list[Batch]:
    """Batches of a shard's utterances, cut at fixed places of the plan.

    Args:
        works: one entry an utterance of the shard, None where there is nothing to do.
    """
    cut = [works[i : i + size] for i in range(0, len(works), size)]
    return [
        Batch(shard=shard, number=number, works=some)
        for number, chunk in enumerate(cut)
        if (some := tuple(work for work in chunk if work is not None))
    ]
