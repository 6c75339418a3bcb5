"""Writing files so that they appear completely or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""The prefix of every temporary file; such files may be deleted while no run is at work."""


def temporary_path(path: Path) -> Path:
    """A path beside `path` that no other process writes and no reader opens."""
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a written and synced temporary file to its name, durably."""
    temporary.replace(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes its name only if the block ends without an exception."""
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a small file atomically unless it holds these bytes already; True if it was written."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    with atomic_write(path) as file:
        file.write(data)
    return True


def stamp(file: Path) -> tuple[int, int]:
    """Size and mtime_ns of a file, which change when its content does."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns
