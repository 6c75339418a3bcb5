"""Writing files so that they appear completely or not at all, and deleting only what is ours.

A folder may come from a stranger, so nothing is written or deleted through a member of it that is a
link: `member_folder` makes or takes each folder below the one that the user named, temporary files
are new files under names that nobody can foresee, and only names that ns2 gives are deleted.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ns2.pipeline.core.errors import UserError

TEMPORARY = ".tmp-"
"""The prefix of every temporary file; such files may be deleted while no run is at work."""

_TEMPORARY_NAME = re.compile(r"\.tmp-[0-9]+(-.+)?", re.DOTALL)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_END = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


Observer = Callable[[Path, bool], None]
"""Is told a file, and whether it has taken its name or is gone."""
_OBSERVERS: list[Observer] = []


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tell an observer of each file that takes its name, or is deleted, while the block lasts.

    What it raises stops whoever wrote the file.
    """
    _OBSERVERS.append(observer)
    try:
        yield
    finally:
        _OBSERVERS.remove(observer)


def _tell(path: Path, there: bool) -> None:
    for observer in _OBSERVERS:
        observer(path, there)


def delete(path: Path) -> None:
    """Delete a file, which need not be there."""
    path.unlink(missing_ok=True)
    _tell(path, False)


def temporary_path(path: Path) -> Path:
    """A path beside `path` that no other process writes or foresees, and no reader opens."""
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}-{path.name}")


def remove_abandoned(path: Path) -> None:
    """Delete the temporary files and folders of this path whose processes are gone."""
    named = re.compile(rf"\.tmp-([0-9]+)-[0-9a-f]{{16}}-{re.escape(path.name)}")
    with contextlib.suppress(OSError):
        for entry in list(path.parent.iterdir()):
            found = named.fullmatch(entry.name)
            if found is None or Path("/proc", found[1]).exists() or not Path("/proc/self").exists():
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def is_temporary(name: str) -> bool:
    """Whether a file's or folder's name is one that `temporary_path` gives, or gave before."""
    return _TEMPORARY_NAME.fullmatch(name) is not None


def refuse_link(path: Path) -> None:
    """See that what is to be written is no link, which may lead anywhere.

    Raises:
        UserError: it is one.
    """
    if path.is_symlink():
        raise UserError(
            f"{path} is a link, and ns2 writes and deletes nothing through a link inside of a "
            "folder. Put a copy in its place (`cp -rL` copies a folder so), or name another folder."
        )


def member_folder(root: Path, *names: str) -> Path:
    """A folder below a folder that the user named, made where it is missing.

    Args:
        root: the user's folder, itself perhaps a link; made where it is missing.
        names: the folder's parts below `root`, none of which may be a link.

    Raises:
        UserError: a part is a link.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        root = root / name
        refuse_link(root)
        root.mkdir(exist_ok=True)
    return root


class _Raw(io.FileIO):
    """A file whose errors of writing, such as a full disk, name it."""

    def __init__(self, descriptor: int, mode: str, path: Path) -> None:
        super().__init__(descriptor, mode)
        self._path = str(path)

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._path
            raise


def new_file(path: Path) -> BinaryIO:
    """Open a file that is not there yet, to be written; never through a link.

    Raises:
        FileExistsError: there is something of this name.
    """
    return io.BufferedWriter(_Raw(os.open(path, _NEW, 0o666), "wb", path))


def open_end(path: Path) -> BinaryIO:
    """Open a file to be written at its end; never through a link, a pipe or a device.

    Raises:
        UserError: it is one.
    """
    refuse_link(path)
    file = io.BufferedWriter(_Raw(os.open(path, _END, 0o666), "ab", path))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path} is no regular file, and ns2 writes into no other; move it away")
    return file


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
    _tell(path, True)


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A binary file that takes its name only if the block ends without an exception.

    A link of that name is replaced, and what it leads to stays as it is.

    Args:
        durable: False where it may get lost in a power cut.
    """
    temporary = temporary_path(path)
    file = new_file(temporary)
    try:
        with file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _tell(path, True)


def write_if_changed(path: Path, data: bytes) -> bool:
    """Write a small file atomically unless it holds these bytes already; True if it was written."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    with atomic_write(path) as file:
        file.write(data)
    return True


def remove_known(folder: Path, known: re.Pattern[str]) -> None:
    """Delete files of ours below a folder, then each folder that is empty, itself included.

    No link is followed; a link of such a name is deleted itself. What else is there stays.

    Args:
        known: matches the whole path, relative to the folder, of a file that is deleted;
            temporary files are deleted besides.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for place, folders, files in os.walk(folder, topdown=False):
        here = Path(place)
        for name in files:
            path = here / name
            if is_temporary(name) or known.fullmatch(path.relative_to(folder).as_posix()):
                path.unlink(missing_ok=True)
        for name in folders:
            _remove_empty(here / name)
    _remove_empty(folder)


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files and folders that a killed process left in a folder.

    Links, and folders below, are left alone.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        left = [entry for entry in entries if is_temporary(entry.name)]
    for entry in left:
        path = folder / entry.name
        if entry.is_file(follow_symlinks=False):
            path.unlink(missing_ok=True)
        elif entry.is_dir(follow_symlinks=False):
            remove_known(path, _FLAT)


_FLAT = re.compile(r"[A-Za-z0-9_.-]+")


def _remove_empty(folder: Path) -> None:
    """Delete a folder if it is one, and empty."""
    if not folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.rmdir()


def stamp(file: Path) -> tuple[int, int]:
    """Size and mtime_ns of a file, which change when its content does."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns
