"""Structs of Thrift's compact protocol, written, and read without what is only to be copied.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ns2.model.aligner.kernels import compiled
from ns2.pipeline.sound.held.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    SET,
    STRUCT,
    TRUE,
    Fields,
    Reader,
)

_DEEPEST = 32


class Structs(Reader):
    """Reads a struct with one list of structs in it that stay bytes."""

    def __init__(self, data: bytes, kept: int) -> None:
        """Begin at the first byte.

        Args:
            kept: the number of the list's field.
        """
        super().__init__(data)
        self._kept = kept

    def _field(self, number: int, kind: int, depth: int) -> Any:
        return super()._field(number, kind, depth) if depth or number != self._kept else self._raw()

    def _raw(self) -> tuple[int, list[bytes]]:
        """A list of structs, each as its bytes."""
        kind, count = self._list()
        if kind != STRUCT:
            raise ValueError("it is no list of structs")
        ends = np.zeros(count + 1, np.int64)
        ends[0] = self.at
        if not _find_ends(np.frombuffer(self._data, np.uint8), ends):
            raise ValueError("it has values of unknown kinds")
        self.at = int(ends[-1])
        return kind, [self._data[a:b] for a, b in itertools.pairwise(ends.tolist())]


@compiled
def _find_ends(data: np.ndarray, ends: np.ndarray) -> bool:
    """Find where structs end that lie one behind the other; False if they are none.

    Args:
        data: bytes.
        ends: (n + 1,) int64; the first one is where they begin, and the others are filled.
    """
    inner, left = np.zeros(_DEEPEST, np.int64), np.zeros(_DEEPEST, np.int64)
    at, size = ends[0], len(data)
    for i in range(1, len(ends)):
        depth, left[0] = 0, -1  # what is open: -1 for a struct, or how many values a list lacks
        while depth >= 0:
            if at >= size or depth + 1 >= _DEEPEST:
                return False
            if left[depth] == 0:
                depth -= 1
                continue
            if left[depth] > 0:
                left[depth] -= 1
                kind = inner[depth]
            else:
                head = data[at]
                at += 1
                if head == 0:
                    depth -= 1
                    continue
                kind = head & 15
                if head >> 4 == 0:
                    while at < size and data[at] >= 0x80:
                        at += 1
                    at += 1
                if kind <= FALSE:
                    continue
            if kind <= BYTE:
                at += 1
            elif kind == DOUBLE:
                at += 8
            elif kind == STRUCT:
                depth += 1
                left[depth] = -1
            elif kind <= SET:
                head, number, shift = data[at], np.int64(0), np.int64(0)
                is_list = kind >= LIST
                if is_list:
                    at += 1
                if is_list and head >> 4 < 15:
                    number = np.int64(head >> 4)
                else:
                    while at < size and data[at] >= 0x80:
                        number |= np.int64(data[at] & 0x7F) << shift
                        shift += 7
                        at += 1
                    if at >= size:
                        return False
                    number |= np.int64(data[at]) << shift
                    at += 1
                if kind == BINARY:
                    at += number
                elif is_list:
                    depth += 1
                    inner[depth], left[depth] = head & 15, number
            else:
                return False
        ends[i] = at
    return True


def written(fields: Fields) -> bytes:
    """A struct as bytes; structs in it may be bytes already."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


def _write_struct(out: bytearray, fields: Fields) -> None:
    before = 0
    for number, kind, value in fields:
        if 0 < number - before < 16:
            out.append(number - before << 4 | kind)
        else:
            out.append(kind)
            _write(out, I16, number)
        if kind not in (TRUE, FALSE):
            _write(out, kind, value)
        before = number
    out.append(0)


def _write_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _write(out: bytearray, kind: int, value: Any) -> None:
    if isinstance(value, bytes) and kind != BINARY:
        out += value
    elif kind in (TRUE, FALSE, BYTE):
        out.append(value)
    elif kind in (I16, I32, I64):
        _write_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    else:
        inner, values = value
        if len(values) < 15:
            out.append(len(values) << 4 | inner)
        else:
            out.append(0xF0 | inner)
            _write_varint(out, len(values))
        for one in values:
            _write(out, inner, one)
