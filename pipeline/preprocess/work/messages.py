"""What travels between a driver and its workers: batches of tasks, and their outcomes.

An utterance is a `Task` on its way to a worker, an `Item` where a stage sees it, an `Outcome` on
its way back, and a `Member` of a tar once an array of it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ns2.pipeline.core.held import Recording
from ns2.pipeline.dataset.shards import Member, Stored
from ns2.pipeline.preprocess.work.failure import Failure

BATCH_UTTERANCES = 32
"""Utterances in a batch, the unit of work. Batches are cut at fixed places of a shard."""

CRASHED = "worker"
"""The stage that a failure names where a worker crashed: which stage it was is not known."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file of the corpus that a stage reads.

    Attributes:
        name: what messages call it.
        path: where it lies on this machine.
        stamp: size in bytes and mtime in ns that it had when it was hashed; None if not known.
        recording: what is read instead of all of it, where it holds recordings, or stands for an
            object in a bucket.
    """

    name: str
    path: str
    stamp: tuple[int, int] | None = None
    recording: Recording | None = None

    @property
    def place(self) -> str | Recording:
        """What a stage gets: the path, or where in the file a recording lies."""
        return self.path if self.recording is None else self.recording


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be made of one utterance.

    Attributes:
        record: see `Item`.
        files: files that stages read, by the name of the source: "audio_file", "textgrid".
        columns: columns to be made, each with the state of the sources that it reads.
        stored: required columns that exist already.
        samples: S of the audio if the utterance was screened before, else None.
    """

    key: str
    record: Mapping[str, Any]
    files: Mapping[str, SourceFile]
    columns: Mapping[str, str]
    stored: Mapping[str, Stored] = field(default_factory=dict)
    samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """At most 32 utterances of one shard: the unit of work."""

    shard: int
    number: int
    tasks: tuple[Task, ...]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a driver knows of an array that a worker keeps until it is written.

    Attributes:
        scalars: see `Member`.
        parcel: a reference to what was made with it.
    """

    scalars: Mapping[str, float]
    parcel: Any = None


@dataclass(kw_only=True)
class Outcome:
    """What became of one utterance.

    Attributes:
        screened: scalars of the screening stages; None where they did not run.
        failure: why a stage could not work on it, if one could not.
        excluded: `screen_failure` excludes it, so that nothing more was made.
        members: what was made, by column, or where that is kept.
    """

    key: str
    screened: dict[str, float] | None = None
    failure: Failure | None = None
    excluded: bool = False
    members: dict[str, Member | Sent] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, Member]:
        """What was made and is here, by column."""
        return {name: one for name, one in self.members.items() if isinstance(one, Member)}

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be made of it."""
        return self.excluded or self.failure is not None


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """Outcomes of a batch, in its order.

    Attributes:
        seconds: time spent, by stage.
        audio_seconds: duration of the speech that each stage worked on, by stage.
    """

    shard: int
    number: int
    outcomes: tuple[Outcome, ...]
    seconds: Mapping[str, float]
    audio_seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class HandedOn:
    """What one worker made of an utterance and another goes on with, such as decoded audio.

    Attributes:
        values: what stages made, by stage.
        scalars: scalars of transient stages, by stage.
        samples: S of the audio.
    """

    values: Mapping[str, Any]
    scalars: Mapping[str, Mapping[str, float]]
    samples: int | None


def batches(shard: int, tasks: Sequence[Task | None], size: int = BATCH_UTTERANCES) -> list[Batch]:
    """Batches of a shard's utterances, cut at fixed places of the plan.

    Args:
        tasks: one entry an utterance of the shard, None where there is nothing to do.
    """
    chunks = [tasks[i : i + size] for i in range(0, len(tasks), size)]
    return [
        Batch(shard=shard, number=number, tasks=present)
        for number, chunk in enumerate(chunks)
        if (present := tuple(task for task in chunk if task is not None))
    ]
