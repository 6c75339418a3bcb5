"""Whole objects copied to files of this machine, unless they are there already."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.names import path_in
from ns2.pipeline.remote.objects import Objects

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
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return b"".join(pool.map(lambda piece: objects.read(name, *piece), pieces))


def is_copy(path: Path, tag: str) -> bool:
    """Whether a file is the object with this tag: S3 gives the MD5 of what was put at once."""
    plain = tag.strip('"')
    if len(plain) != 32 or not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == plain


def bring(objects: Objects, root: Path, names: Collection[tuple[str, str]]) -> None:
    """Copy objects to files of the same names below a folder.

    Args:
        names: name and tag of each object.

    Raises:
        RemoteError: one can't be read.
    """

    def copy(name_and_tag: tuple[str, str]) -> None:
        name, tag = name_and_tag
        path = path_in(root, name)
        if not is_copy(path, tag):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=False) as file:
                file.write(whole(objects, name))

    root.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(copy, names))
