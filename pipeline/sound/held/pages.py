"""The pages of a column of bytes in a parquet file.

pyarrow decodes a column from the start of a row group only, so a recording at its end would cost
all before it, in time and in memory. Here one page is decoded at a time, and a row is found by the
headers of the pages. Source: https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from ns2.pipeline.sound.held.streams import Part, decompressed, skip
from ns2.pipeline.sound.held.thrift import read_struct

_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_PLAIN, _RLE = 0, 3
_BY_DICTIONARY = (2, 8)
_HEADER = 512
_LONGEST_HEADER = 1 << 20  # with statistics
LARGEST_PAGE = (1 << 31) - 1
"""The most bytes of a page: its header has no larger numbers."""

Span = tuple[int, int] | None
"""First byte and length of a value in the bytes of a page; None for a null."""


class UnknownPage(ValueError):
    """A page is written in a way that is not known here; pyarrow may know it."""


class DamagedPage(ValueError):
    """A page is not what its header says, or has no header."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page by its header.

    Attributes:
        kind: of the page, as the format numbers it.
        at: its first byte behind the header, in the file.
        stored: how many bytes it has in the file.
        size: how many it has when it is decompressed.
        first: the number of its first row in the row group; of a dictionary 0.
        count: how many values it has, nulls included.
        encoding: of its values.
        levels: bytes of a newer page that are not compressed: which rows are null.
        compressed: whether the rest is.
        checksum: CRC-32 of its bytes in the file, or None.
    """

    kind: int
    at: int
    stored: int
    size: int
    first: int
    count: int
    encoding: int
    levels: int = 0
    compressed: bool = True
    checksum: int | None = None


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The pages of a column in one row group.

    Attributes:
        start, end: its bytes in the file.
        codec: pyarrow's name of its compression; "" for none.
        depth: the number of levels of nullable fields.
    """

    start: int
    end: int
    codec: str
    depth: int

    @staticmethod
    def of(metadata: Any, group: int, column: int) -> Chunk:
        """A chunk as the file's footer describes it.

        Args:
            metadata: of pyarrow.
            column: number of the column among all leaves of the schema.

        Raises:
            UnknownPage: it holds something else than plain or nullable bytes.
        """
        leaf, chunk = metadata.schema.column(column), metadata.row_group(group).column(column)
        if leaf.physical_type != "BYTE_ARRAY" or leaf.max_repetition_level:
            raise UnknownPage("the column does not hold bytes")
        start = chunk.data_page_offset
        if chunk.has_dictionary_page and chunk.dictionary_page_offset:
            start = min(start, chunk.dictionary_page_offset)
        codec = chunk.compression.lower()
        return Chunk(
            start=start,
            end=start + chunk.total_compressed_size,
            codec={"uncompressed": "", "lz4": "lz4_raw"}.get(codec, codec),
            depth=leaf.max_definition_level,
        )


def walk_pages(file: BinaryIO, chunk: Chunk) -> Iterator[Page]:
    """The pages of a chunk by their headers, in order.

    Raises:
        DamagedPage: there is no header where one should be.
        UnknownPage: a page is of another kind.
    """
    at, first = chunk.start, 0
    while at < chunk.end:
        fields, length = _header(file, at, chunk.end)
        try:
            page = _page(fields, at + length, first)
        except (KeyError, TypeError) as error:
            raise DamagedPage(f"the header of a page at byte {at} is damaged") from error
        if page.at + page.stored > chunk.end or not 0 <= page.size <= LARGEST_PAGE:
            raise DamagedPage(f"the page at byte {at} has impossible sizes")
        yield page
        first += page.count if page.kind != _DICTIONARY else 0
        at = page.at + page.stored


def _header(file: BinaryIO, at: int, end: int) -> tuple[dict[int, Any], int]:
    size = _HEADER
    while True:
        file.seek(at)
        data = file.read(min(size, end - at))
        try:
            return read_struct(data)
        except EOFError:
            if len(data) < size or size >= _LONGEST_HEADER:
                raise DamagedPage(f"the header of a page at byte {at} has no end") from None
            size *= 8
        except ValueError as error:
            raise DamagedPage(f"there is no header of a page at byte {at}: {error}") from error


