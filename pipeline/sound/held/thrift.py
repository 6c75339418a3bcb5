"""Reading Thrift's compact protocol, as far as parquet files need it.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 16
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""Kinds of values."""

Fields = list[tuple[int, int, Any]]
"""A struct: number, kind and value of each field; a list is the kind of its values, and these."""


def read_struct(data: bytes) -> tuple[dict[int, Any], int]:
    """Read the struct that some bytes begin with.

    Returns:
        its fields by their numbers, a struct in it as such a dict; and the number of its bytes.

    Raises:
        EOFError: the bytes end before it.
        ValueError: it is no struct.
    """
    reader = Reader(data)
    return _by_number(reader.struct()), reader.at


def _by_number(fields: Fields) -> dict[int, Any]:
    return {number: _plain(kind, value) for number, kind, value in fields}


def _plain(kind: int, value: Any) -> Any:
    if kind in (TRUE, FALSE) and value is None:  # that of a list is a byte
        return kind == TRUE
    if kind in (LIST, SET):
        return [_plain(value[0], one) for one in value[1]]
    return _by_number(value) if kind == STRUCT else value


class Reader:
    """Reads structs with the kinds of their fields.

    Attributes:
        at: the number of bytes that were read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def struct(self, depth: int = 0) -> Fields:
        """The fields of the next struct, a boolean as None.

        Raises:
            EOFError: the bytes end before it.
            ValueError: it is no struct.
        """
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        fields: Fields = []
        number = 0
        while head := self._take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            is_boolean = kind in (TRUE, FALSE)
            fields.append((number, kind, None if is_boolean else self._field(number, kind, depth)))
        return fields

    def _field(self, number: int, kind: int, depth: int) -> Any:
        """The value of a field of a struct at some depth; 0 is the outer one."""
        return self._value(kind, depth)

    def _take(self, count: int) -> bytes:
        if self.at + count > len(self._data):
            raise EOFError
        self.at += count
        return self._data[self.at - count : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _list(self) -> tuple[int, int]:
        """The kind of the values of a list, and how many there are."""
        head = self._take(1)[0]
        return head & 15, head >> 4 if head >> 4 < 15 else self._varint()

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):  # a boolean of a list has a byte
            return self._take(1)[0]
        if kind in (I16, I32, I64):
            return self._integer()
        if kind == DOUBLE:
            return self._take(8)
        if kind == BINARY:
            return self._take(self._varint())
        if kind in (LIST, SET):
            inner, count = self._list()
            return inner, [self._value(inner, depth + 1) for _ in range(count)]
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind == MAP and not (count := self._varint()):
            return {}
        raise ValueError(f"it has a value of the unknown kind {kind}")
