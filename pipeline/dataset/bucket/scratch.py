"""A dataset of a bucket as `ns2 verify` needs it: as it is there, past the cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ns2.pipeline.core.atomic import temporary_path
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.reading import parse_json
from ns2.pipeline.dataset.bucket.mirror import TRIES, is_card
from ns2.pipeline.dataset.layout import CARD, README, SUMS, TARGET
from ns2.pipeline.dataset.sums import parse_sums
from ns2.pipeline.remote.copies import whole
from ns2.pipeline.remote.faults import MissingError
from ns2.pipeline.remote.objects import Objects, asking
from ns2.pipeline.remote.sparse import Range, merged
from ns2.pipeline.remote.traffic import TRAFFIC
from ns2.pipeline.remote.urls import cache_folder, copies_told, make_folder

_CONNECTIONS = 8
"""Requests at the same time for parts of one tar."""


@dataclass(frozen=True)
class Part:
    """Some bytes of an object: where they begin and end, and whether bytes are theirs."""

    begin: int
    end: int
    is_right: Callable[[bytes], bool]


@dataclass(frozen=True)
class Scratch:
    """A folder with the files of a dataset that are looked at, as they are in the bucket.

    Attributes:
        objects: the bucket.
        root: the folder.
    """

    objects: Objects
    root: Path

    @contextmanager
    def holding(self, sums: Mapping[str, str]) -> Iterator[None]:
        """Files that are there only while the block lasts; a missing one is not there.

        Args:
            sums: SHA-256 by name, "" where it is not known. Bytes that differ are fetched again a
                few times, since it may be the network, and are there as they came at last.
        """
        with asking(max(len(sums), 1)) as pool:
            list(pool.map(self._copy, sums, sums.values()))
        try:
            yield
        finally:
            for name in sums:
                path_in(self.root, name).unlink(missing_ok=True)

    @contextmanager
    def holding_parts(self, name: str, parts: Sequence[Part]) -> Iterator[None]:
        """A tar of which only some parts are right, while the block lasts; the rest is zeros.

        Args:
            name: of the tar; where it is missing it is not there.
            parts: what is fetched, in any order; neighbours come with one request.
        """
        path = path_in(self.root, name)
        try:
            with suppress(MissingError):
                size, _ = self.objects.size(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.truncate(size)
                    for begin, data in self._parts(name, size, parts):
                        file.seek(begin)
                        file.write(data)
            yield
        finally:
            path.unlink(missing_ok=True)

    def _parts(self, name: str, size: int, parts: Sequence[Part]) -> Iterator[tuple[int, bytes]]:
        """Where runs of parts begin, and their bytes, as far as the object goes."""
        inside = [part for part in parts if 0 <= part.begin < min(part.end, size)]

        def fetch(run: Range) -> tuple[int, bytes]:
            begin, end = run[0], min(run[1], size)
            own = [part for part in inside if begin <= part.begin < end]

            def is_right(data: bytes) -> bool:
                return all(p.is_right(data[p.begin - begin : p.end - begin]) for p in own)

            return begin, self._right(name, is_right, begin, end)

        with asking(_CONNECTIONS) as pool:
            yield from pool.map(fetch, merged([(p.begin, p.end) for p in inside], size))

    def copy_small(self) -> None:
        """Copy all that is no tar and no marker."""
        self._copy(CARD, "")
        self._copy(SUMS, self._vouched())
        self._copy(README, "")
        sums_file = self.root / SUMS
        sums = parse_sums(sums_file.read_bytes()) if sums_file.is_file() else {}
        for name, digest in sums.items():
            with suppress(ValueError):  # no name of a file in the folder, as verify will say
                path_in(self.root, name)
                if not TARGET.fullmatch(name):
                    self._copy(name, digest)

    def _vouched(self) -> str:
        """The SHA-256 of the file of checksums by the card; "" where there is no sound card."""
        card = self.root / CARD
        data = card.read_bytes() if card.is_file() else b""
        return str(parse_json(data).get("sha256sums", "")) if is_card(data) else ""

    def _copy(self, name: str, expected: str) -> None:
        with suppress(MissingError):
            data = self._right(name, lambda data: not _is_wrong(name, data, expected))
            path = path_in(self.root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _right(
        self, name: str, is_right: Callable[[bytes], bool], begin: int = 0, end: int | None = None
    ) -> bytes:
        """Bytes of an object that are right, or that stay wrong when they are fetched again."""
        for attempt in range(TRIES):
            if attempt:
                TRAFFIC.again(f"{self.objects.url}/{name}", "wrong bytes came", wrong=1)
            whole_one = end is None
            data = whole(self.objects, name) if whole_one else self.objects.read(name, begin, end)
            if is_right(data):
                break
        return data


def _is_wrong(name: str, data: bytes, expected: str) -> bool:
    if name == CARD:
        return not is_card(data)
    return expected not in ("", sha256(data).hexdigest())


@contextmanager
def scratch_copy(url: str) -> Iterator[Scratch]:
    """A temporary folder with the small files of a dataset in a bucket.

    Raises:
        RemoteError: it can't be reached.
    """
    make_folder(cache_folder())
    root = temporary_path(cache_folder() / "verify")
    root.mkdir()
    try:
        with copies_told():
            found = Scratch(Objects(url), root)
            found.copy_small()
            yield found
    finally:
        shutil.rmtree(root, ignore_errors=True)