def _page(fields: dict[int, Any], at: int, first: int) -> Page:
    kind = fields[1]
    inner = {_DATA: 5, _DICTIONARY: 7, _DATA_2: 8}.get(kind)
    if inner is None:
        raise UnknownPage(f"a page of the kind {kind}")
    head = fields[inner]
    newer = kind == _DATA_2
    if newer and head[6]:
        raise UnknownPage("a page with repeated values")
    if kind == _DATA and head[3] != _RLE:
        raise UnknownPage("levels of an old encoding")
    checksum = fields.get(4)
    return Page(
        kind=kind,
        at=at,
        stored=fields[3],
        size=fields[2],
        first=first,
        count=head[1],
        encoding=head[4] if newer else head[2],
        levels=head[5] if newer else 0,
        compressed=head.get(7, True) if newer else True,
        checksum=None if checksum is None else checksum & 0xFFFF_FFFF,
    )


def is_dictionary(page: Page) -> bool:
    """Whether a page holds the values that others name by number."""
    return page.kind == _DICTIONARY


def by_dictionary(page: Page) -> bool:
    """Whether the values of a page are numbers of values in the dictionary."""
    return page.encoding in _BY_DICTIONARY and not is_dictionary(page)


def read_page(file: BinaryIO, page: Page, codec: str) -> tuple[memoryview, memoryview]:
    """What tells which rows of a newer page are null, and the rest of a page, decompressed.

    Raises:
        DamagedPage: they are not what the header says.
        UnknownPage: it may be compressed in another way than the footer says.
    """
    file.seek(page.at)
    data = memoryview(file.read(page.stored))
    if len(data) < page.stored:
        raise DamagedPage("the file is cut off inside a page")
    if page.checksum is not None and zlib.crc32(data) != page.checksum:
        raise DamagedPage(f"the page at byte {page.at} is damaged: its checksum is wrong")
    levels, rest = data[: page.levels], data[page.levels :]
    size = page.size - page.levels
    if not codec or not page.compressed or not size:
        return levels, rest
    try:
        raw = memoryview(pa.Codec(codec).decompress(pa.py_buffer(rest), size)).cast("B")
    except (pa.ArrowException, OSError, ValueError) as error:
        kind = UnknownPage if codec == "lz4_raw" else DamagedPage  # an older LZ4 has its name
        # not chained: it is the file's fault, and no error of reading it
        raise kind(f"the page at byte {page.at} can't be decompressed: {error}") from None
    if len(raw) != size:
        raise DamagedPage(f"the page at byte {page.at} has {len(raw)} bytes, not {size}")
    return levels, raw


def value_spans(page: Page, levels: memoryview, data: memoryview, depth: int) -> list[Span]:
    """Where each row's value lies in a page of plain values, or in a dictionary.

    Args:
        levels, data: what `read_page` gives.
        depth: the number of levels of nullable fields.

    Raises:
        UnknownPage: the values are encoded in another way.
        DamagedPage: they lie beyond the page.
    """
    if page.encoding not in (_PLAIN, *(_BY_DICTIONARY if is_dictionary(page) else ())):
        raise UnknownPage(f"values of the encoding {page.encoding}")
    if is_dictionary(page):
        return list(_plain(data, 0, page.count))
    there, at = _present(page, levels, data, depth)
    spans = _plain(data, at, int(there.sum()))
    return [next(spans) if one else None for one in there]


def value_numbers(page: Page, levels: memoryview, data: memoryview, depth: int) -> list[int | None]:
    """Numbers of the values in the dictionary that the rows of a page have.

    Args: see `value_spans`.

    Raises:
        DamagedPage: the page ends too early.
    """
    there, at = _present(page, levels, data, depth)
    numbers = iter(_runs(data[at + 1 :], data[at], int(there.sum())) if there.any() else ())
    return [int(next(numbers)) if one else None for one in there]


