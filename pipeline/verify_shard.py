"""Verification of one shard: markers, tars, arrays, and what they say of each other.

Each tar is read once, from begin to end. Its layout is known from the marker (or the index), so
that any byte belongs to one member's header, data or padding, or to the end of the archive.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import numpy as np

from ns2.pipeline.files import sha256_file
from ns2.pipeline.index import INDEX, row_crc
from ns2.pipeline.schema import (
    META_FIELDS,
    ColumnSpec,
    FrameGrid,
    check_array,
    check_durations,
)
from ns2.pipeline.shards import (
    Marker,
    MemberRow,
    decode_value,
    member_info,
    read_marker,
    target_digest,
    target_stem,
)

MOST_FAULTS = 20
"""Faults named of one file; of more only the number is told."""

_FIRST = ("meta", "phonemes", "durations")
"""Columns that are read first and kept: the others are held against them."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something wrong, and where.

    Attributes:
        place: the file, relative to the dataset.
        column, shard, key: empty where they do not apply or can't be known.
        message: what was expected and what was found.
    """

    place: str
    column: str = ""
    shard: int | None = None
    key: str = ""
    message: str

    def __str__(self) -> str:
        where = [self.place]
        if self.column:
            where.append(f"column {self.column}")
        if self.shard is not None:
            where.append(f"shard {self.shard}")
        if self.key:
            where.append(f"key {self.key}")
        return f"{', '.join(where)}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A tar and its marker as the dataset tells of them.

    Attributes:
        tar: its path relative to the dataset.
        tar_sha256, marker_sha256: from SHA256SUMS; empty where it does not tell.
    """

    spec: ColumnSpec
    tar: str
    tar_sha256: str = ""
    marker_sha256: str = ""

    @property
    def column(self) -> str:
        """Name of its column."""
        return self.spec.name

    @property
    def marker(self) -> str:
        """Path of its marker relative to the dataset."""
        return self.tar.removesuffix(".tar") + ".parquet"


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """What a process needs to verify a shard.

    Attributes:
        rows: of the index, in order; None if the index is not to be trusted.
        entries: codes must be below it; None if unknown.
        table: text of the phoneme table's asset; None if there is none.
        sample: read only so many arrays, drawn by a fixed seed; None reads all tars whole.
    """

    root: Path
    number: int
    grid: FrameGrid
    targets: tuple[Target, ...]
    rows: Sequence[Mapping[str, Any]] | None
    entries: int | None
    table: str | None
    sample: int | None


@dataclass(kw_only=True)
class ShardResult:
    """What was found.

    Attributes:
        sums: SHA-256 of the files that were read whole, by path relative to the dataset.
        sizes: bytes of tars, by column.
        arrays: how many were read.
        bytes: how many were read.
    """

    faults: list[Fault] = field(default_factory=list)
    sums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    arrays: int = 0
    bytes: int = 0


@contextmanager
def caught(faults: list[Fault], place: str, **where: Any) -> Iterator[None]:
    """Turn any exception into a fault: damaged input must not end a verification."""
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, ValueError) else _told(error)
        faults.append(Fault(place=place, message=message, **where))


