"""Tars of columns and the markers that commit them: writing, committing, reading.

A target is one column of one shard. It exists when its marker does: the tar is written, synced
and renamed first, then its marker the same way. A marker is a parquet file with a row for each
member and, in its schema's metadata, the SHA-256 of the tar.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import (
    atomic_write,
    member_folder,
    new_file,
    put_in_place,
    temporary_path,
)
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.reading import open_regular, parse_json
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.packed import DATA, Packed
from ns2.pipeline.dataset.tables import read_table

MARKER_METADATA = b"ns2"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One array as it is written to a tar.

    Attributes:
        key: of the utterance.
        data: the complete .npy (or .json) file.
        shape: the array's; empty for json.
        source: the state of the sources that the array was made from.
        scalars: numbers for the index.
    """

    key: str
    data: bytes
    shape: tuple[int, ...]
    source: str
    scalars: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberRow:
    """A marker's row: where a member lies in its tar, and what its bytes must be.

    Attributes:
        key, shape, source, scalars: see `Member`.
        offset, size: where its data begins in the tar, and its bytes.
        crc32: the CRC-32 of its data.
    """

    key: str
    offset: int
    size: int
    shape: tuple[int, ...]
    crc32: int
    source: str
    scalars: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Marker:
    """What a commit marker says of its tar.

    Attributes:
        path: the marker's file.
        column, shard: what the tar holds.
        digest: of the keys and source states of its members, see `target_digest`.
        sha256, size: of the tar.
        rows: a row for each member, in order.
        summary: float64 sums over the tar's arrays, see `Stage.summarise`.
    """

    path: Path
    column: str
    shard: int
    digest: str
    sha256: str
    size: int
    rows: tuple[MemberRow, ...]
    summary: Mapping[str, Any]

    @property
    def tar(self) -> Path:
        """The tar that this marker commits."""
        return self.path.with_suffix(".tar")


def target_stem(shard: int, digest: str) -> str:
    """`00000-<digest>`: the name of a target's tar and marker, without suffix."""
    return f"{shard:05d}-{digest}"


def target_digest(members: Iterable[tuple[str, str]]) -> str:
    """The digest in a tar's name, of the (key, source state) pairs of its members in order."""
    text = "\n".join(f"{key} {source}" for key, source in members)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode_value(spec: ColumnSpec, value: Any) -> tuple[bytes, tuple[int, ...]]:
    """Encode a value of a column: the bytes of its member, and its shape.

    Raises:
        ValueError: the value is not of the column's dtype.
    """
    if spec.dtype == "json":
        return canonical_json(value).encode(), ()
    if value.dtype != np.dtype(spec.dtype):
        raise ValueError(f"{spec.name}: expected {spec.dtype}, got {value.dtype}")
    buffer = io.BytesIO()
    array = np.ascontiguousarray(value)
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue(), tuple(int(n) for n in value.shape)


def decode_value(spec: ColumnSpec, data: bytes | memoryview) -> Any:
    """Decode a member, the inverse of `encode_value`.

    Raises:
        ValueError: the bytes are not an array or JSON text.
    """
    if spec.dtype == "json":
        return parse_json(bytes(data))
    return _decode_array(bytes(data))


def _decode_array(data: bytes) -> np.ndarray:
    """The array of a .npy file of version 1.0; nothing is allocated before its size is compared."""
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("expected a .npy file of version 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        size = math.prod(shape) * dtype.itemsize
    except Exception as error:  # numpy parses Python, and fails in many ways
        raise ValueError(f"is no .npy file that can be read: {error}") from None
    begin = stream.tell()
    if dtype.hasobject:
        raise ValueError("holds Python objects (a pickle), and allow_pickle is never set")
    if min(shape, default=0) < 0 or size != len(data) - begin:
        raise ValueError(
            f"{len(data) - begin} bytes are no array of {dtype} of shape {shape}, as its head says"
        )
    flat = np.frombuffer(data, dtype, offset=begin).copy()
    return flat.reshape(shape, order="F" if fortran else "C")


def member_info(name: str, size: int) -> tarfile.TarInfo:
    """The header of a member: it depends on nothing but the name and size of its data."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info  # mtime, uid and gid are 0, names of owners empty


class TarWriter:
    """Writes one target, which takes its name on `commit` and not before."""

    def __init__(self, folder: Path, shard: int, spec: ColumnSpec) -> None:
        member_folder(folder.parent, folder.name)
        self._folder, self._shard, self._spec = folder, shard, spec
        self._temporary = temporary_path(folder / f"{shard:05d}.tar")
        self._file = new_file(self._temporary)
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._rows: list[MemberRow] = []
        self._packed = Packed()

    def add(self, member: Member) -> None:
        """Append a member to the tar."""
        info = member_info(f"{member.key}.{self._spec.suffix}", len(member.data))
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(info, io.BytesIO(member.data))
        self._packed.add(offset, member.data)
        self._rows.append(
            MemberRow(
                key=member.key,
                offset=offset,
                size=len(member.data),
                shape=member.shape,
                crc32=zlib.crc32(member.data),
                source=member.source,
                scalars=member.scalars,
            )
        )

    def commit(self, summary: Mapping[str, Any]) -> Marker:
        """Give the tar its name, then write its marker.

        Args:
            summary: float64 sums over the tar's arrays.
        """
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        digest = target_digest((row.key, row.source) for row in self._rows)
        tar = self._folder / f"{target_stem(self._shard, digest)}.tar"
        with self._temporary.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = self._temporary.stat().st_size
        put_in_place(self._temporary, tar)
        marker = Marker(
            path=tar.with_suffix(".parquet"),
            column=self._spec.name,
            shard=self._shard,
            digest=digest,
            sha256=sha256,
            size=size,
            rows=tuple(self._rows),
            summary=summary,
        )
        with atomic_write(marker.path) as file:
            file.write(marker_bytes(marker, self._packed.members()))
        return marker

    def abort(self) -> None:
        """Delete what was written so far."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def table_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a parquet file, with a checksum for each page."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def marker_bytes(marker: Marker, members: Sequence[bytes] = ()) -> bytes:
    """The bytes of a marker's parquet file; with small members, see `packed`."""
    names = sorted({name for row in marker.rows for name in row.scalars})
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.key for row in marker.rows], pa.string()),
        "offset": pa.array([row.offset for row in marker.rows], pa.int64()),
        "size": pa.array([row.size for row in marker.rows], pa.int64()),
        "shape": pa.array([row.shape for row in marker.rows], pa.list_(pa.int32())),
        "crc32": pa.array([row.crc32 for row in marker.rows], pa.uint32()),
        "source": pa.array([row.source for row in marker.rows], pa.string()),
    }
    for name in names:
        columns[f"scalar.{name}"] = pa.array(
            [row.scalars.get(name) for row in marker.rows], pa.float64()
        )
    if members:
        columns[DATA] = pa.array(members, pa.binary())
    metadata = {
        "column": marker.column,
        "shard": marker.shard,
        "digest": marker.digest,
        "sha256": marker.sha256,
        "size": marker.size,
        "summary": marker.summary,
    }
    table = pa.table(columns).replace_schema_metadata({MARKER_METADATA: canonical_json(metadata)})
    return table_bytes(table)


