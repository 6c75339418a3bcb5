"""Sizes and times of many files: the system is asked by compiled code, by as many threads as cores.

For ten million files Python's own calls would take longer than the system does.
"""

from __future__ import annotations

import ctypes
import os
import stat
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ns2.model.aligner.kernels import on_all_cores

_FEW = 20_000
"""Fewer files are looked at sooner than anything is compiled."""
_PART = 1 << 18
_LONGEST = 4096
_SECOND = 1_000_000_000
_WANTED = 0x1 | 0x40 | 0x200  # type, time of modification, size: of linux/stat.h
_MODE, _SIZE, _SECONDS, _NANO = 28, 40, 112, 120  # where struct statx has them, in bytes


def stamps_of(root: Path, names: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and times of files, -1 and -1 where there is no regular file.

    Args:
        root: the folder that the names are relative to; names may be absolute.
        names: (n,) strings.

    Returns:
        sizes and mtime_ns, (n,) int64 each.
    """
    sizes, times = (np.full(len(names), -1, np.int64) for _ in range(2))
    look = None if len(names) < _FEW else _compiled_look()
    if look is None or not root.is_dir():
        _look_one_by_one(root, names, sizes, times)
        return sizes, times
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def work(begin: int) -> None:
        texts = names.slice(begin, _PART).combine_chunks().cast(pa.large_string())
        offsets, data = _buffers(texts)
        look(folder, data, offsets, sizes[begin : begin + _PART], times[begin : begin + _PART])

    try:
        on_all_cores(work, range(0, len(names), _PART))
    finally:
        os.close(folder)
    return sizes, times


def _look_one_by_one(
    root: Path, names: pa.ChunkedArray, sizes: np.ndarray, times: np.ndarray
) -> None:
    for i, name in enumerate(names.to_pylist()):
        try:
            found = os.stat(os.path.join(root, name))  # noqa: PTH116, PTH118 (a Path takes longer)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(found.st_mode):
            sizes[i], times[i] = found.st_size, found.st_mtime_ns


def _buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Where strings begin and end, (n + 1,) int64, and the bytes of all of them."""
    _, offsets, data = texts.buffers()
    begins = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return begins, np.frombuffer(data or b"\0", np.uint8)


@cache
def _compiled_look() -> Any:
    """The compiled loop, or None where the system's library has no statx."""
    import numba

    try:
        statx = ctypes.CDLL(None).statx
    except (OSError, AttributeError):
        return None
    kinds = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    statx.argtypes, statx.restype = kinds, ctypes.c_int

    # a function of another library can't be kept compiled; it takes half a second
    @numba.njit(nogil=True)
    def look(
        folder: int, data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, times: np.ndarray
    ) -> None:
        found, path = np.zeros(256, np.uint8), np.zeros(_LONGEST, np.uint8)
        for i in range(len(offsets) - 1):
            length = offsets[i + 1] - offsets[i]
            if length >= _LONGEST:
                continue
            path[:length] = data[offsets[i] : offsets[i + 1]]
            path[length] = 0
            if statx(folder, path.ctypes.data, 0, _WANTED, found.ctypes.data) != 0:
                continue
            if found[_MODE : _MODE + 2].view(np.uint16)[0] & 0xF000 != 0x8000:
                continue
            sizes[i] = found[_SIZE : _SIZE + 8].view(np.int64)[0]
            seconds = found[_SECONDS : _SECONDS + 8].view(np.int64)[0]
            times[i] = seconds * _SECOND + found[_NANO : _NANO + 4].view(np.uint32)[0]

    return look
