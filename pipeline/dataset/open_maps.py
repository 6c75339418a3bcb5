"""How many files a process may have mapped: all datasets of it share one number.

A map holds a file handle, also while nothing but an array of it is in use. So maps are counted
until they are really gone; where there is no room for one more, bytes are read instead.
"""

from __future__ import annotations

import mmap
import resource
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import BinaryIO

_RESERVE = 24
"""File handles that are left for what a process opens later."""
_MOST, _LEAST = 4096, 4

Mapped = tuple[mmap.mmap, memoryview]
"""A mapped file, and a view of it from which slices are cut without copies."""


class MappedFiles(dict[str, Mapped]):
    """The mapped files of one owner by name; files are added by `OpenMaps.add`."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class OpenMaps:
    """Counts the maps of a process, and lets the oldest go where there is no room for more.

    Threads may use it at the same time.
    """

    def __init__(self, most: int | None = None) -> None:
        """Begin with none.

        Args:
            most: the most maps; None for what the limit of file handles leaves at the first.
        """
        self._most, self._alive = most, 0
        self._kept: deque[tuple[weakref.ref[MappedFiles], str]] = deque()
        self._lock = threading.RLock()  # a map may end while this thread holds it

    def add(self, files: MappedFiles, name: str, file: BinaryIO) -> Mapped | None:
        """Map a file and keep it among the files of an owner.

        Returns:
            None where as many are mapped as may be, and none of them can be let go.

        Raises:
            ValueError: the file is empty.
            OSError: it can't be mapped.
        """
        with self._lock:
            while self._alive >= self._room() and self._kept:
                owner, oldest = self._kept.popleft()
                kept = owner()
                if kept is not None:
                    kept.pop(oldest, None)
            if self._alive >= self._room():
                return None
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._alive += 1
            weakref.finalize(mapped, self._end).atexit = False
            files[name] = made = (mapped, memoryview(mapped))
            self._kept.append((weakref.ref(files), name))
            return made

    def _end(self) -> None:
        with self._lock:
            self._alive -= 1

    def _room(self) -> int:
        if self._most is None:
            self._most = _fitting()
        return self._most


def _fitting() -> int:
    """The most maps that the limit of file handles leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    try:
        used = len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        used = _RESERVE
    return min(_MOST, max(_LEAST, (soft - used - _RESERVE) * 3 // 4))


MAPS = OpenMaps()
"""The maps of this process."""
