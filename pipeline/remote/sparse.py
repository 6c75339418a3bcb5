"""A file of the cache of which only some ranges are there yet; processes and threads share it.

The file holds the object's bytes at their own places, then a byte for each block of 512: whether it
is there. Who fetches a range holds a lock on it, which ends with its holder, and looks again before
it asks the server: so each range is fetched once. All lies in one inode, and whoever has it open
may go on reading after it was deleted to make room.

Blocks are those of tar, so that an array and its padding are whole blocks.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 512
_PAGE = 4096
_FLOCK = "hhqqi4x"
"""struct flock of Linux: type, whence, start, length, process."""

Range = tuple[int, int]
"""Begin and end of some bytes of an object."""


class SparseFile:
    """The copy of an object, as far as it is there.

    Attributes:
        path: of the file.
        size: of the object, in bytes.
        mapped, view: the file in memory; the object's bytes lie at their own places.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Open the file, which is made where it is missing.

        Args:
            size: of the object, or as much of it as is ever read.

        Raises:
            OSError: it can't be made.
        """
        self.path, self.size = path, size
        self._blocks = -(-size // BLOCK)
        self._map = -(-size // _PAGE) * _PAGE  # where the bytes of blocks begin
        descriptor = self._open()
        try:
            status = os.fstat(descriptor)
            whole = self._map + self._blocks
            if status.st_size < whole:
                # not a hole: looking into one of a full disk in memory ends the process
                os.posix_fallocate(descriptor, self._map, self._blocks)
            self._inode = status.st_ino
            self.mapped = mmap.mmap(descriptor, whole, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self.view = memoryview(self.mapped)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o666)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o666)

    def has(self, begin: int, end: int) -> bool:
        """Whether a range is there."""
        first, last = self._map + begin // BLOCK, self._map - -end // BLOCK
        return self.mapped.find(b"\0", first, last) < 0

    def is_current(self) -> bool:
        """Whether the file has its name still: it is deleted where room is needed."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def fetch(self, wanted: Range, get: Callable[[int, int], bytes]) -> int:
        """Fetch what is missing of a range; another process that is at it is waited for.

        Args:
            get: gives the bytes of a part of the object.

        Returns:
            the number of bytes that were fetched.
        """
        first, last = wanted[0] // BLOCK, -(-wanted[1] // BLOCK)
        fetched = 0
        with self._locked(first, last) as descriptor:
            if descriptor is None:
                return 0
            for begin, end in self._missing(first, last):
                data = get(begin * BLOCK, min(end * BLOCK, -(-self.size // BLOCK) * BLOCK))
                _write(descriptor, data, begin * BLOCK)
                _write(descriptor, b"\1" * (end - begin), self._map + begin)
                fetched += len(data)
        return fetched

    def forget(self, begin: int, end: int) -> None:
        """Take a range for missing, because its bytes are wrong."""
        first, last = begin // BLOCK, -(-end // BLOCK)
        with self._locked(first, last) as descriptor:
            if descriptor is not None:
                _write(descriptor, bytes(last - first), self._map + first)

    def _missing(self, first: int, last: int) -> Iterator[Range]:
        """Runs of blocks that are not there; short ones that are, between them, come again."""
        there = self.mapped[self._map + first : self._map + last]
        begin = there.find(b"\0")
        while begin >= 0:
            end = there.find(b"\1" * _BRIDGE, begin)
            end = len(there.rstrip(b"\1")) if end < 0 else end
            yield first + begin, first + end
            begin = there.find(b"\0", end)

    @contextmanager
    def _locked(self, first: int, last: int) -> Iterator[int | None]:
        """A descriptor of the file while some blocks are this thread's; None if it was deleted."""
        descriptor = self._open()
        try:
            if os.fstat(descriptor).st_ino != self._inode:
                yield None
                return
            lock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, first, last - first, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, lock)
            yield descriptor
        finally:
            os.close(descriptor)  # which ends the lock


def _write(descriptor: int, data: bytes, at: int) -> None:
    """Write all of some bytes: a disk that becomes full takes a part of them without an error."""
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written


_BRIDGE = 32
"""Fewer blocks than this that are there already are fetched again with what is around them."""


def merged(ranges: list[Range], most: int) -> list[Range]:
    """Ranges in order, joined where that wastes little, none longer than `most`.

    What lies between two arrays of a tar, a header and padding, is always read with them. Beyond
    that gaps are read, the smallest first, as long as they are a twelfth of what is wanted.
    """
    apart: list[list[int]] = []
    for begin, end in sorted(ranges):
        if apart and begin - apart[-1][1] <= _HEADERS:
            apart[-1][1] = max(end, apart[-1][1])
        else:
            apart.append([begin, end])
    spare = sum(end - begin for begin, end in apart) // _SPARE
    bridged = set[int]()
    for gap, at in sorted((apart[i + 1][0] - apart[i][1], i) for i in range(len(apart) - 1)):
        spare -= gap
        if spare < 0:
            break
        bridged.add(at)
    joined: list[list[int]] = []
    for at, (begin, end) in enumerate(apart):
        if at and at - 1 in bridged:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    return [(at, min(at + most, end)) for begin, end in joined for at in range(begin, end, most)]


_HEADERS, _SPARE = 2 * BLOCK, 12
