"""A folder that stands for a dataset in a bucket while it is written.

Small files lie in it as they are in the bucket. Tars are empty files of the same length: their
arrays are read from the bucket. The times of all of them stand for the tags of the objects, so what
was changed in the bucket is seen as on a disk, and from any machine. Each file that takes its name
in the folder is put into the bucket before the work goes on, so tars come before their markers, and
the card comes last.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from ns2.pipeline.core.atomic import is_temporary, observed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.names import path_in
from ns2.pipeline.dataset.bucket.lease import ENDS, Lease
from ns2.pipeline.dataset.bucket.mirror import MIRRORS, alone
from ns2.pipeline.dataset.bucket.putting import put_once
from ns2.pipeline.dataset.layout import LEASE, LOCK, OURS
from ns2.pipeline.dataset.shards import read_marker
from ns2.pipeline.remote.copies import bring, is_copy, mark, right_bytes, time_of
from ns2.pipeline.remote.objects import Objects, asking
from ns2.pipeline.remote.urls import copy_folder, make_folder, tidy

_CONNECTIONS = 16


class Staging:
    """A folder that stands for a dataset in a bucket.

    Attributes:
        url: of the dataset.
        root: the folder.
    """

    def __init__(self, url: str, use: str = "made") -> None:
        """Get ready; nothing is asked of the server.

        Args:
            use: a name for what the folder is for; each has a folder of its own.
        """
        self.url = tidy(url)
        folder = copy_folder(self.url)
        self.root = folder.parent / use / folder.name
        self._objects = Objects(self.url)
        self._lease: Lease | None = None
        self._there: dict[str, tuple[int, str]] = {}
        MIRRORS[str(self.root)] = self.url

    @contextmanager
    def held(self) -> Iterator[Staging]:
        """Write to the dataset, alone, while the block lasts.

        Raises:
            UserError: another process does, or the place holds other files.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self._alone(ENDS))
            except BlockingIOError:
                raise UserError(
                    f"another ns2 of this machine is at work in {self.url}; wait for it or stop it "
                    "first"
                ) from None
            self._lease = held.enter_context(Lease(self._objects))
            self.fetch()
            held.enter_context(observed(self._told))
            yield self

    @classmethod
    def looked_at(cls, url: str) -> Path:
        """A folder that is what the bucket is now; nothing that is done to it is done there.

        It is the one that runs write to, whose times they know, unless one is at work in it.

        Raises:
            UserError: the place holds files that are not of a dataset.
        """
        staging = cls(url)
        try:
            with staging._alone(0):
                staging.fetch()
        except BlockingIOError:
            staging = cls(url, "looked")
            with staging._alone(None):
                staging.fetch()
        return staging.root

    def _alone(self, patience: float | None) -> AbstractContextManager[None]:
        """Be the only process of this machine that works in the folder; see `alone`."""
        make_folder(self.root.parent)
        return alone(self.root, patience)

    def fetch(self) -> None:
        """Make the folder what the bucket is.

        Raises:
            UserError: the place holds files that are not of a dataset.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        found = {name: (size, tag) for name, size, tag in self._objects.names()}
        found.pop(LEASE, None)
        foreign = sorted({name.split("/")[0] for name in found if not _is_ours(name)})
        if foreign:
            raise UserError(
                f"{self.url} holds files that are not of a dataset ({', '.join(foreign[:5])}). "
                "Name another place, or that of a dataset to bring up to date."
            )
        self._there = found
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name != LOCK and name not in found:
                path.unlink()
        with asking(_CONNECTIONS) as pool:
            list(pool.map(self._bring, found))

    def delete_missing(self) -> None:
        """Remove from the bucket what is no longer in the folder, markers before their tars."""
        gone = [name for name in self._there if not path_in(self.root, name).exists()]
        for name in sorted(gone, key=lambda name: not name.endswith(".parquet")):
            self._check_lease()
            self._objects.delete(name)

    def _bring(self, name: str) -> None:
        path, (size, tag) = path_in(self.root, name), self._there[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tar"):
            if not _stands_for(path, size, tag):
                _empty(path, size)
        elif not is_copy(path, size, tag):
            path.write_bytes(right_bytes(self._objects, name, size, tag))
        mark(path, tag)

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _told(self, path: Path, there: bool) -> None:
        """Do to the bucket what was done to the folder."""
        if not path.is_relative_to(self.root) or is_temporary(path.name):
            return
        name = path.relative_to(self.root).as_posix()
        self._check_lease()
        if not there:
            self._objects.delete(name)
            self._there.pop(name, None)
            return
        if name.endswith(".tar"):
            size = path.stat().st_size
            tag = self._objects.put_file(name, path)
            self._there[name] = (size, tag)
            _empty(path, size)
            mark(path, tag)
            return
        size = path.stat().st_size
        is_marker = name.endswith(".parquet") and path.with_suffix(".tar").exists()
        put = put_once if is_marker else Objects.put_file
        self._there[name] = (size, put(self._objects, name, path))
        mark(path, self._there[name][1])


def url_of(path: Path) -> str:
    """The URL of a file in a folder that stands for a bucket in this process; "" for others."""
    for folder, url in MIRRORS.items():
        if path.is_relative_to(folder):
            return f"{url}/{path.relative_to(folder).as_posix()}"
    return ""


def bucket_of(root: Path) -> str:
    """The URL of the dataset that a folder stands for in this process; "" for other folders."""
    return MIRRORS.get(str(root), "")


def adopt(root: Path, name: str) -> Path:
    """Take over a marker and its tar, which another process has put into the bucket.

    Args:
        root: the folder that stands for the bucket.
        name: of the marker.

    Returns:
        the marker's file.

    Raises:
        RemoteError: one of both is missing, or can't be read.
        ValueError: the tar is not the one that the marker commits.
    """
    objects, marker = Objects(bucket_of(root)), path_in(root, name)
    marker.parent.mkdir(parents=True, exist_ok=True)
    size, tag = objects.size(name)
    marker.write_bytes(right_bytes(objects, name, size, tag))
    mark(marker, tag)
    tar = marker.with_suffix(".tar")
    size, tag = objects.size(tar.relative_to(root).as_posix())
    if size != read_marker(marker).size:
        raise ValueError(f"{tar.name} has {size} bytes, which its marker does not say")
    _empty(tar, size)
    mark(tar, tag)
    return marker


def local_copy(path: Path, url: str) -> Path:
    """A file of such a folder; on another machine, which does not have it, a copy of the object.

    Args:
        url: as `url_of` gave it where the folder is; "" for other files.
    """
    if not url or path.is_file():
        return path
    place, _, name = url.rpartition("/")
    objects = Objects(place)
    bring(objects, copy_folder(place), [(name, *objects.size(name))])
    return copy_folder(place) / name


def _is_ours(name: str) -> bool:
    return OURS.fullmatch(name.split("/")[0]) is not None


def _stands_for(path: Path, size: int, tag: str) -> bool:
    """Whether an empty file stands for a tar as it is in the bucket now."""
    if not path.is_file():
        return False
    status = path.stat()
    return status.st_size == size and status.st_mtime_ns == time_of(tag)


def _empty(path: Path, size: int) -> None:
    """Make a file of a length that takes no room."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(path, 0)
    with path.open("ab") as file:
        file.truncate(size)
