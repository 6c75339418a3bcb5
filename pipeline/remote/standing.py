"""Files that stand for objects: a corpus in a bucket as a folder that readers of corpora can read.

Texts are copied. Recordings are empty files of the sizes of their objects: whoever decodes one
reads the object (`ns2.pipeline.sound.held.far`). The times of all of them stand for the tags of the
objects, so that a change is seen as on a disk, by size and time; copies have another time than
empty files, or these would be taken for copies. The folder of a place and the URL tell each other:
`FOLDER/s3/bucket/corpus/a.wav` is `s3://bucket/corpus/a.wav`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.held import STANDS_FOR, url_for
from ns2.pipeline.core.names import encodable
from ns2.pipeline.remote.copies import mark, right_bytes, time_of
from ns2.pipeline.remote.faults import MissingError
from ns2.pipeline.remote.objects import Objects, asking
from ns2.pipeline.remote.urls import cache_folder, is_url, make_folder, tidy

_CONNECTIONS = 32
_LONGEST = 1024  # characters of a name
_COPY = "copy of "
"""What stands before the tag whose time a copy has."""
_LISTED = set[str]()
"""Folders of which everything was listed, in this process."""

Found = tuple[str, int, str]
"""Name, size and tag of an object."""


def stand_for(url: str, is_copied: Callable[[str, int], bool]) -> Path:
    """The path that stands for a folder or a file in a bucket, as it is there now.

    Args:
        is_copied: whether an object of this name and size is copied. A file that is named is.

    Raises:
        UserError: there is nothing, or it can't be read.
    """
    path = path_for(url)
    objects, name = place_in(url_for(path))
    if _is_web(url):  # which lists nothing
        _take_file(objects, name, path)
        return path
    below = [found for found in objects.names(name) if found[0] != name]
    if below:
        _take_all(objects, name, path, below, is_copied)
        return path
    _take_file(objects, name, path)
    folder = posixpath.dirname(name)
    below = objects.names(folder)
    _take_all(
        objects, folder, path.parent, below, lambda one, size: one == name or is_copied(one, size)
    )
    return path


def place_in(url: str) -> tuple[Objects, str]:
    """The bucket of a URL, and the name of the object in it."""
    scheme, _, rest = url.partition("://")
    host, _, name = rest.partition("/")
    if host:
        return Objects(f"{scheme}://{host}"), name
    folder, _, name = url.rpartition("/")  # of a file:// URL, which names no host
    return Objects(folder), name


def path_for(url: str) -> Path:
    """The path that stands for a URL; nothing is asked of the server."""
    scheme, _, rest = tidy(url).partition("://")
    rest = unquote(rest) if _is_web(url) else rest
    server = os.environ.get("AWS_ENDPOINT_URL", "") if scheme.startswith("s3") else ""
    digest = hashlib.sha256(server.encode()).hexdigest()[:16]
    folder = os.path.normpath(_folder() / digest / scheme)
    STANDS_FOR[folder] = f"{scheme}:///" if rest.startswith("/") else f"{scheme}://"
    return Path(os.path.normpath(f"{folder}/{rest}"))


def _folder() -> Path:
    return cache_folder().absolute() / "corpora"


def _is_web(url: str) -> bool:
    return url.partition("://")[0] in ("http", "https")


def path_named(root: Path, written: str) -> str:
    """A path as a table of a folder has it, where that is a URL beside the one it stands for.

    Args:
        root: the folder of the table.

    Returns:
        the absolute path that stands for the URL; other paths, and URLs of other kinds or web
        servers, as they are.
    """
    here = url_for(root) if is_url(written) else ""
    if not here:
        return written
    parts = 3 if _is_web(here) else 1  # also the server's name
    if here.split("/")[:parts] != written.split("/")[:parts]:
        return written
    return str(path_for(written))


def look_for(root: Path, written: Iterable[str]) -> None:
    """Look for the objects that a table names in places that were not listed.

    Args:
        root: the folder of the table; nothing is done where it stands for nothing.
        written: paths or URLs, as the table has them.
    """
    if not url_for(root):
        return
    paths = {os.path.normpath(root / path_named(root, name)) for name in written if _may_be(name)}
    asked = [
        path
        for path in sorted(paths)
        if url_for(Path(path)) and not any(path.startswith(f"{one}/") for one in _LISTED)
    ]
    with asking(_CONNECTIONS) as pool:
        list(pool.map(_look, asked))


def _may_be(name: str) -> bool:
    """Whether an object may have a name, which is a stranger's."""
    return bool(name) and "\0" not in name and len(name) <= _LONGEST and encodable(name)


def _look(text: str) -> None:
    path = Path(text)
    objects, name = place_in(url_for(path))
    try:
        size, tag = objects.size(name)
    except MissingError:
        with contextlib.suppress(OSError):
            path.unlink()
        return
    with _odd_names():
        _stand_in(path, size, tag)


def _take_file(objects: Objects, name: str, path: Path) -> None:
    """Copy one object that was named.

    Raises:
        UserError: there is none.
    """
    try:
        size, tag = objects.size(name)
        with _alone(path.parent):
            _copy(objects, (name, size, tag), path)
    except MissingError as error:
        raise UserError(
            f"there is no corpus at {url_for(path)}: no such object, and none below it"
        ) from error


def _take_all(
    objects: Objects,
    name: str,
    path: Path,
    below: list[Found],
    is_copied: Callable[[str, int], bool],
) -> None:
    """Make a folder stand for all objects below a name."""
    wanted = _places(name, path, below)

    def take(one: tuple[Path, Found]) -> None:
        place, found = one
        with _odd_names():
            (_copy if is_copied(*found[:2]) else _stand_for_one)(objects, found, place)

    with _alone(path), asking(_CONNECTIONS) as pool:
        for place in list(path.rglob("*")):
            if place.is_file() and place not in wanted:
                place.unlink()
        _remove_empty(path)
        list(pool.map(take, wanted.items()))
    _LISTED.add(str(path))


def _places(name: str, path: Path, below: list[Found]) -> dict[Path, Found]:
    """Where the objects below a name stand; none where no file can be, or a folder has to."""
    wanted: dict[Path, Found] = {}
    folders = set[Path]()
    for found in below:
        parts = (found[0][len(name) + 1 :] if name else found[0]).split("/")
        if not any(part in ("", ".", "..") or "\0" in part for part in parts):
            place = path.joinpath(*parts)
            wanted[place] = found
            folders.update(place.parents)
    return {place: found for place, found in wanted.items() if place not in folders}


def _remove_empty(path: Path) -> None:
    for folder, *_ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            if folder != str(path):
                Path(folder).rmdir()


def _copy(objects: Objects, found: Found, path: Path) -> None:
    name, size, tag = found
    if _stamp(path) == (size, time_of(_COPY + tag)):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, durable=False) as file:
        file.write(right_bytes(objects, name, size, tag))
    mark(path, _COPY + tag)


def _stand_for_one(_: Objects, found: Found, path: Path) -> None:
    _stand_in(path, *found[1:])


def _stand_in(path: Path, size: int, tag: str) -> None:
    """Make an empty file that stands for an object."""
    if _stamp(path) == (size, time_of(tag)):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    mark(path, tag)


def is_state(stamp: tuple[int, int], size: int, tag: str) -> bool:
    """Whether a file with this size and time stands for an object of this size and tag."""
    return stamp in ((size, time_of(tag)), (size, time_of(_COPY + tag)))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.lstat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


@contextmanager
def _odd_names() -> Iterator[None]:
    """Leave out an object whose name no file of this machine can have."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ):
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only process of this machine that changes a folder."""
    make_folder(folder)
    name = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(_folder() / f"{name}.lock", flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
