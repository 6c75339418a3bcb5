"""Opens recordings alike, whether they are files or other files hold them."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.held import Recording, TarMember
from ns2.pipeline.core.reading import open_regular
from ns2.pipeline.sound.held.cells import read_cell

Place = str | Path | Recording
"""Where a recording lies: the path of its file, or what tells more."""


def open_recording(place: Place) -> BinaryIO:
    """Open a recording to be read; nothing is unpacked.

    Raises:
        OSError: it can't be read.
        UtteranceError: the file that holds it is damaged.
    """
    recording = Recording.of(place)
    held = recording.held
    if held is None:
        return recording.path.open("rb")
    if isinstance(held, TarMember):
        return io.BufferedReader(_Part(recording.path, held.offset, held.size), 1 << 16)
    return io.BytesIO(read_cell(recording.path, held))


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file, which stands where it stood before."""
    at = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(at)
    return size


def hash_recording(place: Place) -> str:
    """The SHA-256 of a recording's bytes, in 64 hex digits.

    Raises:
        OSError, UtteranceError: see `open_recording`; or it is no regular file.
    """
    recording = Recording.of(place)
    held = recording.held
    if held is None:
        return sha256_file(recording.path)
    if isinstance(held, TarMember):
        with io.BufferedReader(_Part(recording.path, held.offset, held.size)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(read_cell(recording.path, held)).hexdigest()


class _Part(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file = open_regular(path)
        self._offset, self._size, self._at = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begins = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, begins + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._at))
        found = os.preadv(self._file.fileno(), [view[:count]], self._offset + self._at)
        self._at += found
        return found

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