def read_marker(path: Path) -> Marker:
    """Read a marker.

    Raises:
        ValueError: it is not a marker, or damaged.
    """
    try:
        table = read_table(path, without=(DATA,))
        metadata = parse_json(table.schema.metadata[MARKER_METADATA])
        columns = table.to_pydict()
        scalars = [name for name in columns if name.startswith("scalar.")]
        rows = tuple(
            MemberRow(
                key=columns["key"][i],
                offset=columns["offset"][i],
                size=columns["size"][i],
                shape=tuple(columns["shape"][i]),
                crc32=columns["crc32"][i],
                source=columns["source"][i],
                scalars={
                    name.removeprefix("scalar."): columns[name][i]
                    for name in scalars
                    if columns[name][i] is not None
                },
            )
            for i in range(table.num_rows)
        )
        return Marker(
            path=path,
            column=metadata["column"],
            shard=metadata["shard"],
            digest=metadata["digest"],
            sha256=metadata["sha256"],
            size=metadata["size"],
            rows=rows,
            summary=metadata["summary"],
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} is not a readable marker: {error}") from error


def read_member(tar: Path, row: MemberRow) -> bytes:
    """Read the bytes of a member and check them.

    Raises:
        ValueError: the tar ends early, or the bytes are not those that were committed.
    """
    return next(read_members(tar, [row]))


def read_members(tar: Path, rows: Iterable[MemberRow]) -> Iterator[bytes]:
    """Read the bytes of several members and check them.

    Raises:
        ValueError: the tar ends early, or the bytes are not those that were committed.
    """
    with open_regular(tar) as file:
        for row in rows:
            file.seek(row.offset)
            data = file.read(row.size)
            if len(data) != row.size or zlib.crc32(data) != row.crc32:
                raise ValueError(f"{tar.name}: {row.key} is damaged")
            yield data


def read_far(url: str, row: MemberRow) -> bytes:
    """Read the bytes of a member of a tar in a bucket and check them.

    Raises:
        ValueError, OSError: there is no tar, or the bytes are not those that were committed.
    """
    from ns2.pipeline.remote.objects import read_at

    for _ in range(_TRIES):
        data = read_at(url, row.offset, row.size)
        if zlib.crc32(data) == row.crc32:
            return data
    raise ValueError(f"{url}: {row.key} is damaged")


_TRIES = 4


def shard_markers(folder: Path, shard: int) -> Sequence[Path]:
    """The paths of all markers of a shard in a column's folder, current or not, sorted."""
    return sorted(folder.glob(f"{shard:05d}-*.parquet"))


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An array of a required column that lies in a tar already."""

    tar: Path
    row: MemberRow
    url: str = ""
    """Of the tar, where it lies in a bucket, and `tar` only stands for it."""

    def read(self) -> bytes:
        """The bytes of the member.

        Raises:
            UserError: the tar can't be read, or the bytes are damaged.
        """
        try:
            return read_far(self.url, self.row) if self.url else read_member(self.tar, self.row)
        except (OSError, ValueError) as error:
            place = self.url or self.tar
            raise UserError(
                f"{error}. Delete {place} and run again: only its content is made anew."
            ) from error

    def member(self) -> Member:
        """The member, read and checked, to be written unchanged to another tar.

        Raises:
            UserError: the tar can't be read, or the bytes are damaged.
        """
        row = self.row
        return Member(
            key=row.key, data=self.read(), shape=row.shape, source=row.source, scalars=row.scalars
        )
