"""The small files of a dataset in a bucket, copied to this machine and kept as they are there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.reading import parse_json, read_small
from ns2.pipeline.dataset.card import sealed
from ns2.pipeline.dataset.layout import CARD, SUMS, TARGET
from ns2.pipeline.dataset.sums import parse_sums
from ns2.pipeline.remote.copies import whole
from ns2.pipeline.remote.faults import MissingError, RemoteError
from ns2.pipeline.remote.objects import Objects, asking, persist
from ns2.pipeline.remote.traffic import TRAFFIC
from ns2.pipeline.remote.urls import copies_told, copy_folder, is_url, make_folder, tidy

TRIES = 4
"""How often bytes are fetched that are not what was written."""
_LOOK_AGAIN = 60.0
"""Seconds after which it is asked again whether a dataset has changed."""
_LOCK_PAUSE = 0.2

MIRRORS: dict[str, str] = {}
"""URLs by the folders of their copies, of this process: messages name the URL."""


class Mirror:
    """The copies of a dataset's small files; the tars are fetched by ranges, see `BucketTars`.

    Attributes:
        url: of the dataset.
        root: the folder of the copies, which are the files that are in the bucket.
        objects: the bucket.
    """

    def __init__(self, url: str) -> None:
        """Copy the small files, or those of them that are not here yet.

        Raises:
            UserError: there is no dataset, or it can't be read.
        """
        self.url = tidy(url)
        self.root = copy_folder(self.url)
        self.objects = Objects(self.url)
        MIRRORS[str(self.root)] = self.url
        self._looked, self._tag = time.monotonic(), ""
        self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        """Copy what has changed in the bucket; the card last.

        Raises:
            UserError: see `__init__`.
        """
        make_folder(self.root)
        with copies_told(), alone(self.root):
            try:
                with asking(1) as pool:
                    # which reading the index will need; not here: an import may swallow a Ctrl-C
                    pool.submit(import_module, "pyarrow.dataset")
                    card = self._right(CARD, is_card)
            except MissingError as error:
                raise UserError(
                    f"{self.url} has no {CARD}: it is not a dataset, or `ns2 preprocess` has not "
                    "finished it"
                ) from error
            vouched = str(parse_json(card).get("sha256sums"))
            self._copy(SUMS, vouched)
            sums = parse_sums((self.root / SUMS).read_bytes())
            small = {name: sha for name, sha in sums.items() if not TARGET.fullmatch(name)}
            with asking(4) as pool:
                list(pool.map(self._copy, small, small.values()))
            if not _holds(self.root / CARD, card):
                with atomic_write(self.root / CARD, durable=False) as file:
                    file.write(card)

    def look_again(self) -> None:
        """See once in a while whether the card has changed; no answer is no change."""
        if time.monotonic() - self._looked < _LOOK_AGAIN:
            return
        self._looked = time.monotonic()
        try:
            data = persist(lambda: self.objects.read(CARD), self.url, patience=0.0)
        except MissingError:
            (self.root / CARD).unlink(missing_ok=True)
            return
        except RemoteError:
            return
        if is_card(data) and not _holds(self.root / CARD, data):
            with atomic_write(self.root / CARD, durable=False) as file:
                file.write(data)

    def _copy(self, name: str, sha256: str) -> None:
        """Copy a file unless its copy is right already."""
        path = path_in(self.root, name)
        if path.is_file() and sha256_file(path) == sha256:
            return
        data = self._right(name, lambda data: hashlib.sha256(data).hexdigest() == sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, durable=False) as file:
            file.write(data)

    def _right(self, name: str, is_right: Callable[[bytes], bool]) -> bytes:
        """The bytes of an object; what is wrong is fetched again, since it may be the network.

        Raises:
            DamageError: they stay wrong.
        """
        for attempt in range(TRIES):
            if attempt:
                TRAFFIC.again(f"{self.url}/{name}", "wrong bytes came", wrong=1)
                time.sleep(0.1 * 2**attempt)
            data = whole(self.objects, name)
            if is_right(data):
                return data
        raise DamageError(f"{self.url}/{name} is damaged: it is not what was written")


def place_of(place: str | Path) -> tuple[Path, Mirror | None]:
    """The folder in which a dataset's small files lie, and its mirror if it lies in a bucket.

    Raises:
        UserError: it can't be read.
    """
    if not is_url(place):
        return Path(place), None
    mirror = Mirror(str(place))
    return mirror.root, mirror


def is_card(data: bytes) -> bool:
    """Whether it is a card as it was written, or at least no broken one of a newer version."""
    try:
        card = parse_json(data)
    except ValueError:
        return False
    return isinstance(card, dict) and card.get("digest") == sealed(card)["digest"]


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and read_small(path) == data


@contextmanager
def alone(root: Path, patience: float | None = None) -> Iterator[None]:
    """Work in a folder of copies while no other process does.

    Args:
        patience: seconds for which another process is waited for; None waits for its end.

    Raises:
        BlockingIOError: another process works there still.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(root.with_name(f"{root.name}.lock"), flags, 0o666)
    try:
        if patience is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _lock_until(descriptor, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _lock_until(descriptor: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_LOCK_PAUSE)
        else:
            return
