"""Verification of one shard: its index rows, its markers, then its tars and their values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import parent_process
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.reading import parse_json
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.bucket.scratch import Scratch
from ns2.pipeline.dataset.index import row_crc
from ns2.pipeline.dataset.layout import INDEX, SUMS
from ns2.pipeline.dataset.packed import wrong_members
from ns2.pipeline.dataset.shards import Marker, MemberRow, read_marker, target_digest, target_stem
from ns2.pipeline.remote.traffic import TRAFFIC
from ns2.pipeline.tools.verify.fault import MOST_FAULTS, Fault, caught
from ns2.pipeline.tools.verify.tar import TarCheck, Target
from ns2.pipeline.tools.verify.values import FIRST, Values


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """What a process needs to verify a shard.

    Attributes:
        root: the dataset's folder.
        number: of the shard.
        grid: the frame grid.
        targets: the tars of the shard, one for each column.
        rows: the shard's rows of the index, in order; None if the index can't be trusted.
        entries: the number of entries in a codebook; None if unknown.
        table: the text of the phoneme table's asset; None if there is none.
        sample: the number of arrays to read, drawn by a fixed seed; None reads all tars completely.
        scratch: where the dataset lies in a bucket, brings the files while they are looked at.
    """

    root: Path
    number: int
    grid: FrameGrid
    targets: tuple[Target, ...]
    rows: pa.Table | None
    entries: int | None
    table: str | None
    sample: int | None
    scratch: Scratch | None = None

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 by name of the files that are read as a whole, "" where it is not known."""
        markers = {target.marker: target.marker_sha256 for target in self.targets}
        if self.sample is not None:
            return markers
        return markers | {target.tar: target.tar_sha256 for target in self.targets}


@dataclass(kw_only=True)
class ShardResult:
    """What was found in a shard.

    Attributes:
        faults: what is wrong in it.
        sums: SHA-256 of the files that were read completely, by path relative to the dataset.
        sizes: size of the tar in bytes, by column.
        arrays: the number of arrays that were read.
        bytes: the size of the tars that were read completely.
        traffic: what was asked of servers, by the names of `Traffic`.
    """

    faults: list[Fault] = field(default_factory=list)
    sums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    arrays: int = 0
    bytes: int = 0
    traffic: dict[str, float] = field(default_factory=dict)


def check_shard(task: ShardTask) -> ShardResult:
    """Verify one shard; whatever is wrong in the dataset is a fault, not an exception."""
    result, before = ShardResult(), TRAFFIC.figures()
    if parent_process() is not None:
        TRAFFIC.told = True  # whoever gets the result tells
    files = task.scratch.holding(task.files) if task.scratch else nullcontext()
    with caught(result.faults, INDEX, shard=task.number), files:
        _ShardCheck(task, result).carry_out()
    result.traffic = TRAFFIC.since(before)
    return result


