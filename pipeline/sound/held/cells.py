"""Cells of parquet files that hold recordings, read a page at a time."""

from __future__ import annotations

import bisect
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.held import ParquetCell
from ns2.pipeline.core.reading import open_regular
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.held.pages import (
    Chunk,
    DamagedPage,
    LargeValues,
    Page,
    UnknownPage,
    by_dictionary,
    is_dictionary,
    read_page,
    value_numbers,
    value_spans,
    walk_pages,
)
from ns2.pipeline.sound.held.streams import STREAMED

WHOLE = 4 << 20
"""Pages of more bytes are read value after value."""
_LOCAL = threading.local()
"""The column that a thread reads: cells that follow each other share a page."""


def read_cell(path: Path, cell: ParquetCell) -> memoryview:
    """The bytes of a cell. The page that has it stays in memory for the cells beside it.

    Args:
        path: of the file on this machine.

    Raises:
        OSError: the file can't be read; it has an errno.
        UtteranceError: AUDIO_MISSING, the cell is empty; AUDIO_UNREADABLE, it is damaged.
    """
    now = (str(path), *stamp(path), cell.column)
    column = getattr(_LOCAL, "column", None)
    if column is None or column.name != now:
        _LOCAL.column = None  # its page is let go first
        column = _LOCAL.column = _Column(now, path, cell.column)
    try:
        value = column.read(cell.group, cell.row)
    except (pa.ArrowException, ValueError, IndexError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # of the machine; one of decompressing has no number
        message = f"the parquet file is damaged where it holds the recording: {error}"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from None
    if value is None:
        raise UtteranceError(Reason.AUDIO_MISSING, "its row of the parquet file has no audio")
    return memoryview(value)


class _Values(Protocol):
    """Values of the rows of a page."""

    def __getitem__(self, row: int, /) -> memoryview | bytes | None: ...


class _Column:
    """One column of a parquet file, with the pages of a row group and the last one's bytes.

    Attributes:
        name: of the column, and of the state of its file.
    """

    def __init__(self, name: tuple[Any, ...], path: Path, column: str) -> None:
        self.name, self._path, self._leaf = name, path, column
        self._metadata = pq.read_metadata(path)
        leaves = [self._metadata.schema.column(i).path for i in range(self._metadata.num_columns)]
        if column not in leaves:
            raise UtteranceError(Reason.AUDIO_MISSING, f"the file has no column {column}")
        self._number = leaves.index(column)
        self._group = -1
        self._arrow: _ByArrow | None = None

    def read(self, group: int, row: int) -> memoryview | bytes | None:
        """The value of a row; None for a null."""
        if group != self._group:
            self._open(group)
        if self._arrow is None:
            try:
                return self._value(row)
            except UnknownPage:
                self._forget()
                self._arrow = _ByArrow(self._path, self._leaf, group)
        return self._arrow.read(row)

    def _open(self, group: int) -> None:
        self._forget()
        self._arrow = None
        self._chunk: Chunk | None = None
        self._pages: list[Page] = []
        self._dictionary: _Values | None = None
        self._group = group

    def _forget(self) -> None:
        self._held: Page | None = None
        self._values: _Values = []
        self._dictionary = None

    def _value(self, row: int) -> memoryview | bytes | None:
        with open_regular(self._path) as file:
            if self._chunk is None:
                self._chunk = Chunk.of(self._metadata, self._group, self._number)
                self._pages = list(walk_pages(file, self._chunk))
            pages = [page for page in self._pages if not is_dictionary(page)]
            at = bisect.bisect_right(pages, row, key=lambda page: page.first) - 1
            page = pages[at]
            if not page.first <= row < page.first + page.count:
                raise DamagedPage(f"no page has the row {row}")
            if page != self._held:
                self._held, self._values = None, []  # let go first
                self._values = self._decode(file, page, self._chunk)
                self._held = page
        return self._values[row - page.first]

    def _decode(self, file: Any, page: Page, chunk: Chunk) -> _Values:
        if not by_dictionary(page):
            self._dictionary = None  # pages behind such a one have none either
            return self._plain(file, page, chunk)
        if self._dictionary is None:
            held = next((one for one in self._pages if is_dictionary(one)), None)
            if held is None:
                raise DamagedPage("it has no dictionary")
            self._dictionary = self._plain(file, held, chunk)
        numbers = value_numbers(page, *read_page(file, page, chunk.codec), chunk.depth)
        return _Named(self._dictionary, numbers)

    def _plain(self, file: Any, page: Page, chunk: Chunk) -> _Values:
        """The values of a page, or of a dictionary."""
        if page.size > WHOLE and chunk.codec in STREAMED:
            return LargeValues(self._path, page, chunk.codec, chunk.depth)
        levels, data = read_page(file, page, chunk.codec)
        spans = value_spans(page, levels, data, chunk.depth)
        return [None if s is None else data[s[0] : s[0] + s[1]] for s in spans]


class _Named:
    """The values of a page whose rows name those of a dictionary by number."""

    def __init__(self, dictionary: _Values, numbers: list[int | None]) -> None:
        self._dictionary, self._numbers = dictionary, numbers

    def __getitem__(self, row: int) -> memoryview | bytes | None:
        number = self._numbers[row]
        return None if number is None else self._dictionary[number]


class _ByArrow:
    """Rows of a column as pyarrow decodes it, from the start of a row group; for odd pages."""

    def __init__(self, path: Path, column: str, group: int) -> None:
        self._path, self._column, self._group = path, column, group
        self._rows: Iterator[Any] = iter(())
        self._next = 0
        self._last: tuple[int, bytes | None] = (-1, None)

    def read(self, row: int) -> bytes | None:
        """The value of a row; quick where rows are asked for in order."""
        if row == self._last[0]:
            return self._last[1]
        if row < self._next or self._next == 0:
            self._rows, self._next = self._values(), 0
        value: bytes | None = None
        while self._next <= row:
            value = next(self._rows, None)
            self._next += 1
        self._last = row, value
        return value

    def _values(self) -> Iterator[Any]:
        opened = pq.ParquetFile(self._path, buffer_size=1 << 20, pre_buffer=False)
        for batch in opened.iter_batches(
            batch_size=1, row_groups=[self._group], columns=[self._column], use_threads=False
        ):
            value = batch.column(0)[0].as_py()
            if self._column != batch.schema.names[0]:  # whose name may have dots, too
                inner = self._column.removeprefix(f"{batch.schema.names[0]}.")
                value = None if value is None else value[inner]
            yield value
