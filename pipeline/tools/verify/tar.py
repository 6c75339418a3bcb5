"""Verification of one tar, which is read once, from beginning to end.

Its layout is known beforehand, so every byte belongs to one member's header, data or padding, or to
the end of the archive, and a wrong byte is attributed to its member.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ns2.pipeline.core.reading import open_regular
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.bucket.scratch import Part
from ns2.pipeline.dataset.shards import Marker, MemberRow, member_info
from ns2.pipeline.tools.verify.fault import Fault, caught

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Target:
    """A tar and its marker: what must be there, by index and SHA256SUMS.

    Attributes:
        spec: the column's specification.
        shard: the number of the shard.
        tar: the path of the tar relative to the dataset.
        tar_sha256, marker_sha256: from SHA256SUMS; empty where they are unknown.
    """

    spec: ColumnSpec
    shard: int
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
        return marker_name(self.tar)

    @property
    def where(self) -> dict[str, Any]:
        """The fields `column` and `shard` of a fault in it."""
        return {"column": self.column, "shard": self.shard}


def _padded(size: int) -> int:
    """The bytes that data takes in a tar: whole blocks."""
    return size + -size % tarfile.BLOCKSIZE


def marker_name(tar: str) -> str:
    """The name of a tar's marker."""
    return tar.removesuffix(".tar") + ".parquet"


@dataclass(kw_only=True)
class TarCheck:
    """Reads one tar; its attributes hold what was found afterwards.

    Attributes:
        root: the dataset's folder.
        target: the tar that is read.
        layout: where its members lie; None if neither marker nor index can be trusted.
        marker: its marker; None if it can't be trusted.
        take: called with each member whose bytes are right; raises ValueError for wrong values.
        faults: what is wrong.
        sha256: of the tar; empty if it was not read completely.
        size: in bytes; None if there is no tar.
        arrays: the number of members that were read.
    """

    root: Path
    target: Target
    layout: Sequence[MemberRow] | None
    marker: Marker | None
    take: Callable[[ColumnSpec, MemberRow, bytes], None]
    faults: list[Fault] = field(default_factory=list)
    sha256: str = ""
    size: int | None = None
    arrays: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()
        self._path = self.root / self.target.tar

    def _fault(self, message: str, key: str = "") -> None:
        where = self.target.where
        self.faults.append(Fault(place=self.target.tar, key=key, message=message, **where))

    def run(self, keys: Collection[str] | None) -> None:
        """Read all of the tar, or only the members of these keys; what is wrong becomes a fault."""
        with caught(self.faults, self.target.tar, **self.target.where):
            if not self._path.exists():
                self._fault("is missing", self.layout[0].key if self.layout else "")
                return
            self.size = self._path.stat().st_size
            with open_regular(self._path) as file:
                if keys is None:
                    self._read_whole(file)
                else:
                    self._read_members_of(file, keys)

    def parts_of(self, keys: Collection[str]) -> list[Part]:
        """The parts of the tar that `run` reads of these keys: members with header and padding."""
        return [
            Part(
                row.offset - tarfile.BLOCKSIZE,
                row.offset + _padded(row.size),
                partial(self._is, row),
            )
            for row in self.layout or ()
            if row.key in keys and row.size >= 0
        ]

    def _is(self, row: MemberRow, data: bytes) -> bool:
        """Whether bytes are a member with its header and padding."""
        begin, end = tarfile.BLOCKSIZE, tarfile.BLOCKSIZE + row.size
        right = data[:begin] == self._header(row) and not any(data[end:])
        return right and zlib.crc32(data[begin:end]) == row.crc32

    def _header(self, row: MemberRow) -> bytes:
        name = f"{row.key}.{self.target.spec.suffix}"
        return member_info(name, row.size).tobuf(tarfile.USTAR_FORMAT)

    def _read_members_of(self, file: BinaryIO, keys: Collection[str]) -> None:
        if self.marker is not None and self.size != self.marker.size:
            cut = (r.key for r in self.layout or () if r.offset + r.size > (self.size or 0))
            message = f"has {self.size} bytes, its marker says {self.marker.size}"
            self._fault(message, next(cut, ""))
        for row in self.layout or ():
            if row.key in keys:
                file.seek(max(row.offset - tarfile.BLOCKSIZE, 0))
                if not self._read_member(file, row):
                    self._fault("the tar ends before the end of this member", row.key)

    def _read_whole(self, file: BinaryIO) -> None:
        if self._read_members(file):
            self._read_end(file)
        while rest := file.read(_CHUNK):
            self._hash.update(rest)
        self.sha256 = self._hash.hexdigest()
        if self.faults:
            return  # what is wrong is named already, more closely
        expected = {"SHA256SUMS": self.target.tar_sha256}
        if self.marker is not None:
            expected["its marker"] = self.marker.sha256
            if self.size != self.marker.size:
                self._fault(f"has {self.size} bytes, its marker says {self.marker.size}")
        for source, sha256 in expected.items():
            if sha256 and sha256 != self.sha256:
                self._fault(f"SHA-256 is {self.sha256}, {source} says {sha256}")
        if self.layout is None:
            self._fault("its members were not checked: neither marker nor index can be trusted")

    def _read_members(self, file: BinaryIO) -> bool:
        """Read all members in order; False if the end of the archive is not reached."""
        if self.layout is None:
            return False
        begin = tarfile.BLOCKSIZE
        for i, row in enumerate(self.layout):
            if row.offset != begin or row.size < 0:
                self._fault(f"begins at {begin}, recorded is {row.offset}", row.key)
                return False
            if not self._read_member(file, row):
                left = len(self.layout) - i
                self._fault(
                    f"the tar ends before the end of this member; {left} are missing", row.key
                )
                return False
            begin += _padded(row.size) + tarfile.BLOCKSIZE
        return True

    def _read(self, file: BinaryIO, size: int) -> bytes:
        data = file.read(size)
        self._hash.update(data)
        return data

    def _read_member(self, file: BinaryIO, row: MemberRow) -> bool:
        """Read one member (header, data, padding); False if the tar ends before its end."""
        header = self._read(file, tarfile.BLOCKSIZE)
        if len(header) < tarfile.BLOCKSIZE or not any(header) or row.size > (self.size or 0):
            return False
        data = self._read(file, row.size)
        if len(data) < row.size:
            return False
        padding = self._read(file, -row.size % tarfile.BLOCKSIZE)
        if len(padding) < -row.size % tarfile.BLOCKSIZE:
            return False
        self.arrays += 1
        name = f"{row.key}.{self.target.spec.suffix}"
        if header != self._header(row):
            self._fault(f"the header is not that of {name} with {row.size} bytes", row.key)
        if any(padding):
            self._fault("the padding behind the data is not zeros", row.key)
        crc = zlib.crc32(data)
        if crc != row.crc32:
            self._fault(f"CRC-32 is {crc:08x}, recorded is {row.crc32:08x}", row.key)
            return True
        with caught(self.faults, self.target.tar, key=row.key, **self.target.where):
            self.take(self.target.spec, row, data)
        return True

    def _read_end(self, file: BinaryIO) -> None:
        """Read the end: two blocks of zeros, then zeros up to a whole record."""
        begin = file.tell()
        end = begin + 2 * tarfile.BLOCKSIZE
        end += -end % tarfile.RECORDSIZE
        rest = self._read(file, end - begin)
        if len(rest) < end - begin or any(rest) or end != self.size:
            self._fault("the end of the archive is not zeros up to a whole record")
