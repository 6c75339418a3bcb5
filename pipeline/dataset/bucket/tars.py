"""Arrays from the tars of a dataset in a bucket: ranges, fetched once and kept in the cache.

Every array is compared with its CRC-32 whenever it is read, so it makes no difference who wrote the
cache. What is wrong is fetched again before it is an error. Tars of small arrays are taken from
their markers, which know all of them but the headers and the padding; nobody reads these.
"""

from __future__ import annotations

import errno
import gc
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import DamageError
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.bucket.mirror import TRIES, Mirror
from ns2.pipeline.dataset.mapped_tars import MappedTars, Place
from ns2.pipeline.dataset.open_maps import Mapped, MappedFiles
from ns2.pipeline.dataset.packed import tar_of
from ns2.pipeline.remote.cache import SUFFIX, OpenFiles, Room
from ns2.pipeline.remote.faults import MissingError, RemoteError, ShortError
from ns2.pipeline.remote.objects import lasting_pool
from ns2.pipeline.remote.sparse import Range, SparseFile, merged
from ns2.pipeline.remote.traffic import TRAFFIC
from ns2.pipeline.remote.urls import copies_told, is_full

_CONNECTIONS, _AHEAD = 8, 8
"""Requests at the same time for what is waited for, and for what is fetched ahead."""
_RECENT, _MOST_RECENT = 3.0, 64
"""Seconds for which a file is taken to have its name still, and the most such files. One that was
deleted meanwhile takes its room so much longer; nothing else comes of it."""
_MOST = 16 << 20
"""The most bytes of a request."""
_ENOUGH = 16
"""A tar is taken from its marker, which is about an eighth of it, where what is wanted is at least
this part of the tar: a fifth of its arrays, and their headers would come with them."""
TAR_HEADER = 512
"""Bytes of a tar before its first array, which nobody reads."""


class _NotWholeError(Exception):
    """A file is not among those of which all is there."""


