"""Damage done to datasets, and how faults that `verify` finds are told apart."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.sums import checksum_text
from ns2.pipeline.tools.verify.fault import Fault
from tests.support.dataset_factories import Recipe, folder

TINY = Recipe(shards=2, per_shard=2)


@contextmanager
def damaged(path: Path, data: bytes | None) -> Iterator[None]:
    """A file with other content, or missing, for as long as the block lasts."""
    before = path.read_bytes()
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def tar(root: Path, column: str, shard: int) -> Path:
    (path,) = (root / folder(column)).glob(f"{shard:05d}-*.tar")
    return path


def members(path: Path) -> list[tuple[str, int, int]]:
    """(key, begin of its header, end of its padding), as tarfile sees them."""
    with tarfile.open(path) as file:
        return [
            (info.name.split(".")[0], info.offset, info.offset_data + -(-info.size // 512) * 512)
            for info in file
        ]


def places(faults: list[Fault]) -> set[tuple[str, int | None, str]]:
    return {(fault.column, fault.shard, fault.key) for fault in faults}


def messages(faults: list[Fault]) -> str:
    return "\n".join(str(fault) for fault in faults)


def reseal(root: Path, changes: Callable[[dict[str, Any]], None] = lambda card: None) -> None:
    """Make checksums and card fit whatever the files are now."""
    names = [line.split("  ")[1] for line in (root / layout.SUMS).read_text().splitlines()]
    sums = [(name, hashlib.sha256((root / name).read_bytes()).hexdigest()) for name in names]
    text = checksum_text(sums).encode()
    (root / layout.SUMS).write_bytes(text)
    card = json.loads((root / layout.CARD).read_text())
    card["sha256sums"] = hashlib.sha256(text).hexdigest()
    changes(card)
    (root / layout.CARD).write_text(card_text(sealed(card)))
