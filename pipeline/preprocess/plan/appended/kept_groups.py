"""Parquet files that begin as another one does: its row groups are copied, not decoded.

A file of millions of rows to which some are added is the old one up to the first row group that
changes. What is written has the bytes that writing all of its rows would have.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.preprocess.plan.appended.thrift_structs import Structs, written
from ns2.pipeline.sound.held.thrift import STRUCT, Fields, Reader

_MAGIC = b"PAR1"
_TAIL = 8
_BLOCK = 8 << 20
_ROWS, _GROUPS = 3, 4  # fields of FileMetaData
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7  # of RowGroup
_CHUNK_OFFSETS, _CHUNK_METADATA = (2, 4, 6), 3  # of ColumnChunk
_PAGE_OFFSETS = (9, 10, 11, 14)  # of ColumnMetaData


class OtherFormatError(ValueError):
    """The row groups of a file can't be taken over: it was written in another way."""


def write_behind(
    file: BinaryIO, before: Path, groups: int, tables: Iterable[pa.Table], schema: pa.Schema,
    **options: Any,
) -> None:  # fmt: skip
    """Write the first row groups of a file as they are, and tables behind them, each as one.

    Args:
        before: the file, which was written with this schema and these options.
        groups: how many of its row groups are kept, at least one.
        tables: what follows; it is held in memory while it is written.
        options: of `pyarrow.parquet.ParquetWriter`.

    Raises:
        OtherFormatError: it was not written so; nothing is written then.
    """
    behind = io.BytesIO()
    with pq.ParquetWriter(behind, schema, **options) as writer:
        for table in tables:
            writer.write_table(table)
    more, new = behind.getbuffer(), _Footer.of(behind)
    with before.open("rb") as old:
        kept, (end, rows) = _Footer.of(old), _first(before, groups)
        if kept.rest != new.rest:
            raise OtherFormatError(f"{before} was written in another way")
        by = end - len(_MAGIC)
        moved = [written(_moved(group, by, groups + i)) for i, group in enumerate(new.groups)]
        footer = kept.with_groups([*kept.groups[:groups], *moved], rows + new.rows)
        old.seek(0)
        _copy(old, file, end)
    file.write(more[len(_MAGIC) : len(more) - _TAIL - new.size])
    file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)


@dataclass(frozen=True)
class _Footer:
    """The metadata at the end of a file.

    Attributes:
        fields: all of it.
        size: its bytes.
    """

    fields: Fields
    size: int

    @classmethod
    def of(cls, file: BinaryIO) -> _Footer:
        """Read that of a file.

        Raises:
            OtherFormatError: it is written in another way than pyarrow does it.
        """
        whole = file.seek(0, io.SEEK_END)
        file.seek(max(whole - _TAIL, 0))
        tail = file.read(_TAIL)
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or size > whole - _TAIL - len(_MAGIC):
            raise OtherFormatError("it is not a parquet file")
        file.seek(whole - _TAIL - size)
        data = file.read(size)
        try:
            found = cls(Structs(data, _GROUPS).struct(), size)
            same = found.with_groups(found.groups, found.rows) == data
        except (EOFError, TypeError, ValueError, StopIteration) as error:
            raise OtherFormatError("its metadata can't be read") from error
        if not same:
            raise OtherFormatError("its metadata is written in another way")
        return found

    @property
    def groups(self) -> list[bytes]:
        """The metadata of each row group."""
        return list(_value(self.fields, _GROUPS)[1])

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return int(_value(self.fields, _ROWS))

    @property
    def rest(self) -> Fields:
        """What does not depend on rows: version, schema, who wrote it."""
        return [field for field in self.fields if field[0] not in (_ROWS, _GROUPS)]

    def with_groups(self, groups: list[bytes], rows: int) -> bytes:
        """The metadata of such a file with other row groups."""
        changed = {_ROWS: rows, _GROUPS: (STRUCT, groups)}
        return written([(n, kind, changed.get(n, value)) for n, kind, value in self.fields])


def _first(file: Path, groups: int) -> tuple[int, int]:
    """Where the first row groups of a file end, in bytes, and how many rows they have.

    Raises:
        OtherFormatError: there are fewer, or they do not lie one behind the other.
    """
    found = pq.read_metadata(file)
    if not 0 < groups <= found.num_row_groups:
        raise OtherFormatError(f"{file} has {found.num_row_groups} row groups")
    end = _span(found.row_group(groups - 1))[1]
    if groups < found.num_row_groups and _span(found.row_group(groups))[0] != end:
        raise OtherFormatError(f"the row groups of {file} do not lie one behind the other")
    return end, sum(found.row_group(i).num_rows for i in range(groups))


def _span(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """Where a row group begins and ends, in bytes."""
    columns = [group.column(i) for i in range(group.num_columns)]
    begins = [one.dictionary_page_offset or one.data_page_offset for one in columns]
    sizes = [one.total_compressed_size for one in columns]
    return min(begins), max(begin + size for begin, size in zip(begins, sizes, strict=True))


def _value(fields: Fields, wanted: int) -> Any:
    return next(value for number, _, value in fields if number == wanted)


def _moved(group: bytes, by: int, ordinal: int) -> Fields:
    """The metadata of a row group that lies further behind in a file."""

    def shifted(fields: Fields, numbers: tuple[int, ...]) -> Fields:
        # 0 stands for an offset that is not given
        return [(n, k, v + by if n in numbers and v else v) for n, k, v in fields]

    def chunk(fields: Fields) -> Fields:
        found = shifted(fields, _CHUNK_OFFSETS)
        return [
            (n, k, shifted(v, _PAGE_OFFSETS) if n == _CHUNK_METADATA else v) for n, k, v in found
        ]

    found: Fields = []
    for number, kind, value in shifted(Reader(group).struct(), (_GROUP_OFFSET,)):
        if number == _COLUMNS:
            value = (value[0], [chunk(one) for one in value[1]])
        found.append((number, kind, ordinal if number == _ORDINAL else value))
    return found


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        block = source.read(min(size, _BLOCK))
        if not block:
            raise OSError("the file ends before its row groups do")
        target.write(block)
        size -= len(block)
