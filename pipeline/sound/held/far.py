"""Recordings in a bucket: read from their objects, as the objects were when they were hashed.

An object of up to 16 MiB is read whole and kept in memory until the next one is asked for. Of a
longer one only those parts are read that are asked for, so a piece costs no more than its bytes
where its format can be decoded from the middle.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.held import Recording
from ns2.pipeline.remote.copies import may_be, right_bytes
from ns2.pipeline.remote.faults import MissingError
from ns2.pipeline.remote.standing import is_state, place_in

WHOLE = 16 << 20
"""The most bytes of an object that is read at once."""
_LEAST, _MOST, _KEPT = 1 << 18, 8 << 20, 256 << 20
"""Bytes of a first part and of those that follow each other, and how many a thread keeps."""


class _Object:
    """An object as it was hashed, and the parts of it that were read.

    Attributes:
        url: of the object.
        expected: its size, and the time that stands for its tag.
        tag: that it had when it was read last.
    """

    def __init__(self, url: str, expected: tuple[int, int]) -> None:
        self.url, self.expected = url, expected
        self.tag = ""
        self._bucket, self._name = place_in(url)
        self._parts = OrderedDict[int, bytes]()  # by where they begin
        self._next, self._step = 0, _LEAST

    @property
    def size(self) -> int:
        """Of the object, in bytes."""
        return self.expected[0]

    def read(self, at: int, count: int) -> bytes:
        """Some bytes, as many as there are from a place on.

        Raises:
            OSError: there is no object any more.
            UserError: it is another one, or can't be read.
        """
        count = min(count, self.size - at)
        if count <= 0:
            return b""
        for begin, data in self._parts.items():
            if begin <= at and at + count <= begin + len(data):
                self._parts.move_to_end(begin)
                return data[at - begin : at - begin + count]
        if self.size <= WHOLE:
            self._keep(0, self._whole())
            return self.read(at, count)
        self._step = min(2 * self._step, _MOST) if at == self._next else _LEAST
        data = self.fetch(at, min(max(count, self._step), self.size - at))
        self._next = at + len(data)
        self._keep(at, data)
        return data[:count]

    def fetch(self, at: int, count: int) -> bytes:
        """Some bytes, from the server; raises as `read` does."""
        with self._there():
            data, size, self.tag = self._bucket.tagged(self._name, at, at + count)
        self._check(size)
        return data

    def _whole(self) -> bytes:
        with self._there():
            data, size, self.tag = self._bucket.tagged(self._name)
            self._check(size)
            return right_bytes(self._bucket, self._name, size, self.tag, data)

    @contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except MissingError as error:
            code = errno.ENOENT
            raise FileNotFoundError(code, os.strerror(code), self.url) from error

    def _check(self, size: int) -> None:
        if not is_state(self.expected, size, self.tag):
            raise UserError(
                f"{self.url} has changed since it was listed. Run again once the corpus is at "
                "rest: what is written stays."
            )

    def _keep(self, at: int, data: bytes) -> None:
        self._parts[at] = data
        while sum(map(len, self._parts.values())) > _KEPT and len(self._parts) > 1:
            self._parts.popitem(last=False)


class _File(io.RawIOBase):
    """An object as a file."""

    def __init__(self, one: _Object) -> None:
        self._one, self._at = one, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._one.size}[whence]
        if begin + offset < 0:
            raise ValueError(f"there is no byte {begin + offset}")
        self._at = begin + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._one.read(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        parts = []
        while data := self._one.read(self._at, _MOST):
            parts.append(data)
            self._at += len(data)
        return b"".join(parts)


def open_far(recording: Recording) -> BinaryIO:
    """Open a recording that is an object.

    Raises:
        OSError: there is none.
        UserError: it is not the one that was listed, or can't be read.
    """
    one = _object(recording)
    if one.size <= WHOLE:
        return io.BytesIO(one.read(0, one.size))
    return io.BufferedReader(_File(one), 1 << 16)


def hash_far(recording: Recording) -> str:
    """The SHA-256 of an object's bytes, in 64 hex digits; raises as `open_far` does."""
    one = _object(recording)
    if one.size <= WHOLE:
        return hashlib.sha256(one.read(0, one.size)).hexdigest()
    before = ""
    for _ in range(_TRIES):
        found, md5 = hashlib.sha256(), hashlib.md5()
        for at in range(0, one.size, _MOST):
            data = one.fetch(at, min(_MOST, one.size - at))
            found.update(data)
            md5.update(data)
        digest = found.hexdigest()
        if may_be(md5.hexdigest(), one.tag) or digest == before:
            return digest
        before = digest
    raise UserError(f"{recording.url} is damaged: it is not what the server lists")


def _object(recording: Recording) -> _Object:
    """The object of a recording, with what this thread has read of it last."""
    expected = recording.stamp or stamp(recording.path)
    last: _Object | None = getattr(_LAST, "one", None)
    if last is None or (last.url, last.expected) != (recording.url, expected):
        last = _LAST.one = _Object(recording.url, expected)
    return last


_LAST = threading.local()
_TRIES = 4