def _told(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"{type(error).__name__}: {error}"


def check_shard(task: ShardTask) -> ShardResult:
    """Verify one shard; never raises for what is in the dataset."""
    check = _ShardCheck(task)
    with caught(check.result.faults, INDEX, shard=task.number):
        check.carry_out()
    return check.result


class _ShardCheck:
    """One shard; its steps in order are in `carry_out`."""

    def __init__(self, task: ShardTask) -> None:
        self.task, self.result = task, ShardResult()
        self._rows: dict[str, Mapping[str, Any]] = {}  # of the index, those that are whole
        self._markers: dict[str, Marker] = {}  # by column, those that can be trusted
        self._kept: dict[tuple[str, str], Any] = {}  # values of the first columns
        self._table: Any = None

    def carry_out(self) -> None:
        """Index rows, markers, then tars."""
        self._check_rows()
        ordered = sorted(
            self.task.targets,
            key=lambda t: (_FIRST.index(t.column) if t.column in _FIRST else len(_FIRST)),
        )
        for target in ordered:
            where = {"column": target.column, "shard": self.task.number}
            with caught(self.result.faults, target.marker, **where):
                self._check_marker(target)
        if self.task.table is not None:
            from ns2.pipeline.phoneme_table import PhonemeTable

            with caught(self.result.faults, "assets", shard=self.task.number):
                self._table = PhonemeTable.from_json(self.task.table)
        self._check_order(ordered)
        drawn = self._draw(ordered)
        for target in ordered:
            where = {"column": target.column, "shard": self.task.number}
            faults: list[Fault] = []
            with caught(faults, target.tar, **where):
                if drawn is None:
                    _TarCheck(self, target, faults).read_whole()
                else:
                    _TarCheck(self, target, faults).read_some(drawn[target.column])
            self._add(faults, target)
        with caught(self.result.faults, INDEX, shard=self.task.number):
            self._compare_meta()

    def _add(self, faults: list[Fault], target: Target) -> None:
        self.result.faults += faults[:MOST_FAULTS]
        if len(faults) > MOST_FAULTS:
            self.result.faults.append(
                Fault(
                    place=target.tar,
                    column=target.column,
                    shard=self.task.number,
                    message=f"and {len(faults) - MOST_FAULTS} more faults in this tar",
                )
            )

    def _check_rows(self) -> None:
        for row in self.task.rows or ():
            key = str(row.get("key") or "")
            where = {"shard": self.task.number, "key": key}
            with caught(self.result.faults, INDEX, **where):
                if row_crc(row) != row["row_crc"]:
                    raise ValueError("the row is not the one that was written (its row_crc differs)")
                self._rows[key] = row

    def _check_marker(self, target: Target) -> None:
        """A marker is whole, and tells of its tar what the tar's name and the index tell."""
        path = self.task.root / target.marker
        number, faults = self.task.number, self.result.faults
        digest = self.result.sums[target.marker] = sha256_file(path)
        damaged = bool(target.marker_sha256) and digest != target.marker_sha256
        if damaged:
            message = f"SHA-256 is {digest}, SHA256SUMS says {target.marker_sha256}"
            faults.append(
                Fault(place=target.marker, column=target.column, shard=number, message=message)
            )
        marker = read_marker(path)
        said = [marker.column, marker.shard, f"{marker.digest}", target_stem(number, marker.digest)]
        expected = [
            target.column,
            number,
            target_digest((row.key, row.source) for row in marker.rows),
            path.stem,
        ]
        names = ("column", "shard", "digest of keys and sources", "name")
        wrong = [
            f"{name} is {is_!r}, expected {want!r}"
            for name, is_, want in zip(names, said, expected, strict=True)
            if is_ != want
        ]
        if target.tar_sha256 and marker.sha256 != target.tar_sha256:
            wrong.append(
                f"tar's SHA-256 is {marker.sha256}, SHA256SUMS says {target.tar_sha256}"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        self._compare_rows(target, marker)
        if not damaged:
            self._markers[target.column] = marker

    def _compare_rows(self, target: Target, marker: Marker) -> None:
        """A marker's rows are those of the index."""
        faults: list[Fault] = []
        for row in marker.rows:
            indexed = self._rows.get(row.key)
            if indexed is None:
                continue  # told by `_check_order`, or its index row is damaged
            for name, here, there in _told_twice(target.column, row, indexed):
                if here != there:
                    faults.append(
                        Fault(
                            place=target.marker,
                            column=target.column,
                            shard=self.task.number,
                            key=row.key,
                            message=f"{name} is {here}, the index says {there}",
                        )
                    )
        self._add(faults, target)

    def _check_order(self, targets: Sequence[Target]) -> None:
        """Keys and their order are the same in the index and in all columns."""
        if self.task.rows is not None:
            place, keys = INDEX, [str(row.get("key")) for row in self.task.rows]
        elif self._markers:
            first = next(t for t in targets if t.column in self._markers)
            place, keys = first.marker, [r.key for r in self._markers[first.column].rows]
        else:
            return
        for target in targets:
            marker = self._markers.get(target.column)
            if marker is None or (own := [row.key for row in marker.rows]) == keys:
                continue
            for key, other in zip([*own, ""], [*keys, ""], strict=False):
                if key != other:
                    break
            self.result.faults.append(
                Fault(
                    place=target.marker,
                    column=target.column,
                    shard=self.task.number,
                    key=key or other,
                    message=f"keys differ from those of {place}: {len(own)} here, {len(keys)} "
                    f"there; the first that differs is {key or 'none'} here, {other or 'none'} there",
                )
            )

    def layout(self, target: Target) -> list[MemberRow] | None:
        """Where the members of a tar lie: as its marker says, else as the index says."""
        marker = self._markers.get(target.column)
        if marker is not None:
            return list(marker.rows)
        if self.task.rows is None or len(self._rows) != len(self.task.rows):
            return None
        return [_as_member(target.column, row) for row in self._rows.values()]

    def _draw(self, targets: Sequence[Target]) -> dict[str, set[str]] | None:
        """Keys to read of each column; None for all."""
        if self.task.sample is None:
            return None
        there = [(t.column, row.key) for t in targets for row in self.layout(t) or ()]
        number = min(self.task.sample, len(there))
        drawn: dict[str, set[str]] = {target.column: set() for target in targets}
        for column, key in Random(self.task.number).sample(there, number):
            drawn[column].add(key)
        return drawn

    def marker(self, target: Target) -> Marker | None:
        """A target's marker, if it can be trusted."""
        return self._markers.get(target.column)

    def check_value(self, spec: ColumnSpec, row: MemberRow, data: bytes) -> None:
        """Hold an array against its column's contract and against the other columns."""
        value = decode_value(spec, data)
        key, index = row.key, self._rows.get(row.key)
        if spec.dtype == "json":
            self._kept[spec.name, key] = check_meta(key, value)
            self._compare_tokens(key)
            return
        if tuple(value.shape) != tuple(row.shape):
            raise ValueError(f"shape is {value.shape}, recorded is {tuple(row.shape)}")
        frames = index["frames"] if index is not None else self._frames_of(key)
        ids = self._kept.get(("phonemes", key))
        if ids is not None:
            tokens = len(ids)
        else:
            tokens = len(meta["phonemes"]) if (meta := self._kept.get(("meta", key))) else None
        if frames is None:  # neither the index nor meta tells
            frames = value.shape[-1] if value.ndim and spec.dims[-1] == "T" else 0
            tokens = tokens if "N" in spec.dims else None
        check_array(spec, key, value, frames=frames, tokens=tokens)
        if spec.name in _FIRST:
            self._kept[spec.name, key] = value
        if spec.name == "phonemes":
            self._compare_tokens(key)
        elif spec.name == "durations":
            self._check_durations(key, value, frames)
        elif spec.name == "codes" and self.task.entries is not None and value.size:
            if (largest := int(value.max())) >= self.task.entries:
                raise ValueError(f"code {largest}, and a codebook has {self.task.entries} entries")
        elif spec.name == "f0" and value.size and value.min() < 0:
            raise ValueError(f"f0 of {key}: {value.min()} Hz is below 0")

    def _frames_of(self, key: str) -> int | None:
        meta = self._kept.get(("meta", key))
        return None if meta is None else self.task.grid.frames(meta["samples"])

    def _check_durations(self, key: str, durations: np.ndarray, frames: int) -> None:
        ids, meta = self._kept.get(("phonemes", key)), self._kept.get(("meta", key))
        symbols, optional = [""] * len(durations), frozenset({""})
        if self._table is not None:
            optional = self._table.optional
            if ids is not None:
                symbols = list(self._table.symbols(ids))
            elif meta is not None:
                symbols = meta["phonemes"]
            else:
                optional = frozenset({""})
        if frames:
            check_durations(key, durations, symbols, frames=frames, optional=optional)

    def _compare_tokens(self, key: str) -> None:
        """The strings in meta are the symbols of the ids in the phonemes column."""
        ids, meta = self._kept.get(("phonemes", key)), self._kept.get(("meta", key))
        if ids is None or meta is None or self._table is None:
            return
        symbols = list(self._table.symbols(ids))
        if symbols != meta["phonemes"]:
            raise ValueError(
                f"phonemes of {key} are {' '.join(symbols)}, meta says {' '.join(meta['phonemes'])}"
            )

    def _compare_meta(self) -> None:
        """What the index says of an utterance is what meta and phonemes say."""
        for key, row in self._rows.items():
            where = {"shard": self.task.number, "key": key}
            with caught(self.result.faults, INDEX, **where):
                wrong = [
                    f"{name} is {there!r}, {whose} {want!r}"
                    for name, there, whose, want in self._facts(key, row)
                    if there != want
                ]
                if wrong:
                    raise ValueError("; ".join(wrong))

    def _facts(
        self, key: str, row: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any, str, Any]]:
        """(field, value in the index, who says otherwise, the value it must have)."""
        yield "phone_rate", row["phone_rate"], "phones and seconds make", (
            row["phones"] / row["seconds"]
        )
        meta, ids = self._kept.get(("meta", key)), self._kept.get(("phonemes", key))
        if meta is not None:
            for name in ("id", "text", "speaker", "language", "audio_hash"):
                yield name, row[name], "meta says", meta[name]
            samples = meta["samples"]
            yield "seconds", row["seconds"], "its samples make", (
                samples / self.task.grid.sample_rate
            )
            yield "frames", row["frames"], "its samples make", self.task.grid.frames(samples)
        if self._table is not None and (ids is not None or meta is not None):
            symbols = meta["phonemes"] if ids is None else self._table.symbols(ids)
            phones = sum(symbol not in self._table.optional for symbol in symbols)
            yield "phones", row["phones"], "its phonemes make", phones


def _told_twice(
    column: str, row: MemberRow, indexed: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """(name, value in the marker, value in the index)."""
    for name in ("offset", "size", "crc32"):
        yield name, getattr(row, name), indexed[f"{column}_{name}"]
    yield "shape", list(row.shape), list(indexed[f"{column}_shape"])
    for name, value in row.scalars.items():
        if name in indexed:
            yield name, value, indexed[name]


def _as_member(column: str, row: Mapping[str, Any]) -> MemberRow:
    return MemberRow(
        key=row["key"],
        offset=row[f"{column}_offset"],
        size=row[f"{column}_size"],
        shape=tuple(row[f"{column}_shape"]),
        crc32=row[f"{column}_crc32"],
        source="",
        scalars={},
    )


def check_meta(key: str, meta: Any) -> Mapping[str, Any]:
    """An utterance's meta has its fields, and its word spans lie in order inside the tokens.

    Raises:
        ValueError: saying what is wrong.
    """
    if not isinstance(meta, dict):
        raise ValueError(f"meta of {key}: expected an object, got {type(meta).__name__}")
    missing = [name for name in META_FIELDS if name not in meta]
    if missing:
        raise ValueError(f"meta of {key}: has no {', '.join(missing)}")
    tokens, end = len(meta["phonemes"]), 0
    for word, first, behind in meta["words"]:
        if not end <= first < behind <= tokens:
            raise ValueError(
                f"meta of {key}: word {word!r} spans tokens {first} to {behind}; "
                f"it must begin at {end} or later and end by {tokens}"
            )
        end = behind
    return meta


class _TarCheck:
    """Reads one tar."""

    def __init__(self, shard: _ShardCheck, target: Target, faults: list[Fault]) -> None:
        self._shard, self._target, self._faults = shard, target, faults
        self._path = shard.task.root / target.tar
        self._layout = shard.layout(target)
        self._hash = hashlib.sha256()

    def _fault(self, message: str, key: str = "") -> None:
        self._faults.append(
            Fault(
                place=self._target.tar,
                column=self._target.column,
                shard=self._shard.task.number,
                key=key,
                message=message,
            )
        )

    def _size(self) -> int | None:
        """The tar's size, held against the marker's; None where there is no tar."""
        if not self._path.is_file():
            first = self._layout[0].key if self._layout else ""
            self._fault("is missing", first)
            return None
        size = self._path.stat().st_size
        self._shard.result.sizes[self._target.column] = size
        return size

    def read_some(self, keys: set[str]) -> None:
        """Read only these members."""
        size = self._size()
        if size is None:
            return
        marker = self._shard.marker(self._target)
        if marker is not None and size != marker.size:
            self._fault(f"has {size} bytes, its marker says {marker.size}", self._cut_at(size))
        with self._path.open("rb") as file:
            for row in self._layout or ():
                if row.key in keys:
                    file.seek(max(row.offset - tarfile.BLOCKSIZE, 0))
                    self._read_member(file, row, size)

    def _cut_at(self, size: int) -> str:
        """The first member that does not fit into so many bytes."""
        for row in self._layout or ():
            if row.offset + row.size > size:
                return row.key
        return ""

    def read_whole(self) -> None:
        """Read all of it once: SHA-256 and every member from the same bytes."""
        size = self._size()
        if size is None:
            return
        marker, before = self._shard.marker(self._target), len(self._faults)
        with self._path.open("rb") as file:
            whole = self._read_members(file, size)
            if whole:
                self._read_end(file)
            while rest := file.read(1 << 20):
                self._hash.update(rest)
        self._shard.result.bytes += size
        digest = self._shard.result.sums[self._target.tar] = self._hash.hexdigest()
        pinned = len(self._faults) > before
        for whose, said in (
            ("its marker", marker.sha256 if marker else ""),
            ("SHA256SUMS", self._target.tar_sha256),
        ):
            if said and said != digest and not pinned:
                self._fault(f"SHA-256 is {digest}, {whose} says {said}")
        if marker is not None and size != marker.size and not pinned:
            self._fault(f"has {size} bytes, its marker says {marker.size}")
        if self._layout is None and not pinned:
            self._fault("its members were not checked: neither its marker nor the index tells them")

    def _read_members(self, file: BinaryIO, size: int) -> bool:
        """All members in order; False if the tar ended before the last."""
        position = 0
        for i, row in enumerate(self._layout or ()):
            if row.offset != position + tarfile.BLOCKSIZE or not 0 <= row.size:
                self._fault(
                    f"lies at {position + tarfile.BLOCKSIZE}, recorded is {row.offset} "
                    f"with {row.size} bytes",
                    row.key,
                )
                return False
            state = self._read_member(file, row, size)
            if not state:
                left = len(self._layout or ()) - i
                self._fault(f"the tar ends before this member; {left} are missing", row.key)
                return False
            position = row.offset + row.size + -row.size % tarfile.BLOCKSIZE
        return self._layout is not None

    def _read(self, file: BinaryIO, size: int) -> bytes:
        data = file.read(size)
        self._hash.update(data)
        return data

    def _read_member(self, file: BinaryIO, row: MemberRow, tar_size: int) -> bool:
        """One member: header, data, padding; False if it is not there whole."""
        header = self._read(file, tarfile.BLOCKSIZE)
        if row.size > tar_size or len(header) < tarfile.BLOCKSIZE or not any(header):
            return False
        data = self._read(file, row.size)
        if len(data) < row.size:
            return False
        padding = self._read(file, -row.size % tarfile.BLOCKSIZE)
        self._shard.result.arrays += 1
        name = f"{row.key}.{self._target.spec.suffix}"
        if header != member_info(name, row.size).tobuf(tarfile.USTAR_FORMAT):
            self._fault(f"the header is not that of {name} with {row.size} bytes", row.key)
        if len(padding) != -row.size % tarfile.BLOCKSIZE or any(padding):
            self._fault("the padding behind it is not zeros", row.key)
        crc = zlib.crc32(data)
        if crc != row.crc32:
            self._fault(f"CRC-32 is {crc:08x}, recorded is {row.crc32:08x}", row.key)
            return True
        where = {"column": self._target.column, "shard": self._shard.task.number, "key": row.key}
        with caught(self._faults, self._target.tar, **where):
            self._shard.check_value(self._target.spec, row, data)
        return True

    def _read_end(self, file: BinaryIO) -> None:
        """Two blocks of zeros, then zeros up to a whole record."""
        position = file.tell()
        end = position + 2 * tarfile.BLOCKSIZE
        end += -end % tarfile.RECORDSIZE
        rest = self._read(file, end - position)
        if len(rest) < end - position or any(rest) or file.read(1):
            file.seek(position + len(rest))
            self._fault("the end of the archive is not zeros up to a whole record")
