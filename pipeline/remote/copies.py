"""Whole objects copied to files of this machine, unless they are there already."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.names import path_in
from ns2.pipeline.remote.faults import RemoteError
from ns2.pipeline.remote.objects import Objects, asking

_PIECE = 8 << 20
_CONNECTIONS = 8
_LARGE = (".parquet", ".tar", ".safetensors", ".pt")


def whole(objects: Objects, name: str) -> bytes:
    """All bytes of an object; a large one comes in pieces, several at a time."""
    if not name.endswith(_LARGE):
        return objects.read(name)
    size, _ = objects.size(name)
    if size <= _PIECE:
        return objects.read(name)
    pieces = [(at, min(at + _PIECE, size)) for at in range(0, size, _PIECE)]
    with asking(_CONNECTIONS) as pool:
        return b"".join(pool.map(lambda piece: objects.read(name, *piece), pieces))


def time_of(tag: str) -> int:
    """A time in ns that stands for an object's tag: a copy has it, so a changed object is seen.

    It is one that every file system can hold, between 1970 and 2038.
    """
    digest = hashlib.sha256(tag.replace('"', "").encode()).digest()
    return int.from_bytes(digest[:8], "big") % (1_000_000_000 << 31)


def mark(path: Path, tag: str) -> None:
    """Give a file the time that stands for its object's tag."""
    os.utime(path, ns=(time.time_ns(), time_of(tag)))


def may_be(md5: str, tag: str) -> bool:
    """Whether an object may have bytes with this MD5, as far as its tag tells."""
    return _md5_in(tag) in ("", md5)


def is_content(data: bytes, size: int, tag: str) -> bool:
    """Whether bytes are those of an object, as far as its size and tag tell.

    S3 gives the MD5 of what was put at once, mostly; other tags say nothing about bytes.
    """
    md5 = _md5_in(tag)
    return len(data) == size and (not md5 or hashlib.md5(data).hexdigest() == md5)


def is_copy(path: Path, size: int, tag: str) -> bool:
    """Whether a file is the object: by its bytes, or else by the time that `mark` gave it."""
    if not path.is_file():
        return False
    status = path.stat()
    if status.st_size != size:
        return False
    if not (md5 := _md5_in(tag)):
        return status.st_mtime_ns == time_of(tag)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5


def right_bytes(
    objects: Objects, name: str, size: int, tag: str, came: bytes | None = None
) -> bytes:
    """All bytes of an object as it was listed; others are fetched again: it may be the network.

    Args:
        came: what came already; None where nothing was asked for.

    Raises:
        RemoteError: it can't be read, or stays another one.
    """
    before = b""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(0.1 * 2**attempt)
        data = whole(objects, name) if came is None else came
        came = None
        if is_content(data, size, "" if objects.url in _OPAQUE else tag):
            return data
        now = hashlib.sha256(data).digest()
        if len(data) == size and now == before and objects.size(name) == (size, tag):
            _OPAQUE.add(objects.url)  # the same twice, and nobody has changed it
            return data
        before = now
    raise RemoteError(
        f"{objects.url}/{name} is not what the server lists: it changes while it is read, or is "
        "damaged on its way. Run again once nobody writes there"
    )


def bring(objects: Objects, root: Path, there: Collection[tuple[str, int, str]]) -> None:
    """Copy objects to files of the same names below a folder.

    Args:
        there: name, size and tag of each object, as they were listed.

    Raises:
        RemoteError: one can't be read, or has changed since.
    """

    def copy(one: tuple[str, int, str]) -> None:
        path = path_in(root, one[0])
        if not is_copy(path, *one[1:]):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=False) as file:
                file.write(right_bytes(objects, *one))
            if not _md5_in(one[2]):
                mark(path, one[2])

    root.mkdir(parents=True, exist_ok=True)
    with asking(_CONNECTIONS) as pool:
        list(pool.map(copy, there))


def _md5_in(tag: str) -> str:
    """The MD5 that a tag is; "" for other tags."""
    found = _MD5.fullmatch(tag.strip('"'))
    return "" if found is None else found[0]


_MD5 = re.compile(r"[0-9a-f]{32}")
_OPAQUE = set[str]()
"""URLs below which tags look like MD5s and are none: those of objects with keys of KMS."""
_TRIES = 4
"""How often bytes are fetched that are not those of the object that was listed."""
