"""Arrays straight from tars that are mapped into memory, or read where too many are.

The header of a .npy is parsed once for every dtype and shape that occurs.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from isal.isal_zlib import crc32  # the same checksums as zlib's, but faster

from ns2.pipeline.core.errors import DamageError
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.reading import open_regular
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.contract import check_kind
from ns2.pipeline.dataset.open_maps import MAPS, Mapped, MappedFiles
from ns2.pipeline.dataset.shards import decode_value

if TYPE_CHECKING:
    import mmap

_HEADER = 128
"""Bytes of a .npy before its data, for every array of few dimensions that numpy writes."""
_HEADERS = 65_536
"""The most headers of a column that are remembered."""

_WRITTEN = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][bfiu]\d+)', 'fortran_order': False, "
    rb"'shape': \(((?:\d+, ?)*\d*)\), \} *\n",
    re.DOTALL,
)
"""A header as numpy writes it. numpy's own reader parses Python, which is slow, and which threads
of Python 3.11 can't do at the same time: it is used only where a header is unusual."""

Header = tuple[np.dtype[Any], tuple[int, ...], int]
"""Dtype and shape of an array, and the size in bytes of the whole .npy."""
Place = tuple[int, str, int, int, int | None]
"""Position of an utterance; file, offset and size of its array; the CRC-32 to check, or None."""


class MappedTars:
    """The tars of a dataset, mapped when an array of theirs is first read.

    Threads may read at the same time. A copy that is pickled maps its tars itself.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tars = MappedFiles()
        self._headers: dict[str, dict[bytes, Header]] = {}  # by column; each fits its column
        self._lock = threading.Lock()

    def read(
        self, spec: ColumnSpec, places: Iterable[Place], key: Callable[[int], str]
    ) -> list[Any]:
        """The arrays of a column at these places: the mapped bytes themselves, read-only.

        Args:
            spec: the column.
            places: where the arrays lie.
            key: gives the key of a position, for error messages.

        Raises:
            DamageError: a tar is missing, or its bytes are not those that were committed.
        """
        return self.values(self._tars, spec, places, key)

    def values(
        self,
        tars: MappedFiles,
        spec: ColumnSpec,
        places: Iterable[Place],
        key: Callable[[int], str],
    ) -> list[Any]:
        """See `read`; a tar that is not among these mapped ones is mapped."""
        values = list[Any]()
        headers = self._headers.setdefault(spec.name, {})
        for position, file, offset, size, crc in places:
            found = tars.get(file) or self._map(file, spec, position, key)
            if found is None:
                mapped: mmap.mmap | bytes = self._read(file, offset, size)
                view, offset = memoryview(mapped), 0
            else:
                mapped, view = found
            end, data = offset + size, offset + _HEADER
            if not 0 <= offset < end <= len(view):
                raise DamageError(f"{file}: ends before {spec.name} of {key(position)}")
            if crc is not None and crc32(view[offset:end]) != crc:
                raise DamageError(f"{file}: {spec.name} of {key(position)} is damaged")
            first = mapped[offset:data]
            header = headers.get(first)
            if header is None:
                try:
                    header = _parse_header(spec, first, headers)
                    if header is None:
                        with self._lock:
                            values.append(_decoded(spec, mapped[offset:end]))
                        continue
                except ValueError as error:
                    wanted = f"{spec.name} of {key(position)}"
                    raise DamageError(f"{file}: {wanted}: {error}") from None
            dtype, shape, length = header
            if length != size:
                raise DamageError(f"{file}: {spec.name} of {key(position)} is damaged")
            values.append(np.ndarray(shape, dtype, mapped, data))
        return values

    def _map(
        self, file: str, spec: ColumnSpec, position: int, key: Callable[[int], str]
    ) -> Mapped | None:
        """Map the tar of an array; None where as many are mapped as may be."""
        with self._lock:
            if file in self._tars:
                return self._tars[file]
            try:
                with open_regular(path_in(self._root, file)) as tar:
                    return MAPS.add(self._tars, file, tar)
            except FileNotFoundError:
                wanted = f"{spec.name} of {key(position)}"
                raise DamageError(f"{file} with {wanted} is missing") from None
            except OSError as error:
                wanted = f"{spec.name} of {key(position)}"
                raise DamageError(f"{file} with {wanted} {error.strerror}") from None
            except ValueError as error:  # an empty file, or no name of a file in the folder
                raise DamageError(f"{spec.name} of {key(position)}: {error}") from None

    def _read(self, file: str, offset: int, size: int) -> bytes:
        """The bytes of an array of a tar that `_map` has found; fewer where the tar ends."""
        if offset < 0 or size < 0:
            return b""
        with open_regular(path_in(self._root, file)) as tar:
            tar.seek(offset)
            return tar.read(min(size, os.fstat(tar.fileno()).st_size))

    def __len__(self) -> int:
        return len(self._tars)

    def __getstate__(self) -> dict[str, Any]:
        return {"_root": self._root}  # maps and locks can't be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._root, self._tars, self._headers = state["_root"], MappedFiles(), {}
        self._lock = threading.Lock()


def _decoded(spec: ColumnSpec, data: bytes) -> Any:
    """The value of a member with an unusual header, or of JSON."""
    value = decode_value(spec, data)
    if spec.dtype != "json":
        check_kind(spec, value.dtype, value.shape)
    return value


def _parse_header(spec: ColumnSpec, data: bytes, headers: dict[bytes, Header]) -> Header | None:
    """Parse the header of a .npy and remember it; None if it is unusual.

    Raises:
        ValueError: dtype or shape is not the column's.
    """
    if spec.dtype == "json":
        return None
    found = _WRITTEN.match(data)
    if found is None or int.from_bytes(data[8:10], "little") != _HEADER - 10:
        return None
    dtype = np.dtype(found[1].decode())
    shape = tuple(int(n) for n in found[2].replace(b",", b" ").split())
    check_kind(spec, dtype, shape)
    if len(headers) >= _HEADERS:
        headers.clear()
    length = _HEADER + dtype.itemsize * math.prod(shape)
    headers[data] = header = (dtype, shape, length)
    return header
