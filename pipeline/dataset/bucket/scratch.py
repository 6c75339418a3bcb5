"""A dataset of a bucket as `ns2 verify` needs it: as it is there, whole tars, past the cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ns2.pipeline.core.atomic import temporary_path
from ns2.pipeline.core.names import path_in
from ns2.pipeline.dataset.bucket.mirror import TRIES, is_card
from ns2.pipeline.dataset.layout import CARD, README, SUMS, TARGET
from ns2.pipeline.dataset.sums import parse_sums
from ns2.pipeline.remote.copies import whole
from ns2.pipeline.remote.faults import MissingError
from ns2.pipeline.remote.objects import Objects
from ns2.pipeline.remote.urls import cache_folder, make_folder


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
        with ThreadPoolExecutor(max(len(sums), 1)) as pool:
            list(pool.map(self._copy, sums, sums.values()))
        try:
            yield
        finally:
            for name in sums:
                path_in(self.root, name).unlink(missing_ok=True)

    def copy_small(self) -> None:
        """Copy all that is no tar and no marker."""
        self._copy(CARD, "")
        self._copy(SUMS, "")
        self._copy(README, "")
        sums_file = self.root / SUMS
        sums = parse_sums(sums_file.read_bytes()) if sums_file.is_file() else {}
        for name, digest in sums.items():
            with suppress(ValueError):  # no name of a file in the folder, as verify will say
                path_in(self.root, name)
                if not TARGET.fullmatch(name):
                    self._copy(name, digest)

    def _copy(self, name: str, expected: str) -> None:
        path, data = path_in(self.root, name), b""
        for _ in range(TRIES):
            try:
                data = whole(self.objects, name)
            except MissingError:
                return
            if not _is_wrong(name, data, expected):
                break
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


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
        found = Scratch(Objects(url), root)
        found.copy_small()
        yield found
    finally:
        shutil.rmtree(root, ignore_errors=True)
