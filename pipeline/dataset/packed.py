"""Members of small arrays, which lie in the marker of their tar as well.

A member of a tar takes a header of 512 bytes and whole blocks. Where that is more than the members
themselves, as with phonemes and durations, the marker holds them once more, compressed: whoever
reads a tar over a network fetches its marker in place of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.dataset.tables import check_claims, read_table

DATA = "data"
"""The column of a marker that holds the members."""
BLOCK = 512
"""A tar consists of blocks of so many bytes."""
_MOST = 4 << 20
"""The most bytes of members that a marker holds."""


def belongs(members: Any, end: Any) -> Any:
    """Whether the members of a tar lie in its marker as well.

    Args:
        members: the bytes of all members of a tar, or an array of such numbers.
        end: where the last of them ends in the tar, the same.
    """
    return (members <= _MOST) & (2 * members < end)


class Packed:
    """Collects the members of a tar while it is written."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._bytes = self._end = 0

    def add(self, offset: int, data: bytes) -> None:
        """Note a member and where it begins."""
        self._bytes, self._end = self._bytes + len(data), offset + len(data)
        if self._bytes <= _MOST:
            self._data.append(data)
        else:
            self._data = []

    def members(self) -> list[bytes]:
        """All members, if they belong into the marker; none otherwise."""
        return self._data if belongs(self._bytes, self._end) else []


def wrong_members(marker: Path, crcs: Sequence[int]) -> Iterator[int]:
    """The numbers of the members in a marker whose bytes are not what its rows say.

    Args:
        crcs: the CRC-32 of each member.
    """
    if DATA not in pq.read_schema(marker).names:
        return
    for i, (data, crc) in enumerate(zip(read_table(marker, [DATA])[DATA], crcs, strict=True)):
        if not data.is_valid or zlib.crc32(data.as_buffer()) != crc:
            yield i


def tar_of(marker: bytes, end: int) -> bytes | None:
    """A tar as its marker knows it: members at their places, and zeros between them.

    Args:
        marker: the bytes of the marker.
        end: where the last member ends.

    Returns:
        whole blocks, up to that end; None where the marker holds no members.

    Raises:
        ValueError: the marker is damaged, or is not that of this tar.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(marker), page_checksum_verification=True) as file:
            if DATA not in file.schema_arrow.names:
                return None
            check_claims(file.metadata, len(marker), "a marker")
            table = file.read(["offset", DATA])
        offsets = table["offset"].cast(pa.int64()).to_pylist()
        members = table[DATA].cast(pa.binary()).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"is no marker: {error}") from error
    tar = bytearray(end + -end % BLOCK)
    for offset, data in zip(offsets, members, strict=True):
        if data is None or offset is None or not 0 <= offset <= end - len(data):
            raise ValueError(f"has a member at {offset} of a tar that ends at {end}")
        tar[offset : offset + len(data)] = data
    return bytes(tar)
