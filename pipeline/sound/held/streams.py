"""Bytes of large parts of files, read and decompressed as they are asked for."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any, Protocol

from ns2.pipeline.core.reading import open_regular

STREAMED = ("", "snappy", "gzip", "zstd", "brotli")
"""Compressions of parquet that can be read without all of it in memory."""
_BLOCK = 1 << 16
_AT_ONCE = 1 << 18
_FAR = 1 << 16
"""How far back a copy of snappy may reach: its library compresses blocks of this size alone."""


class Stream(Protocol):
    """What can be read."""

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer only at the end."""
        ...


class Part(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file = open_regular(path)
        self._offset, self._size, self._at = offset, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stand at a byte, counted from the first, from here, or from the end."""
        begins = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, begins + offset)
        return self._at

    def tell(self) -> int:
        """The number of the byte where it stands."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer takes, or are left."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._at))
        found = os.preadv(self._file.fileno(), [view[:count]], self._offset + self._at)
        self._at += found
        return found

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


def decompressed(part: Part, codec: str) -> Stream:
    """What a part of a file holds, by one of the compressions `STREAMED`.

    Raises:
        ValueError, OSError, EOFError, ArrowException: it is not compressed so; also when it is
            read.
    """
    if codec == "snappy":
        return _Snappy(io.BufferedReader(part, _AT_ONCE))
    if codec == "gzip":
        return gzip.GzipFile(fileobj=io.BufferedReader(part, _AT_ONCE))
    if codec:
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(part, mode="r"), codec)
    return io.BufferedReader(part, _AT_ONCE)


def skip(stream: Stream, size: int) -> None:
    """Read so many bytes and let them go.

    Raises:
        ValueError: there are not so many.
    """
    if isinstance(stream, io.BufferedReader):
        stream.seek(size, os.SEEK_CUR)
        return
    while size:
        found = len(stream.read(min(size, _AT_ONCE)))
        if not found:
            raise ValueError("it ends too early")
        size -= found


class _Snappy:
    """Decompresses snappy's raw format.

    Source: https://github.com/google/snappy/blob/main/format_description.txt
    """

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._out = bytearray()
        self._at = 0
        shift = 0
        while self._take(1)[0] & 0x80:  # the length of it all, which is known already
            shift += 7
            if shift > 28:
                raise ValueError("it is not compressed by snappy")

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer only at the end."""
        while len(self._out) - self._at < size and self._next():
            pass
        data = bytes(memoryview(self._out)[self._at : self._at + size])
        self._at += len(data)
        if self._at > _FAR + _AT_ONCE:
            del self._out[: self._at - _FAR]
            self._at = _FAR
        return data

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise ValueError("it ends too early")
        return data

    def _next(self) -> bool:
        """Decompress the next element; False at the end."""
        head = self._source.read(1)
        if not head:
            return False
        tag, kind = head[0] >> 2, head[0] & 3
        if kind == 0:
            extra = tag - 59
            length = tag + 1 if extra <= 0 else int.from_bytes(self._take(extra), "little") + 1
            while length:  # some compressors write literals of any length
                some = self._take(min(length, _BLOCK))
                self._out += some
                length -= len(some)
            return True
        if kind == 1:
            length, far = (tag & 7) + 4, (tag >> 3) << 8 | self._take(1)[0]
        else:
            length, far = tag + 1, int.from_bytes(self._take(2 if kind == 2 else 4), "little")
        begin = len(self._out) - far
        if not far or begin < 0:
            raise ValueError("a copy reaches farther back than is read")
        if far >= length:
            self._out += self._out[begin : begin + length]
        else:
            repeated = self._out[begin:]
            self._out += (repeated * (length // far + 1))[:length]
        return True
