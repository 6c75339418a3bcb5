"""Sizes and times of files that have several names: a file is looked at once, not by each name.

The entries of a folder tell which file each name is of, so a corpus of hard links is looked at once
a folder and once a file, in a third of the time. All else is left to a look by name: files that
have one name only, other kinds of files, and folders that hold much more than is asked for.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ns2.model.aligner.kernels import compiled

_FEWEST = 256
"""Names in one folder, one after the other; for fewer it is not read."""
_ENTRIES = 4
"""A folder is read if it has at most so many entries for each name that is asked for."""
_BLOCK = 1 << 16
"""Bytes of entries that are read at once."""
_FILES = 10_000
"""Files that are looked at before it is judged whether each has several names here."""

_Stamp = tuple[int, int]
_UNKNOWN: _Stamp = (-2, -2)


class HardLinks:
    """A look at the names of files; what was found out of a file holds as long as the look takes.

    Several threads may use it.
    """

    def __init__(self, root: Path) -> None:
        """Begin a look.

        Args:
            root: the folder that names are relative to.
        """
        self._root = os.fsencode(root)
        self._mounted = set(_folders_of_mounts())
        self._stamps: dict[int, dict[int, _Stamp]] = {}  # by device and number of the file
        self._names = self._files = 0

    def look(
        self, data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, times: np.ndarray
    ) -> np.ndarray:
        """Find sizes and times of files that have several names.

        Args:
            data, offsets: bytes of n names, relative to the root or absolute, and where they begin
                and end, (n + 1,) int64.
            sizes, times: (n,) int64, which get what is found.

        Returns:
            (n,) bool, which names are left.
        """
        left, folders = np.ones(len(sizes), np.bool_), np.zeros(len(sizes), np.int64)
        _find_folders(data, offsets, folders)
        numbers, devices = np.zeros(len(sizes), np.int64), set[int]()
        device_of = np.zeros(len(sizes), np.int64)
        for begin, end in pairwise([*np.flatnonzero(folders >= 0).tolist(), len(sizes)]):
            if end - begin < _FEWEST or self._files > max(_FILES, self._names / 2):
                continue
            names = data, offsets[begin : end + 1], int(folders[begin])
            device = self._read_folder(*names, numbers[begin:end])
            if device is not None:
                device_of[begin:end] = device
                devices.add(device)
                self._names += end - begin
        for device in devices:
            here = np.flatnonzero((device_of == device) & (numbers != 0))
            found = self._stamps_of(device, data, offsets, here, numbers[here])
            known = found[:, 0] != _UNKNOWN[0]
            sizes[here[known]], times[here[known]] = found[known].T
            left[here[known]] = False
        return left

    def _read_folder(
        self, data: np.ndarray, offsets: np.ndarray, cut: int, numbers: np.ndarray
    ) -> int | None:
        """Find the numbers of the files that a folder's entries are of.

        Args:
            data, offsets: names in that folder, as in `look`.
            cut: bytes of each name that are the folder's.
            numbers: (n,) int64, which get what is found; 0 stays where there is no such file.

        Returns:
            the folder's device; None where it is not to be read.
        """
        first = data[offsets[0] : offsets[1]].tobytes()
        folder = os.path.join(self._root, first[:cut])  # noqa: PTH118 (bytes)
        try:
            one, here = os.lstat(_path(self._root, first)), os.stat(folder)  # noqa: PTH116
            if not stat.S_ISREG(one.st_mode) or one.st_nlink < 2:
                return None
            if (here.st_dev, here.st_ino) in self._mounted:  # what is mounted hides an entry
                return None
            entries = _entries_of(folder)
        except (OSError, ValueError):
            return None
        most = _ENTRIES * len(numbers)
        if entries is None or not _match(entries, data, offsets, cut, most, numbers):
            return None
        return here.st_dev

    def _stamps_of(
        self, device: int, data: np.ndarray, offsets: np.ndarray, places: np.ndarray,
        numbers: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Sizes and times (m, 2) of files by their numbers (m,), whose names are at places."""
        stamps, found = self._stamps.setdefault(device, {}), list[_Stamp]()
        distinct, first, each = np.unique(numbers, return_index=True, return_inverse=True)
        for number, place in zip(distinct.tolist(), places[first].tolist(), strict=True):
            stamp = stamps.get(number)
            if stamp is None:
                name = data[offsets[place] : offsets[place + 1]].tobytes()
                stamp = stamps[number] = _look_at(_path(self._root, name), device, number)
                self._files += 1
            found.append(stamp)
        return np.array(found or [_UNKNOWN], np.int64)[each]


def _path(folder: bytes, name: bytes) -> bytes:
    return os.path.join(folder, name)  # noqa: PTH118 (bytes)


def _look_at(path: bytes, device: int, number: int) -> _Stamp:
    """Size and time of a regular file, if it is that of a number."""
    with suppress(OSError, ValueError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) == (device, number):
            return found.st_size, found.st_mtime_ns
    return _UNKNOWN