class _ShardCheck:
    """The verification of one shard; `carry_out` does its steps in order."""

    def __init__(self, task: ShardTask, result: ShardResult) -> None:
        self._task, self._result = task, result
        self._indexed = None if task.rows is None else task.rows.to_pylist()
        self._rows: dict[str, Mapping[str, Any]] = {}  # rows of the index whose CRC is right
        self._markers: dict[str, Marker] = {}  # by column, the markers that can be trusted
        self._targets = sorted(
            task.targets, key=lambda t: FIRST.index(t.column) if t.column in FIRST else len(FIRST)
        )

    def carry_out(self) -> None:
        """Check index rows, markers and tars, then compare the rows with what the tars hold."""
        self._check_rows()
        for target in self._targets:
            faults: list[Fault] = []
            with caught(faults, target.marker, **target.where):
                self._check_marker(target, faults)
            self._add(faults)
        self._check_order()
        values = Values(self._task.grid, self._rows, self._task.entries, self._phoneme_table())
        drawn = self._draw()
        for target in self._targets:
            check = TarCheck(
                root=self._task.root,
                target=target,
                layout=self._layout(target),
                marker=self._markers.get(target.column),
                take=values.add,
            )
            keys = None if drawn is None else drawn[target.column]
            with caught(check.faults, target.tar, **target.where), self._held(check, keys):
                check.run(keys)
            self._take(check)
        faults = []
        for key in self._rows:
            with caught(faults, INDEX, shard=self._task.number, key=key):
                values.compare(key)
        self._add(faults)

    def _held(self, check: TarCheck, keys: Collection[str] | None) -> AbstractContextManager[None]:
        """See that what is read of a tar is there, where the dataset lies in a bucket."""
        if self._task.scratch is None or keys is None:
            return nullcontext()
        return self._task.scratch.holding_parts(check.target.tar, check.parts_of(keys))

    def _take(self, check: TarCheck) -> None:
        self._add(check.faults)
        self._result.arrays += check.arrays
        if check.size is not None:
            self._result.sizes[check.target.column] = check.size
            if check.sha256:
                self._result.sums[check.target.tar] = check.sha256
                self._result.bytes += check.size

    def _add(self, faults: list[Fault]) -> None:
        """Add the faults of one file to the result, but not too many of them."""
        self._result.faults += faults[:MOST_FAULTS]
        if len(faults) > MOST_FAULTS:
            last = faults[-1]
            more = f"and {len(faults) - MOST_FAULTS} more faults"
            self._result.faults.append(
                Fault(place=last.place, column=last.column, shard=last.shard, message=more)
            )

    def _phoneme_table(self) -> Any:
        if self._task.table is None:
            return None
        from ns2.pipeline.dataset.phoneme_table import PhonemeTable

        return PhonemeTable.from_json(parse_json(self._task.table))

    def _check_rows(self) -> None:
        faults: list[Fault] = []
        for row in self._indexed or ():
            key = str(row["key"] or "")
            with caught(faults, INDEX, shard=self._task.number, key=key):
                if row_crc(row) != row["row_crc"]:
                    raise ValueError("the row is not what was written: its row_crc differs")
                self._rows[key] = row
        self._add(faults)

    def _check_marker(self, target: Target, faults: list[Fault]) -> None:
        """A marker is what was written, and agrees with its tar's name and with the index."""
        path = self._task.root / target.marker
        sha256 = self._result.sums[target.marker] = sha256_file(path)
        damaged = target.marker_sha256 not in ("", sha256)
        if damaged:
            message = f"SHA-256 is {sha256}, {SUMS} says {target.marker_sha256}"
            faults.append(Fault(place=target.marker, message=message, **target.where))
        marker = read_marker(path)
        digest = target_digest((row.key, row.source) for row in marker.rows)
        facts = [
            ("column", marker.column, target.column),
            ("shard", marker.shard, target.shard),
            ("digest of keys and sources", marker.digest, digest),
            ("name", path.stem, target_stem(target.shard, digest)),
            ("tar's SHA-256", marker.sha256, target.tar_sha256 or marker.sha256),
        ]
        wrong = [f"{name} is {got}, expected {want}" for name, got, want in facts if got != want]
        if wrong:
            raise ValueError("; ".join(wrong))
        for row in marker.rows:
            # `_check_order` reports a key that the index does not have
            indexed = self._rows.get(row.key, {})
            for name, here, there in _in_marker_and_index(target.column, row, indexed):
                if here != there:
                    message = f"{name} is {here}, the index says {there}"
                    faults.append(
                        Fault(place=target.marker, key=row.key, message=message, **target.where)
                    )
        for number in wrong_members(path, [row.crc32 for row in marker.rows]):
            key, message = marker.rows[number].key, "its copy in the marker is not what was written"
            faults.append(Fault(place=target.marker, key=key, message=message, **target.where))
        if not damaged:
            self._markers[target.column] = marker

    def _check_order(self) -> None:
        """Keys and their order are the same in the index and in all columns."""
        there = [t for t in self._targets if t.column in self._markers]
        if self._indexed is not None:
            place, keys = INDEX, [str(row["key"]) for row in self._indexed]
        elif there:
            place = there[0].marker
            keys = [row.key for row in self._markers[there[0].column].rows]
        for target in there:
            own = [row.key for row in self._markers[target.column].rows]
            if own == keys:
                continue
            same = 0
            while same < min(len(own), len(keys)) and own[same] == keys[same]:
                same += 1
            here, other = (names[same] if same < len(names) else "" for names in (own, keys))
            message = (
                f"keys differ from those of {place}: {len(own)} and {len(keys)}; "
                f"the first that differ are {here or 'none'} and {other or 'none'}"
            )
            self._result.faults.append(
                Fault(place=target.marker, key=here or other, message=message, **target.where)
            )

    def _layout(self, target: Target) -> list[MemberRow] | None:
        """Where the members of a tar lie: by its marker, else by the index; None if unknown."""
        marker = self._markers.get(target.column)
        if marker is not None:
            return list(marker.rows)
        if self._indexed is None or len(self._rows) != len(self._indexed):
            return None
        return [_as_member(target.column, row) for row in self._rows.values()]

    def _draw(self) -> dict[str, set[str]] | None:
        """Keys to read of each column; None for all."""
        if self._task.sample is None:
            return None
        there = [(t.column, row.key) for t in self._targets for row in self._layout(t) or ()]
        drawn: dict[str, set[str]] = {target.column: set() for target in self._targets}
        number = min(self._task.sample, len(there))
        for column, key in Random(self._task.number).sample(there, number):
            drawn[column].add(key)
        return drawn


def _in_marker_and_index(
    column: str, row: MemberRow, indexed: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """What marker and index both hold: (name, value in the marker, value in the index)."""
    if not indexed:
        return
    for name in ("offset", "size", "crc32"):
        yield name, getattr(row, name), indexed[f"{column}_{name}"]
    yield "shape", list(row.shape), indexed[f"{column}_shape"]
    for name, value in row.scalars.items():
        if name in indexed:
            yield name, value, indexed[name]


def _as_member(column: str, row: Mapping[str, Any]) -> MemberRow:
    """A marker's row made of an index row, as far as the index knows it."""
    return MemberRow(
        key=row["key"],
        offset=row[f"{column}_offset"],
        size=row[f"{column}_size"],
        shape=tuple(row[f"{column}_shape"]),
        crc32=row[f"{column}_crc32"],
        source="",
        scalars={},
    )
