"""SHA256SUMS: the checksums of a dataset's files, whose own checksum is in the card."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.reading import read_small
from ns2.pipeline.dataset.card import read_card
from ns2.pipeline.dataset.layout import SUMS
from ns2.pipeline.dataset.shards import Marker

LARGEST_SUMS = 1 << 30
"""The most bytes that SHA256SUMS may have: those of ten million files."""


def target_checksums(root: Path, markers: Iterable[Marker]) -> list[tuple[str, str]]:
    """(name, SHA-256) of tars, as their markers say, and of the markers, which are read."""
    sums: list[tuple[str, str]] = []
    for marker in markers:
        sums.append((marker.tar.relative_to(root).as_posix(), marker.sha256))
        sums.append((marker.path.relative_to(root).as_posix(), sha256_file(marker.path)))
    return sums


def checksum_text(sums: Iterable[tuple[str, str]]) -> str:
    """The text of SHA256SUMS, as `sha256sum` prints and checks it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums))


def vouched_sums(root: Path) -> dict[str, str]:
    """SHA-256 by name from SHA256SUMS; empty unless a card confirms that file."""
    card = read_card(root)
    try:
        data = read_small(root / SUMS, LARGEST_SUMS)
    except OSError:
        return {}
    if card is None or hashlib.sha256(data).hexdigest() != card.sha256sums:
        return {}
    return parse_sums(data)


def parse_sums(data: bytes) -> dict[str, str]:
    """SHA-256 by name, as SHA256SUMS lists them."""
    lines = (line.partition("  ") for line in data.decode("utf-8", "replace").splitlines())
    return {name: digest for digest, _, name in lines}


def check_vouched(root: Path, sums: Iterable[tuple[str, str]], vouched: Mapping[str, str]) -> None:
    """Compare files that an earlier run wrote with the checksums of that run.

    A damaged file must not enter the new SHA256SUMS, which would certify it.

    Args:
        root: the dataset's folder.
        sums: (name, SHA-256) of the files as they are now.
        vouched: SHA-256 by name as the earlier run wrote them, see `vouched_sums`.

    Raises:
        UserError: a file is damaged.
    """
    for name, digest in sums:
        if vouched.get(name, digest) != digest:
            stem = (root / name).with_suffix(".*") if name.endswith((".tar", ".parquet")) else name
            raise UserError(
                f"{root / name} is damaged: it is not what was written. Delete {stem} and run "
                "again: only its content is made anew."
            )
