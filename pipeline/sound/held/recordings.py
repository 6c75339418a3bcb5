"""Opens recordings alike, whether they are files or other files hold them."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.held import ParquetCell, Recording, TarMember
from ns2.pipeline.sound.held.far import hash_far, open_far
from ns2.pipeline.sound.held.streams import Part

Place = str | Path | Recording
"""Where a recording lies: the path of its file, or what tells more."""


def open_recording(place: Place) -> BinaryIO:
    """Open a recording to be read; nothing is unpacked.

    Raises:
        OSError: it can't be read.
        UtteranceError: the file that holds it is damaged.
        UserError: the object that it is has changed, or can't be reached.
    """
    recording = Recording.of(place)
    held = recording.held
    if recording.url:
        return open_far(recording)
    if held is None:
        return recording.path.open("rb")
    if isinstance(held, TarMember):
        return io.BufferedReader(Part(recording.path, held.offset, held.size), 1 << 16)
    return io.BytesIO(_cell(recording.path, held))


def for_decoder(place: Place) -> Path | BinaryIO:
    """What soundfile opens: the path of a file of its own, or an open file; raises as
    `open_recording` does."""
    recording = Recording.of(place)
    own = recording.held is None and not recording.url
    return recording.path if own else open_recording(recording)


def stamp_of(recording: Recording) -> tuple[int, int]:
    """Size and mtime_ns of a recording's file, or of the file that holds it or stands for it."""
    return recording.stamp or stamp(recording.path)


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
    if recording.url:
        return hash_far(recording)
    if held is None:
        return sha256_file(recording.path)
    if isinstance(held, TarMember):
        with io.BufferedReader(Part(recording.path, held.offset, held.size)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(_cell(recording.path, held)).hexdigest()


def _cell(path: Path, cell: ParquetCell) -> memoryview:
    """The bytes of a cell, see `read_cell`."""
    from ns2.pipeline.sound.held.cells import read_cell  # loads pyarrow, which files don't need

    return read_cell(path, cell)