class BucketTars(MappedTars):
    """The tars of a dataset in a bucket, as far as they are in the cache."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror.root)
        self._mirror = mirror
        self._lengths: dict[str, int] = {}
        self._packed: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._files, self._room = OpenFiles(), Room()
        self._recent: dict[str, tuple[SparseFile, float]] = {}
        self._whole, self._whole_until = MappedFiles(), 0.0
        self._urgent = lasting_pool(_CONNECTIONS, "ns2-range")
        self._later: ThreadPoolExecutor | None = None
        self._coming: dict[str, list[tuple[int, int, Future[None]]]] = {}

    @property
    def room(self) -> int:
        """The most bytes of the cache."""
        return self._room.size

    def note(self, lengths: Mapping[str, int], packed: Iterable[str]) -> None:
        """Take what the index says of tars.

        Args:
            lengths: how much of each may be read: up to the end of its last array.
            packed: those of them whose markers should hold the arrays as well.
        """
        self._lengths.update(lengths)
        self._packed.update(packed)

    def read(
        self, spec: ColumnSpec, places: Iterable[Place], key: Callable[[int], str]
    ) -> list[Any]:
        """See `MappedTars.read`; what is not in the cache is fetched first."""
        places = list(places)
        try:
            try:
                return self.values(self._whole_ones(), spec, places, key)
            except _NotWholeError:
                return self.values(self._fetched(places), spec, places, key)
        except DamageError:
            # one by one, to find which of them are wrong
            return [self._persistently(spec, place, key) for place in places]

    def _persistently(self, spec: ColumnSpec, place: Place, key: Callable[[int], str]) -> Any:
        """An array whose bytes are fetched again as long as they may be the network's fault."""
        for attempt in range(TRIES):
            try:
                return self.values(self._fetched([place]), spec, [place], key)[0]
            except DamageError as error:
                damage = error
            time.sleep(0.1 * 2**attempt)
            _, file, offset, size, _ = place
            self._recent.pop(file, None)  # it may have been deleted to make room
            self._whole.pop(file, None)
            self._packed.discard(file)  # its marker may hold something else
            if (found := self._open(file, offset, size)) is not None:
                found.forget(offset, offset + size)
            TRAFFIC.again(f"{self._mirror.url}/{file}", "wrong bytes came", wrong=1)
        raise DamageError(f"{self._mirror.url}: {damage}")

    def _whole_ones(self) -> MappedFiles:
        """Files of which all is there, so that they are read as those of a folder."""
        if (now := time.monotonic()) >= self._whole_until:  # they may be deleted, see `_open`
            self._whole, self._whole_until = MappedFiles(), now + _RECENT
        return self._whole

    def _map(
        self, file: str, spec: ColumnSpec, position: int, key: Callable[[int], str]
    ) -> Mapped | None:
        """Nothing: what is not among the whole ones is looked up by ranges."""
        raise _NotWholeError

    def is_whole(self, name: str) -> bool:
        """Whether all of a tar is there that is ever read."""
        try:
            end = self._lengths[name]
            found = self._open(name, 0, end)
        except (DamageError, KeyError):
            return False
        return found is not None and found.has(TAR_HEADER, end)

    def _keep_whole(self, file: str, mapped: Mapped) -> None:
        if len(self._whole) >= _MOST_RECENT:
            self._whole = MappedFiles()
        self._whole[file] = mapped

    def _fetched(self, places: Sequence[Place]) -> MappedFiles:
        """The files that hold the arrays of these places, which are fetched and waited for."""
        for attempt in range(TRIES):
            full = False
            with copies_told():
                try:
                    maps, missing = self._looked_up(places)
                    if missing:
                        self._wait_for(missing)
                except OSError as error:
                    if attempt == TRIES - 1 or not is_full(error):
                        raise
                    full = True
                if full:
                    self._make_do()
                    continue
            if all(file.has(*one) for file, ranges in missing.values() for one in ranges):
                break
            self._recent = {}  # files were deleted to make room, and are begun anew
        return maps

    def _make_do(self) -> None:
        """Keep less on a disk that is full.

        Raises:
            OSError: there is nothing that could be deleted.
        """
        self.stop_ahead()
        self._recent, self._whole = {}, MappedFiles()
        if not self._room.shrink(self._files):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        gc.collect()  # of failed jobs, whose files take room though deleted

    def _looked_up(
        self, places: Sequence[Place]
    ) -> tuple[MappedFiles, dict[str, tuple[SparseFile, list[Range]]]]:
        """The files of these places, and what of them is missing."""
        maps, missing = MappedFiles(), dict[str, tuple[SparseFile, list[Range]]]()
        files, whole = dict[str, SparseFile](), set[str]()
        for _, file, offset, size, _ in places:
            found = files.get(file) or self._open(file, offset, size)
            if found is None:
                raise DamageError(f"{file}: there is no array at {offset} of {size} bytes")
            if file not in files:
                files[file], maps[file] = found, (found.mapped, found.view)
                if found.has(TAR_HEADER, self._lengths[file]):
                    whole.add(file)
                    self._keep_whole(file, maps[file])
            if file not in whole and not found.has(offset, offset + size):
                missing.setdefault(file, (found, []))[1].append((offset, offset + size))
        return maps, missing

    def _wait_for(self, missing: Mapping[str, tuple[SparseFile, list[Range]]]) -> None:
        """Wait for what is on its way, and fetch what is not."""
        for name, (_, ranges) in missing.items():
            for begin, end, one in self._coming.get(name, ()):
                if any(first < end and begin < last for first, last in ranges):
                    # `futures.wait` waits without an end for what a pool cancels when it is shut
                    with suppress(CancelledError):
                        one.exception()
        asked = [
            self._urgent.submit(self._fetch, name, file, wanted)
            for name, (file, ranges) in missing.items()
            for wanted in self._jobs(name, [one for one in ranges if not file.has(*one)])
        ]
        for one in asked:
            try:
                one.result()
            except MissingError as error:
                raise DamageError(f"{error}: a tar is missing") from error
            except ShortError as error:
                raise DamageError(str(error)) from error

    def _jobs(self, name: str, ranges: list[Range]) -> list[list[Range]]:
        """Ranges of a tar, in lists that are fetched one beside the other."""
        joined = merged(ranges, _MOST)
        return [joined] if self._is_packed(name, ranges) else [[one] for one in joined]

    def _fetch(self, name: str, file: SparseFile, wanted: Sequence[Range]) -> None:
        count = self._unpack(name, file) if self._is_packed(name, wanted) else 0
        for one in wanted:
            count += file.fetch(one, partial(self._mirror.objects.read, name))
        if count and self._room.added(count, self._files):
            self._recent = {}

    def _is_packed(self, name: str, wanted: Sequence[Range]) -> bool:
        """Whether a tar is better taken from its marker, since enough of it is wanted."""
        size = sum(end - begin for begin, end in wanted)
        return name in self._packed and _ENOUGH * size >= self._lengths[name]

    def _unpack(self, name: str, file: SparseFile) -> int:
        """Take a tar from its marker, see `packed`; gives the bytes of the tar, 0 for none."""
        found: list[bytes] = []

        def get(begin: int, end: int) -> bytes:
            if not found:
                found.append(self._tar_of_marker(name, file.size))
            return found[0][begin:end]

        try:
            return file.fetch((0, file.size), get)
        except LookupError:  # it is of a dataset of before
            folder = name.rpartition("/")[0]
            self._packed = {one for one in self._packed if one.rpartition("/")[0] != folder}
            return 0

    def _tar_of_marker(self, name: str, end: int) -> bytes:
        """The arrays of a tar at their places.

        Raises:
            LookupError: they are not in its marker, or it can't be read.
        """
        marker = f"{name.removesuffix('.tar')}.parquet"
        for _ in range(TRIES):
            try:
                data = self._mirror.objects.read(marker)
            except MissingError:
                break
            try:
                if (tar := tar_of(data, end)) is not None:
                    return tar
                break
            except ValueError:
                TRAFFIC.again(f"{self._mirror.url}/{marker}", "wrong bytes came", wrong=1)
        raise LookupError(marker)

    def _open(self, name: str, offset: int, size: int) -> SparseFile | None:
        """The file of a tar; None where the index has no array there."""
        length = self._lengths.get(name, 0)
        if not 0 <= offset < offset + size <= length:
            return None
        recent, now = self._recent.get(name), time.monotonic()
        if recent is not None and now - recent[1] < _RECENT:
            return recent[0]
        try:
            path = path_in(self._root, name)
        except ValueError as error:
            raise DamageError(str(error)) from None
        found = self._files.open(path.with_name(path.name + SUFFIX), length)
        if len(self._recent) >= _MOST_RECENT:
            self._recent = {}
        self._recent[name] = found, now
        return found

    # -- ahead of use ----------------------------------------------------------------------------

    def ahead(self, wanted: Mapping[str, tuple[np.ndarray, np.ndarray]], turn: float = 0.0) -> None:
        """Fetch arrays in the background that will be read soon.

        Args:
            wanted: where arrays begin and end, (n,) each, by the name of their tar.
            turn: in [0, 1), which of them come first: processes that share a cache take different
                ones.
        """
        jobs: list[tuple[str, list[Range]]] = []
        for name, (begins, ends) in wanted.items():
            first, last = int(begins.min()), int(ends.max())
            try:
                found = self._open(name, first, last - first)
            except DamageError:  # told when it is read
                continue
            if found is not None and not found.has(first, last):
                ranges = list(zip(begins.tolist(), ends.tolist(), strict=True))
                jobs += [(name, together) for together in self._jobs(name, ranges)]
        turned = int(turn * len(jobs))
        if self._later is None:
            self._later = lasting_pool(_AHEAD, "ns2-ahead")
        coming: dict[str, list[tuple[int, int, Future[None]]]] = {}
        for name, ordered in self._coming.items():
            if left := [one for one in ordered if not one[2].done()]:
                coming[name] = left
        for name, together in jobs[turned:] + jobs[:turned]:
            job = self._later.submit(self._fetch_quietly, name, together)
            coming.setdefault(name, []).append((together[0][0], together[-1][1], job))
        self._coming = coming  # replaced and not changed: other threads look into it

    def _fetch_quietly(self, name: str, wanted: list[Range]) -> None:
        """Fetch ranges, in order; what goes wrong is told when they are read."""
        try:
            found = self._open(name, wanted[0][0], wanted[-1][1] - wanted[0][0])
            if found is not None and not all(found.has(*one) for one in wanted):
                self._fetch(name, found, wanted)
        except (RemoteError, DamageError, OSError):
            return

    def stop_ahead(self) -> None:
        """Drop what is not on its way yet."""
        for ordered in self._coming.values():
            for *_, one in ordered:
                one.cancel()
        self._coming = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"mirror": self._mirror, "lengths": self._lengths, "packed": self._packed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_root": Path(state["mirror"].root)})
        self._mirror, self._lengths = state["mirror"], state["lengths"]
        self._packed = state["packed"]
        self._begin()
