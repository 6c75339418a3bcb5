"""Objects below a URL: read whole or in parts, put whole, listed and deleted, with patience.

obstore does it for s3, gs, az and http; what else fsspec knows goes through fsspec. obstore read
random ranges in 0.37 times the CPU time of s3fs. Faults that may pass (errors of the server, lost
connections, cut bodies) are met by trying again, later each time, for `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.remote.faults import (
    MissingError,
    RemoteError,
    brief,
    gave_up,
    lasting_fault,
    no_ranges,
    reason,
    too_short,
)
from ns2.pipeline.remote.traffic import TRAFFIC
from ns2.pipeline.remote.urls import tidy

_PATIENCE_VARIABLE = "NS2_REMOTE_PATIENCE"


def _patience() -> float:
    given = os.environ.get(_PATIENCE_VARIABLE, "120")
    try:
        return float(given)
    except ValueError:
        raise UserError(f"{_PATIENCE_VARIABLE} is a number of seconds, got {given!r}") from None


PATIENCE = _patience()
"""Seconds for which a request is tried again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_OBSTORE = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "http", "https")
_EXTRA = "pip install 'ns2[s3]'"

T = TypeVar("T")


class Store(Protocol):
    """What a library does with objects, by names below a URL; each call is one request.

    Attributes:
        conditional: whether it puts objects on conditions, as `put` asks for.
    """

    conditional: bool

    def get(self, name: str, begin: int, end: int | None) -> bytes:
        """The bytes of an object, or of a part of it."""

    def tagged(self, name: str, begin: int, end: int | None) -> tuple[bytes, int, str]:
        """The bytes of an object, or of a part of it, with the size and tag that it has now."""

    def size(self, name: str) -> tuple[int, str]:
        """The size of an object, and a tag that changes when it does."""

    def put(self, name: str, data: bytes, *, create: bool, tag: str) -> str:
        """Put an object, as a whole; gives its tag.

        Args:
            create: only if there is none of this name.
            tag: only if the object there has this tag; "" does not look.
        """

    def put_file(self, name: str, path: Path, *, create: bool) -> str:
        """Put a file as an object, in parts where it is large; gives its tag.

        Args:
            create: only if there is none; not looked at where it is put in parts.
        """

    def delete(self, name: str) -> None:
        """Remove an object."""

    def names(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """Name, size and tag of all objects whose names begin with a folder's."""


class Objects:
    """Objects below a URL.

    Attributes:
        url: without a slash at its end.
        conditional: whether objects can be put on conditions there, which a lease needs.
    """

    def __init__(self, url: str) -> None:
        """Get ready; nothing is asked of the server.

        Raises:
            UserError: the package that is needed is missing, or the URL is of no known kind.
        """
        self.url = tidy(url)
        self._store = _store(self.url, os.environ.get("AWS_ENDPOINT_URL", ""))
        self.conditional = self._store.conditional

    def read(self, name: str, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes of an object, or of a part of it.

        Args:
            begin, end: the part; up to the end of the object where `end` is None.

        Raises:
            MissingError: there is no such object.
            ShortError: it ends before that part does.
            RemoteError: it can't be read.
        """
        url = f"{self.url}/{name}"

        def ask() -> bytes:
            data = self._store.get(name, begin, end)
            if end is not None and len(data) < end - begin:
                raise too_short(url)  # a body that was cut is an error of the library
            _check_length(data, begin, end, url)
            return data

        return persist(ask, url)

    def tagged(self, name: str, begin: int = 0, end: int | None = None) -> tuple[bytes, int, str]:
        """As `read`, with the size and tag of the object that the bytes are of; raises as `read`.

        A part never goes beyond the end of the object.
        """
        url = f"{self.url}/{name}"

        def ask() -> tuple[bytes, int, str]:
            data, size, tag = self._store.tagged(name, begin, end)
            _check_length(data, begin, min(size, size if end is None else end), url)
            return data, size, tag

        return persist(ask, url)

    def size(self, name: str) -> tuple[int, str]:
        """The size of an object, and a tag that changes when it does; raises as `read` does."""
        return persist(lambda: self._store.size(name), f"{self.url}/{name}")

    def put(self, name: str, data: bytes, *, create: bool = False, tag: str = "") -> str:
        """Put an object as a whole; see `Store.put`.

        Raises:
            ExistsError: there is one, or another one.
            RemoteError: it can't be written.
        """
        there = persist(
            lambda: self._store.put(name, data, create=create, tag=tag), f"{self.url}/{name}"
        )
        TRAFFIC.add(sent=len(data))
        return there

    def put_file(self, name: str, path: Path, *, create: bool = False) -> str:
        """Put a file as an object; see `Store.put_file`.

        Raises:
            ExistsError: there is one.
            FileNotFoundError: there is no file.
            RemoteError: it can't be written.
        """
        size = path.stat().st_size
        url = f"{self.url}/{name}"
        tag = persist(lambda: self._store.put_file(name, path, create=create), url)
        TRAFFIC.add(sent=size)
        return tag

    def delete(self, name: str) -> None:
        """Remove an object; it need not be there."""
        try:
            persist(lambda: self._store.delete(name), f"{self.url}/{name}")
        except MissingError:
            return

    def names(self, prefix: str = "") -> list[tuple[str, int, str]]:
        """Name, size and tag of all objects in a folder and below it, sorted by name."""
        return sorted(persist(lambda: list(self._store.names(prefix)), f"{self.url}/{prefix}"))

    def __reduce__(self) -> tuple[type[Objects], tuple[str]]:
        return Objects, (self.url,)


def _check_length(data: bytes, begin: int, end: int | None, url: str) -> None:
    """See that all bytes came that were asked for, and count them."""
    if end is not None and len(data) != end - begin:
        if len(data) > end - begin:
            raise no_ranges(url)
        raise OSError(f"{len(data)} bytes came, expected {end - begin}")
    TRAFFIC.add(received=len(data))


def read_at(url: str, offset: int, size: int) -> bytes:
    """Some bytes of an object.

    Raises:
        OSError: there is no such object.
    """
    folder, _, name = url.rpartition("/")
    try:
        return Objects(folder).read(name, offset, offset + size)
    except MissingError as error:
        raise FileNotFoundError(str(error)) from error


def persist(ask: Callable[[], T], url: str, patience: float | None = None) -> T:
    """Ask until there is an answer, or until trying again can't help or has taken too long.

    Raises:
        RemoteError: saying what to do.
    """
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    pause, tries, over = _FIRST_PAUSE, 0, _Waiting.over
    while True:
        TRAFFIC.add(requests=1)
        tries += 1
        try:
            return ask()
        except Exception as error:
            lasting = lasting_fault(error, url)
            if lasting is not None:
                raise lasting from error
            if time.monotonic() + pause > until:
                raise gave_up(error, url, tries) from error
            why = reason(error)
        length = pause * random.uniform(0.5, 1.0)  # so that many clients do not come together
        TRAFFIC.again(url, why, waited=length)
        if over.wait(length):
            raise RemoteError(f"{url} is not asked for any more")
        pause = min(2 * pause, _LONGEST_PAUSE)


class _Waiting:
    """What asks again until it is over; what is asked for later has another event."""

    over = threading.Event()


@contextmanager
def nobody_waits() -> Iterator[None]:
    """While the block lasts nothing is asked again, nor later what was asked for until its end.

    So threads can be waited for that would ask again for minutes.
    """
    _Waiting.over.set()
    try:
        yield
    finally:
        _Waiting.over = threading.Event()


@contextmanager
def asking(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that ask servers; an interrupt of the block does not wait until they gave up."""
    with ThreadPoolExecutor(threads, thread_name_prefix="ns2-asking") as pool:
        try:
            yield pool
        except BaseException as error:
            goes_on = isinstance(error, (Exception, GeneratorExit))  # other threads may ask still
            with nullcontext() if goes_on else nobody_waits():
                pool.shutdown(cancel_futures=True)
            raise


_LASTING: WeakSet[ThreadPoolExecutor] = WeakSet()
"""The pools of `lasting_pool`."""


def lasting_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """Threads that ask servers and live as long as who uses them, or as the process.

    The end of the process ends them. Python does that for threads that a pool knows; one that an
    interrupt met while it started is not among them, and would be waited for.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    _LASTING.add(pool)
    return pool


def _end_of_process() -> None:
    _Waiting.over.set()
    for pool in [*_LASTING]:
        pool.shutdown(wait=False, cancel_futures=True)


# The end of a process waits for its threads, before what the module atexit calls. The last one that
# is registered here is called first, so `ThreadPoolExecutor` has to be imported before.
threading._register_atexit(_end_of_process)  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _store(url: str, endpoint: str) -> Store:
    """The store of a URL; connections are kept between its users.

    Args:
        endpoint: the server of S3; it is a part of what is remembered.
    """
    scheme = url.split("://", 1)[0].lower()
    try:
        if scheme in _OBSTORE:
            from ns2.pipeline.remote.by_obstore import ObstoreStore

            return ObstoreStore(url, endpoint)
        from ns2.pipeline.remote.by_fsspec import FsspecStore

        return FsspecStore(url)
    except ImportError as error:
        raise UserError(f"{url} needs a package that is not installed: {error}; {_EXTRA}") from None
    except (ValueError, OSError, _configuration_error()) as error:
        raise UserError(f"{url} can't be opened: {brief(error)}") from error


def _configuration_error() -> type[Exception]:
    try:
        from obstore.exceptions import BaseError
    except ImportError:
        return ValueError
    found: Any = BaseError
    return found