class LargeValues:
    """Values of a page that is too large to be in memory as a whole, one after the other.

    A value that lies before the last one is found by reading the page anew.
    """

    def __init__(self, path: Path, page: Page, codec: str, depth: int) -> None:
        """Open a page of plain values, or a dictionary.

        Raises:
            UnknownPage: the values are encoded in another way.
            DamagedPage: its checksum is wrong.
        """
        if page.encoding not in (_PLAIN, *(_BY_DICTIONARY if is_dictionary(page) else ())):
            raise UnknownPage(f"values of the encoding {page.encoding}")
        self._path, self._page, self._codec, self._depth = path, page, codec, depth
        _check_stream(path, page)
        self._numbers: np.ndarray | None = None  # of the value of each row, -1 for a null
        self._open()
        if depth and not is_dictionary(page):
            there = _runs(memoryview(self._levels), depth.bit_length(), page.count) == depth
            self._numbers = np.where(there, np.cumsum(there) - 1, -1)
        self._last: tuple[int, bytes] | None = None

    def __getitem__(self, row: int) -> bytes | None:
        number = row if self._numbers is None else int(self._numbers[row])
        if number < 0:
            return None
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        self._last = None
        if number < self._next:
            self._open()
        while self._next < number:
            skip(self._stream, self._length())
            self._next += 1
        length = self._length()
        value = self._stream.read(length)
        if len(value) < length:
            raise DamagedPage("a value ends beyond its page")
        self._next += 1
        self._last = number, value
        return value

    def _length(self) -> int:
        head = self._stream.read(4)
        if len(head) < 4:
            raise DamagedPage("the page ends too early")
        length = int.from_bytes(head, "little")
        if length > self._page.size:
            raise DamagedPage("a value ends beyond its page")
        return length

    def _open(self) -> None:
        """Begin the page, behind what tells which rows are null."""
        page, self._next = self._page, 0
        with Part(self._path, page.at, page.levels) as levels:
            self._levels = levels.read(page.levels) or b""
        part = Part(self._path, page.at + page.levels, page.stored - page.levels)
        self._stream = decompressed(part, self._codec if page.compressed else "")
        if self._has_levels():
            self._levels = self._stream.read(int.from_bytes(self._stream.read(4), "little"))

    def _has_levels(self) -> bool:
        return self._page.kind == _DATA and self._depth > 0


def _check_stream(path: Path, page: Page) -> None:
    """Check the checksum of a page without all of it in memory."""
    if page.checksum is None:
        return
    found = 0
    with io.BufferedReader(Part(path, page.at, page.stored)) as part:
        while some := part.read(1 << 20):
            found = zlib.crc32(some, found)
    if found != page.checksum:
        raise DamagedPage(f"the page at byte {page.at} is damaged: its checksum is wrong")


def _plain(data: memoryview, at: int, count: int) -> Iterator[tuple[int, int]]:
    for _ in range(count):
        length = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + length > len(data):
            raise DamagedPage("a value ends beyond its page")
        yield at + 4, length
        at += 4 + length


def _present(
    page: Page, levels: memoryview, data: memoryview, depth: int
) -> tuple[np.ndarray, int]:
    """Which rows have a value, and the first byte of the values."""
    if not depth:
        return np.ones(page.count, bool), 0
    begins = 0
    if page.kind == _DATA:
        begins = 4 + int.from_bytes(data[:4], "little")
        levels = data[4:begins]
    return _runs(levels, depth.bit_length(), page.count) == depth, begins


def _runs(data: memoryview, width: int, count: int) -> np.ndarray:
    """Numbers in runs of the same one, or packed in bits.

    Args:
        width: bits of a number.
        count: how many there are.
    """
    if not width:
        return np.zeros(count, np.int64)
    if width > 32:
        raise DamagedPage("numbers of too many bits")
    parts, found, at = [np.zeros(0, np.int64)], 0, 0
    size = (width + 7) // 8
    while found < count:
        head = shift = 0
        while True:
            if at >= len(data) or shift > 35:
                raise DamagedPage("its runs of numbers end too early")
            head |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                break
        if head & 1:
            packed = np.frombuffer(data[at : at + (head >> 1) * width], np.uint8)
            at += (head >> 1) * width
            bits = np.unpackbits(packed, bitorder="little").astype(np.int64)
            whole = bits[: len(bits) // width * width].reshape(-1, width)
            run = whole @ (1 << np.arange(width))
        else:
            number = int.from_bytes(data[at : at + size], "little")
            at += size
            run = np.full(min(head >> 1, count - found), number, np.int64)
        if not len(run):
            raise DamagedPage("its runs of numbers end too early")
        parts.append(run)
        found += len(run)
    return np.concatenate(parts)[:count]
