"""Opens recordings alike, whether they are files or other files hold them."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.held import Recording, TarMember
from ns2.pipeline.sound.held.cells import read_cell
from ns2.pipeline.sound.held.streams import Part

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
        return io.BufferedReader(Part(recording.path, held.offset, held.size), 1 << 16)
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
        with io.BufferedReader(Part(recording.path, held.offset, held.size)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(read_cell(recording.path, held)).hexdigest()