def _folders_of_mounts() -> Iterator[tuple[int, int]]:
    """Device and number of each folder in which something is mounted."""
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            place = line.split(b" ")[4].decode("unicode_escape").encode("latin-1")
            with suppress(OSError):
                folder = os.stat(os.path.dirname(place))  # noqa: PTH116, PTH120 (bytes)
                yield folder.st_dev, folder.st_ino


@cache
def _reading() -> Any:
    """The function of the system's library that reads entries of a folder; None if it has none."""
    try:
        found = ctypes.CDLL(None, use_errno=True).getdents64
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = (
        (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t),
        ctypes.c_ssize_t,
    )
    return found


def _entries_of(folder: bytes) -> np.ndarray | None:
    """The entries of a folder as bytes, see `_match`; None where the system can't give them.

    Raises:
        OSError: it can't be read.
    """
    read, parts = _reading(), list[np.ndarray]()
    if read is None:
        return None
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            block = np.empty(_BLOCK, np.uint8)
            size = read(place, block.ctypes.data, _BLOCK)
            if size < 0:
                raise OSError(ctypes.get_errno(), "its entries can't be read")
            if not size:
                return np.concatenate(parts) if parts else np.zeros(0, np.uint8)
            parts.append(block[:size])
    finally:
        os.close(place)


@compiled
def _hash(data: np.ndarray, begin: int, end: int) -> Any:
    """FNV-1a of some bytes, 32 bits."""
    found = np.int64(0x811C9DC5)
    for at in range(begin, end):
        found = ((found ^ np.int64(data[at])) * np.int64(0x01000193)) & np.int64(0xFFFFFFFF)
    return found


@compiled
def _same(one: np.ndarray, begin: int, size: int, other: np.ndarray, at: int) -> bool:
    """Whether bytes are the same in two places."""
    equal = True
    for i in range(size):
        equal = equal and one[begin + i] == other[at + i]
    return equal


@compiled
def _match(
    entries: np.ndarray, data: np.ndarray, offsets: np.ndarray, cut: int, most: int,
    numbers: np.ndarray,
) -> bool:  # fmt: skip
    """Find the numbers of files by their names in a folder; False if it has too many entries.

    Args:
        entries: as linux/dirent.h has them: number 8 bytes, place 8, size 2, kind 1, name, zero.
        data, offsets, cut: bytes of names, where they begin and end (n + 1,), and those in front.
        most: so many entries are too many.
        numbers: (n,) int64, which get what is found.
    """
    room = 4
    while room < 2 * len(numbers):
        room *= 2
    slots, twin = np.full(room, -1, np.int64), np.full(len(numbers), -1, np.int64)
    for i in range(len(numbers)):
        begin, size = offsets[i] + cut, offsets[i + 1] - offsets[i] - cut
        slot = _hash(data, begin, begin + size) & (room - 1)
        while slots[slot] >= 0:
            j = slots[slot]
            if offsets[j + 1] - offsets[j] - cut == size and _same(
                data, offsets[j] + cut, size, data, begin
            ):
                twin[i] = j  # a name that comes twice
                break
            slot = (slot + 1) & (room - 1)
        if twin[i] < 0:
            slots[slot] = i
    at: Any = 0
    count = 0
    while at < len(entries):
        count += 1
        if count > most + 2:  # with the folder itself and the one above
            return False
        begin, end = at + 19, at + 19
        while entries[end] != 0:
            end += 1
        slot = _hash(entries, begin, end) & (room - 1)
        while entries[at + 18] == 8 and slots[slot] >= 0:
            i = slots[slot]
            if offsets[i + 1] - offsets[i] - cut == end - begin and _same(
                entries, begin, end - begin, data, offsets[i] + cut
            ):
                numbers[i] = entries[at : at + 8].view(np.int64)[0]
                break
            slot = (slot + 1) & (room - 1)
        at += np.int64(entries[at + 16]) | np.int64(entries[at + 17]) << 8
    for i in range(len(numbers)):
        if twin[i] >= 0:
            numbers[i] = numbers[twin[i]]
    return True


@compiled
def _find_folders(data: np.ndarray, offsets: np.ndarray, folders: np.ndarray) -> None:
    """Find the bytes of each name up to its last slash, or -1 where they are as in the one before.

    Args:
        data, offsets: bytes of all names, and where they begin and end, (n + 1,).
        folders: (n,), which get what is found.
    """
    before, there = 0, -1  # where the last folder is, and its bytes
    for i in range(len(folders)):
        begin, size = offsets[i], offsets[i + 1] - offsets[i]
        while size > 0 and data[begin + size - 1] != 47:
            size -= 1
        same = size == there
        at = 0
        while same and at < size:
            same = data[before + at] == data[begin + at]
            at += 1
        folders[i] = -1 if same else size
        before, there = begin, size
