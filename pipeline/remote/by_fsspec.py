"""Objects by fsspec, for URLs that obstore does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec  # type: ignore[import-untyped]

from ns2.pipeline.remote.faults import RemoteError


class FsspecStore:
    """Objects below a URL, by fsspec."""

    conditional = False

    def __init__(self, url: str) -> None:
        """Open a file system; whether a server is asked is its own matter."""
        self._files, self._root = fsspec.core.url_to_fs(url)

    def get(self, name: str, begin: int, end: int | None) -> bytes:
        """See `Store.get`."""
        return bytes(self._files.cat_file(f"{self._root}/{name}", start=begin, end=end))

    def tagged(self, name: str, begin: int, end: int | None) -> tuple[bytes, int, str]:
        """See `Store.tagged`; two requests, of which the second is looked at."""
        data = self.get(name, begin, end)
        return (data, *self.size(name))

    def size(self, name: str) -> tuple[int, str]:
        """See `Store.size`."""
        found = self._files.info(f"{self._root}/{name}")
        return int(found["size"]), _tag(found)

    def put(self, name: str, data: bytes, *, create: bool, tag: str) -> str:
        """See `Store.put`."""
        path = f"{self._root}/{name}"
        if create or tag:
            raise RemoteError(f"{path}: places of this kind know no conditions; write to S3")
        self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self._files.pipe_file(path, data)
        return self.size(name)[1]

    def put_file(self, name: str, path: Path, *, create: bool) -> str:
        """See `Store.put_file`."""
        if create:
            raise RemoteError(f"{self._root}/{name}: places of this kind know no conditions")
        target = f"{self._root}/{name}"
        self._files.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        self._files.put_file(str(path), target)
        return self.size(name)[1]

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        self._files.rm_file(f"{self._root}/{name}")

    def names(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """See `Store.names`."""
        root = self._root.rstrip("/")
        found = self._files.find(f"{root}/{prefix}".rstrip("/"), detail=True)
        for path, one in found.items():
            yield path.removeprefix(f"{root}/"), int(one["size"]), _tag(one)


def _tag(found: dict[str, object]) -> str:
    """What changes when an object does."""
    for name in ("ETag", "etag", "mtime", "LastModified", "created"):
        if name in found:
            return str(found[name])
    return str(found.get("size"))
