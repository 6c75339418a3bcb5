"""The lines of a table, each as a digest, so that a later run knows which of them are the same.

The digest is MurmurHash3 (x64, 128 bits; Austin Appleby, public domain): of two different lines it
is equal by chance once in 10^38 times, and it takes a tenth of the time of a cryptographic one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ns2.model.aligner.kernels import compiled
from ns2.pipeline.core.cores import usable_cores

_BLOCK = 16 << 20
_ONE, _TWO = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_ADD_ONE, _ADD_TWO = np.uint64(0x52DCE729), np.uint64(0x38495AB5)
_MIX_ONE, _MIX_TWO = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


@dataclass(frozen=True)
class Lines:
    """The lines of a table that are not blank, n of them.

    Attributes:
        starts, sizes: (n,) int64 and int32, where they lie in the file, in bytes.
        numbers: (n,) int64, their numbers from 1; blank lines count.
        digests: (n, 2) uint64, of their bytes without the line feed.
    """

    starts: np.ndarray
    sizes: np.ndarray
    numbers: np.ndarray
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)


def read_lines(table: Path) -> Lines:
    """Find the lines of a table; it is read block by block, which threads look at.

    Raises:
        OSError: it can't be read.
    """
    parts, offsets = list[_Part](), list[int]()
    with table.open("rb") as file, ThreadPoolExecutor(usable_cores()) as pool:
        # at most so many blocks are in memory
        waiting = deque[Future[_Part]]()
        for offset, block in _whole_lines(file):
            offsets.append(offset)
            waiting.append(pool.submit(_look, block))
            while len(waiting) > 2 * usable_cores():
                parts.append(waiting.popleft().result())
        parts.extend(one.result() for one in waiting)
    if not parts:
        none = np.zeros(0, np.int64)
        return Lines(none, none.astype(np.int32), none, np.zeros((0, 2), np.uint64))
    before = np.cumsum([0, *(part.count for part in parts)])
    for part, offset, number in zip(parts, offsets, before[:-1], strict=True):
        np.add(part.starts, offset, out=part.starts)
        np.add(part.numbers, number, out=part.numbers)
    names = ("starts", "sizes", "numbers", "digests")
    return Lines(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class _Part:
    """The lines of a block, as `Lines` has them; bytes and numbers are counted from its begin.

    Attributes:
        count: of all of its lines, blank or not.
    """

    starts: np.ndarray
    sizes: np.ndarray
    numbers: np.ndarray
    digests: np.ndarray
    count: int


def _whole_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Blocks of a file that end with a line feed, which the last one may get, and their places."""
    offset, left = 0, b""
    while block := file.read(_BLOCK):
        data = left + block
        end = data.rfind(b"\n") + 1
        left = data[end:]
        if end:
            yield offset, data[:end]
            offset += end
    if left:
        yield offset, left + b"\n"


def _look(data: bytes) -> _Part:
    """Look at the lines of a block that ends with a line feed."""
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(bytes_ == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    full = np.zeros(len(ends), np.bool_)
    digests = np.zeros((len(ends), 2), np.uint64)
    _digest_all(bytes_, starts, ends, full, digests)
    found = np.flatnonzero(full)
    sizes = (ends - starts)[found].astype(np.int32)
    return _Part(starts[found], sizes, found + 1, digests[found], len(ends))


@compiled
def look_for_more(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, full: np.ndarray) -> None:
    """See which lines of bytes are more than blanks and byte order marks."""
    for i in range(len(starts)):
        for at in range(starts[i], ends[i]):
            byte = data[at]
            blank = byte == 32 or byte == 9 or byte == 13
            if not blank and byte != 0xEF and byte != 0xBB and byte != 0xBF:
                full[i] = True
                break


@compiled
def _digest_all(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, full: np.ndarray, out: np.ndarray
) -> None:
    """Digest lines of bytes, and see which are more than blanks and byte order marks."""
    look_for_more(data, starts, ends, full)
    for i in range(len(starts)):
        if full[i]:
            out[i, 0], out[i, 1] = _murmur(data, starts[i], ends[i])


@compiled
def _rotated(word: Any, by: int) -> Any:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


@compiled
def _final(word: Any) -> Any:
    word ^= word >> np.uint64(33)
    word *= _MIX_ONE
    word ^= word >> np.uint64(33)
    word *= _MIX_TWO
    return word ^ (word >> np.uint64(33))


@compiled
def _word(data: np.ndarray, start: int, end: int) -> Any:
    """Up to 8 bytes as a number, the first one lowest."""
    word: Any = np.uint64(0)
    for at in range(end - 1, start - 1, -1):
        word = (word << np.uint64(8)) | np.uint64(data[at])
    return word


@compiled
def _murmur(data: np.ndarray, start: int, end: int) -> tuple[Any, Any]:
    """MurmurHash3_x64_128 of some bytes, with the seed 0."""
    first: Any = np.uint64(0)
    second: Any = np.uint64(0)
    at = start
    while end - at >= 16:
        one, two = _word(data, at, at + 8), _word(data, at + 8, at + 16)
        first ^= _rotated(one * _ONE, 31) * _TWO
        first = (_rotated(first, 27) + second) * np.uint64(5) + _ADD_ONE
        second ^= _rotated(two * _TWO, 33) * _ONE
        second = (_rotated(second, 31) + first) * np.uint64(5) + _ADD_TWO
        at += 16
    middle = min(at + 8, end)
    if end > middle:
        second ^= _rotated(_word(data, middle, end) * _TWO, 33) * _ONE
    if middle > at:
        first ^= _rotated(_word(data, at, middle) * _ONE, 31) * _TWO
    first ^= np.uint64(end - start)
    second ^= np.uint64(end - start)
    first += second
    second += first
    first, second = _final(first), _final(second)
    first += second
    return first, first + second
