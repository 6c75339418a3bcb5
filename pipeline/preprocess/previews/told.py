"""What `ns2 preprocess --plan` says: what each column lacks, and how large it gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.trial import Trial, Workload
from ns2.pipeline.preprocess.work.shard_state import Outlook
from ns2.pipeline.stages.graph import Graph

_MEMBER_OVERHEAD = 512 + 128 + 256 + 60
"""Bytes of a member besides its values: tar header, npy header, padding, marker and index rows."""
_TOKENS_A_SECOND = 17.0
_SCALAR_BYTES = 30


@dataclass(frozen=True, kw_only=True)
class ColumnPreview:
    """What is to be done for one column.

    Attributes:
        fingerprint: of its values; None while the aligner is not trained.
        missing: targets that would be written.
        utterances: arrays that would be computed; the others of these targets are copied.
        bytes: about what the new targets take.
        reason: why they are missing; empty if none is.
    """

    column: str
    fingerprint: str | None
    missing: int
    utterances: int
    bytes: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a run would do.

    Attributes:
        utterances: found that a stage would see, new and old.
        screened: how many of them would be decoded and screened.
        unusable: that the reader or the file system rejects, or `--min-confidence` filters.
        splits: the number of the utterances in each split.
        train_aligner: whether an aligner would be trained.
        notes: what the reader of the corpus decided where the corpus left it open, and what
            `--min-confidence` does.
        trial: what some utterances that were really made show of the time; None without one.
    """

    utterances: int
    screened: int
    unusable: int
    splits: dict[str, int]
    shards: int
    train_aligner: bool
    columns: tuple[ColumnPreview, ...]
    notes: tuple[str, ...] = ()
    trial: Trial | None = None

    @property
    def bytes(self) -> int:
        """About the disk that the run takes."""
        return sum(column.bytes for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        trial = None if self.trial is None else self.trial.to_json()
        return {**asdict(self), "bytes": self.bytes, "trial": trial}


@dataclass
class Lacks:
    """What all shards lack, by column: targets, arrays to be computed, members of the targets.

    Attributes:
        tasks: utterances of which something is to be made.
        busy: the shards of these, by number.
    """

    missing: Counter[str] = field(default_factory=Counter)
    compute: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    screened: int = 0
    tasks: int = 0
    busy: dict[int, Shard] = field(default_factory=dict)

    def add(self, shard: Shard, outlook: Outlook) -> None:
        """Add what one shard lacks."""
        self.screened += outlook.unscreened
        if tasks := max(outlook.unscreened, *outlook.compute.values(), 0):
            self.tasks += tasks
            self.busy[shard.number] = shard
        for column, count in outlook.compute.items():
            self.missing[column] += 1
            self.compute[column] += count
            self.members[column] += outlook.members

    def preview(
        self, column: str, fingerprint: str | None, member_bytes: float, reason: str
    ) -> ColumnPreview:
        """What is to be done for a column."""
        return ColumnPreview(
            column=column,
            fingerprint=fingerprint,
            missing=self.missing[column],
            utterances=self.compute[column],
            bytes=round(self.members[column] * member_bytes),
            reason=reason,
        )

    def workload(self, columns: Sequence[str], seconds: float, train: bool) -> Workload:
        """All of it, for a trial.

        Args:
            seconds: the mean length of an utterance.
            train: whether an aligner is to be trained.
        """
        return Workload(
            tasks=self.tasks,
            busy=tuple(self.busy.values()),
            compute={column: self.compute[column] for column in columns if self.missing[column]},
            seconds=seconds,
            train=train,
        )

    def everything(self, column: str, shards: Sequence[Shard], utterances: int) -> None:
        """Add a column of which nothing is there."""
        self.tasks, self.busy = utterances, {shard.number: shard for shard in shards}
        self.missing[column] = len(shards)
        self.compute[column] = self.members[column] = utterances


def member_bytes_of(graph: Graph, column: str, seconds: float) -> float:
    """About the bytes of an utterance in a column."""
    spec = graph.spec(column)
    if scalars := graph.scalars(column) if spec.dtype == "json" else ():
        return _MEMBER_OVERHEAD + _SCALAR_BYTES * len(scalars)
    if spec.dtype == "json":
        return _MEMBER_OVERHEAD + 25 * _TOKENS_A_SECOND * seconds
    import numpy as np

    size = float(np.dtype(spec.dtype).itemsize)
    for dim in spec.dims:
        if dim == "T":
            size *= seconds * graph.grid.frame_rate
        elif dim == "N":
            size *= _TOKENS_A_SECOND * seconds
        elif isinstance(dim, int):
            size *= dim
    return _MEMBER_OVERHEAD + size


def in_order(splits: Counter[str]) -> dict[str, int]:
    """How many utterances are in each split that has any, train first."""
    return {name: splits[name] for name in ("train", "val", "test") if splits[name]}


def render(found: Preview) -> str:
    """The preview as a person reads it."""
    lines = [
        *found.notes,
        f"{found.utterances} utterances in {found.shards} shards, {found.unusable} unusable; "
        f"{found.screened} to be decoded and screened",
    ]
    if found.splits:
        lines.append(", ".join(f"split {name}: {count}" for name, count in found.splits.items()))
    if found.train_aligner:
        lines.append("an aligner would be trained")
    lines.append(f"{'column':<11}{'missing':>8}{'to compute':>12}{'about':>11}   reason")
    for column in found.columns:
        size = f"{column.bytes / 1e6:.1f} MB" if column.missing else ""
        lines.append(
            f"{column.column:<11}{column.missing:>8}{column.utterances:>12}{size:>11}"
            f"   {column.reason}"
        )
    if not any(column.missing for column in found.columns):
        lines.append("nothing to do")
    else:
        lines.append(f"about {found.bytes / 1e6:.1f} MB of disk")
    if found.trial is not None:
        lines += found.trial.render(usable_cores())
    return "\n".join(lines)
