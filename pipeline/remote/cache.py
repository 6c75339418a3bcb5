"""The folder of copies, which processes share and which keeps below a size.

What was not used for longest is deleted first. Whoever has a file open keeps its bytes until it
lets go of it; `OpenFiles` lets go soon.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path

from ns2.pipeline.remote.sparse import SparseFile
from ns2.pipeline.remote.urls import cache_folder, cache_size

SUFFIX = ".ranges"
"""The end of the names of files that may be deleted at any time."""
_OPEN = 96
"""The most files that a process has open: a window of training reads about 32."""
_TOUCH = 30.0
"""Seconds after which a file's last use is noted again."""


class OpenFiles:
    """Files of the cache that a process has open, the last used last. Threads may share it."""

    def __init__(self, most: int = _OPEN) -> None:
        self._most, self._files = most, OrderedDict[Path, tuple[SparseFile, float]]()
        self._lock = threading.Lock()

    def open(self, path: Path, size: int) -> SparseFile:
        """A file that has its name still."""
        now = time.monotonic()
        with self._lock:
            found = self._files.pop(path, None)
            if found is None or not found[0].is_current():
                found = (SparseFile(path, size), 0.0)
            file, touched = found
            if now - touched > _TOUCH or not touched:
                os.utime(path)
                touched = now
            self._files[path] = (file, touched)
            while len(self._files) > self._most:
                self._files.popitem(last=False)
            return file

    def let_go(self) -> None:
        """Let go of the files that were deleted."""
        with self._lock:
            gone = [path for path, (file, _) in self._files.items() if not file.is_current()]
            for path in gone:
                del self._files[path]


class Room:
    """Keeps the folder of copies below its size; each process looks once in a while."""

    def __init__(self, folder: Path | None = None, size: int | None = None) -> None:
        """Begin; None takes the folder and the size that are set for this process."""
        self.folder = cache_folder() if folder is None else folder
        self.size = cache_size() if size is None else size
        self._fresh = 0
        self._lock = threading.Lock()

    def added(self, count: int, files: OpenFiles) -> bool:
        """Note that so many bytes came, and make room where it is time for that.

        Returns:
            whether files may have been deleted.
        """
        with self._lock:
            self._fresh += count
            if self._fresh < self.size // 64:
                return False
            self._fresh = 0
        self.make()
        files.let_go()
        return True

    def shrink(self, files: OpenFiles) -> bool:
        """Take less room from now on, since the disk is full.

        Returns:
            whether that has made room.
        """
        used = sum(size for _, size, _ in self._found())
        self.size = min(self.size, used * 3 // 4)
        deleted = self.make()
        files.let_go()
        return deleted > 0

    def make(self) -> int:
        """Delete what was not used for longest until 7/8 of the size are left.

        Returns:
            the number of bytes that were deleted.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # another process is at it
        else:
            return self._delete()
        finally:
            os.close(descriptor)

    def _found(self) -> list[tuple[float, int, Path]]:
        """When each file was used last, its bytes on the disk, and where it is."""
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.rglob(f"*{SUFFIX}"):
            try:
                status = path.lstat()
            except OSError:
                continue
            found.append((status.st_mtime, status.st_blocks * 512, path))
        return found

    def _delete(self) -> int:
        found = self._found()
        used = sum(size for _, size, _ in found)
        aim, deleted = self.size - self.size // 8, 0
        for _, size, path in sorted(found):
            if used - deleted <= aim:
                break
            path.unlink(missing_ok=True)
            deleted += size
        return deleted
