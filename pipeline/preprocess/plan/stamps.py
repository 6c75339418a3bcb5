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
from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.preprocess.plan.hard_links import HardLinks

_FEW = 20_000
"""Fewer files are looked at sooner than anything is compiled."""
_PART = 1 << 18
"""The most names that a thread looks at together."""
_LONGEST = 4096
_SECOND = 1_000_000_000
_WANTED = 0x1 | 0x40 | 0x200  # type, time of modification, size: of linux/stat.h
# where struct statx has them, in units of their sizes: 2, 8, 8 and 4 bytes
_MODE, _SIZE, _SECONDS, _NANO = 14, 5, 14, 30


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
    folder, links = os.open(root, os.O_RDONLY | os.O_DIRECTORY), HardLinks(root)

    part = min(_PART, len(names) // (2 * usable_cores()) + 1)

    def work(begin: int) -> None:
        texts = names.slice(begin, part).combine_chunks().cast(pa.large_string())
        buffers = _buffers(texts)
        found = sizes[begin : begin + part], times[begin : begin + part]
        look(folder, *buffers, links.look(*buffers, *found), *found)

    try:
        on_all_cores(work, range(0, len(names), part))
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
    """The bytes of all strings, and where they begin and end, (n + 1,) int64."""
    _, offsets, data = texts.buffers()
    begins = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"\0", np.uint8), begins


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
        folder: int, data: np.ndarray, offsets: np.ndarray, asked: np.ndarray,
        sizes: np.ndarray, times: np.ndarray,
    ) -> None:  # fmt: skip
        found, path = np.zeros(256, np.uint8), np.zeros(_LONGEST, np.uint8)
        halves, words = found.view(np.uint16), found.view(np.uint32)
        longs = found.view(np.int64)
        for i in range(len(offsets) - 1):
            begin, length = offsets[i], offsets[i + 1] - offsets[i]
            if not asked[i] or length >= _LONGEST:
                continue
            for at in range(length):  # numba takes seconds to compile an assignment of a slice
                path[at] = data[begin + at]
            path[length] = 0
            if statx(folder, path.ctypes.data, 0, _WANTED, found.ctypes.data) != 0:
                continue
            if halves[_MODE] & 0xF000 != 0x8000:
                continue
            sizes[i] = longs[_SIZE]
            times[i] = longs[_SECONDS] * _SECOND + words[_NANO]

    return look
