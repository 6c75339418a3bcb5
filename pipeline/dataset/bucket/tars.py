"""Arrays from the tars of a dataset in a bucket: ranges, fetched once and kept in the cache.

Every array is compared with its CRC-32 whenever it is read, so it makes no difference who wrote the
cache. What is wrong is fetched again before it is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import DamageError
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.bucket.mirror import TRIES, Mirror
from ns2.pipeline.dataset.mapped_tars import MappedTars, Place
from ns2.pipeline.dataset.open_maps import MappedFiles
from ns2.pipeline.remote.cache import SUFFIX, OpenFiles, Room
from ns2.pipeline.remote.faults import MissingError, RemoteError
from ns2.pipeline.remote.sparse import Range, SparseFile, merged

_CONNECTIONS, _AHEAD = 8, 8
"""Requests at the same time for what is waited for, and for what is fetched ahead."""
_RECENT, _MOST_RECENT = 0.5, 64
"""Seconds for which a file is taken to have its name still, and the most such files."""
_MOST = 16 << 20
"""The most bytes of a request."""


class BucketTars(MappedTars):
    """The tars of a dataset in a bucket, as far as they are in the cache."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror.root)
        self._mirror = mirror
        self._lengths: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._files, self._room = OpenFiles(), Room()
        self._recent: dict[str, tuple[SparseFile, float]] = {}
        self._urgent = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="ns2-range")
        self._later: ThreadPoolExecutor | None = None
        self._coming: dict[str, list[tuple[int, int, Future[None]]]] = {}

    @property
    def room(self) -> int:
        """The most bytes of the cache."""
        return self._room.size

    def note_lengths(self, lengths: Mapping[str, int]) -> None:
        """Take how much of each tar may be read: up to the end of its last array."""
        self._lengths.update(lengths)

    def read(
        self, spec: ColumnSpec, places: Iterable[Place], key: Callable[[int], str]
    ) -> list[Any]:
        """See `MappedTars.read`; what is not in the cache is fetched first."""
        places = list(places)
        try:
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
            if (found := self._open(file, offset, size)) is not None:
                found.forget(offset, offset + size)
        raise DamageError(f"{self._mirror.url}: {damage}")

    def _fetched(self, places: Sequence[Place]) -> MappedFiles:
        """The files that hold the arrays of these places, which are fetched and waited for."""
        for _ in range(TRIES):
            maps, missing = self._looked_up(places)
            if missing:
                self._wait_for(missing)
            if all(file.has(*one) for file, ranges in missing.values() for one in ranges):
                break
            self._recent = {}  # files were deleted to make room, and are begun anew
        return maps

    def _looked_up(
        self, places: Sequence[Place]
    ) -> tuple[MappedFiles, dict[str, tuple[SparseFile, list[Range]]]]:
        """The files of these places, and what of them is missing."""
        maps, missing = MappedFiles(), dict[str, tuple[SparseFile, list[Range]]]()
        files: dict[str, SparseFile] = {}
        for _, file, offset, size, _ in places:
            found = files.get(file) or self._open(file, offset, size)
            if found is None:
                raise DamageError(f"{file}: there is no array at {offset} of {size} bytes")
            if file not in files:
                files[file], maps[file] = found, (found.mapped, found.view)
            if not found.has(offset, offset + size):
                missing.setdefault(file, (found, []))[1].append((offset, offset + size))
        return maps, missing

    def _wait_for(self, missing: Mapping[str, tuple[SparseFile, list[Range]]]) -> None:
        """Wait for what is on its way, and fetch what is not."""
        wait([
            one
            for name, (_, ranges) in missing.items()
            for begin, end, one in self._coming.get(name, ())
            if any(first < end and begin < last for first, last in ranges)
        ])  # fmt: skip
        asked = [
            self._urgent.submit(self._fetch, name, file, wanted)
            for name, (file, ranges) in missing.items()
            for wanted in merged([one for one in ranges if not file.has(*one)], _MOST)
        ]
        for one in asked:
            try:
                one.result()
            except MissingError as error:
                raise DamageError(f"{error}: a tar is missing") from error

    def _fetch(self, name: str, file: SparseFile, wanted: Range) -> None:
        count = file.fetch(wanted, partial(self._mirror.objects.read, name))
        if count and self._room.added(count, self._files):
            self._recent = {}

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
        jobs: list[tuple[str, Range]] = []
        for name, (begins, ends) in wanted.items():
            first, last = int(begins.min()), int(ends.max())
            try:
                found = self._open(name, first, last - first)
            except DamageError:  # told when it is read
                continue
            if found is not None and not found.has(first, last):
                ranges = zip(begins.tolist(), ends.tolist(), strict=True)
                jobs += [(name, one) for one in merged(list(ranges), _MOST)]
        turned = int(turn * len(jobs))
        if self._later is None:
            self._later = ThreadPoolExecutor(_AHEAD, thread_name_prefix="ns2-ahead")
        coming: dict[str, list[tuple[int, int, Future[None]]]] = {}
        for name, ordered in self._coming.items():
            if left := [one for one in ordered if not one[2].done()]:
                coming[name] = left
        for name, one in jobs[turned:] + jobs[:turned]:
            job = self._later.submit(self._fetch_quietly, name, one)
            coming.setdefault(name, []).append((*one, job))
        self._coming = coming  # replaced and not changed: other threads look into it

    def _fetch_quietly(self, name: str, wanted: Range) -> None:
        """Fetch a range; what goes wrong is told when it is read."""
        try:
            found = self._open(name, wanted[0], wanted[1] - wanted[0])
            if found is not None and not found.has(*wanted):
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
        return {"mirror": self._mirror, "lengths": self._lengths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_root": Path(state["mirror"].root)})
        self._mirror, self._lengths = state["mirror"], state["lengths"]
        self._begin()
