"""Making a dataset's checksums right again after it was changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.hashing import sha256_file, short_hash
from ns2.pipeline.dataset.index import row_crc

Values = dict[str, Any]


def seal(root: Path, sums: dict[str, str] | None = None) -> None:
    """Write SHA256SUMS and the card's digests anew.

    Args:
        sums: lines of SHA256SUMS that replace or add to those of the files that are there.
    """
    file = root / "SHA256SUMS"
    names = [line.split("  ", 1)[1] for line in file.read_text("utf-8").splitlines()]
    found = {name: sha256_file(root / name) for name in names if (root / name).is_file()}
    found.update(sums or {})
    lines = sorted(f"{digest}  {name}\n" for name, digest in found.items())
    file.write_text("".join(lines), "utf-8")
    change_card(root, lambda card: card)


def change_card(root: Path, change: Callable[[Values], Values]) -> None:
    """Change the card's JSON values; its digest is made right."""
    path = root / "dataset.json"
    card = change(json.loads(path.read_text("utf-8")))
    card["sha256sums"] = hashlib.sha256((root / "SHA256SUMS").read_bytes()).hexdigest()
    card.pop("digest", None)
    write_card(root, card)


def write_card(root: Path, card: Values) -> None:
    """Write a card with its digest, in plain JSON."""
    try:
        digest = short_hash(card, 64)
    except (ValueError, RecursionError):
        digest = "0" * 64
    text = json.dumps({**card, "digest": digest}, indent=2, ensure_ascii=False)
    (root / "dataset.json").write_text(text, "utf-8")


def change_index(root: Path, change: Callable[[Values], Values], only: int | None = None) -> None:
    """Change rows of the index; their CRCs, and all checksums, are made right.

    Args:
        only: the position of the one row that is changed; None for all.
    """
    path = root / "index.parquet"
    table = pq.read_table(path)
    rows = []
    for i, row in enumerate(table.to_pylist()):
        new = change(dict(row)) if only in (None, i) else row
        try:
            new["row_crc"] = row_crc(new)
        except ValueError:
            new["row_crc"] = 0
        rows.append(new)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path, write_page_checksum=True)
    seal(root)
