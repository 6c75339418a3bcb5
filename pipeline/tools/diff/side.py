"""One of the two datasets that are compared: its card, index and ledger."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.dataset.bucket.mirror import place_of
from ns2.pipeline.dataset.card import open_card, sealed
from ns2.pipeline.dataset.index import index_faults
from ns2.pipeline.dataset.layout import ASSETS, CARD, INDEX, REJECTED
from ns2.pipeline.dataset.tables import check_table, read_table

EXAMPLES = 3
"""Values, or rows of the ledger, that are listed for a difference."""


class Side:
    """One of the two datasets.

    Attributes:
        root: its folder.
        card: its card, which bears the digest of its own content.
    """

    def __init__(self, root: str | Path) -> None:
        self.root, mirror = place_of(root)
        self._place = mirror.url if mirror else str(self.root)
        self.card = open_card(self.root)
        if sealed(self.card)["digest"] != self.card.digest:
            raise UserError(f"{self.root / CARD} is damaged; `ns2 verify` says more")

    def about(self) -> dict[str, Any]:
        """Path, digest, number of utterances and hours."""
        return {
            "path": self._place,
            "digest": self.card.digest,
            "utterances": self.card.counts.written,
            "hours": self.card.counts.hours,
        }

    def fields(self) -> list[str]:
        """The names of the fields of the index."""
        return list(check_table(self.root / INDEX).schema.names)

    def column(self, name: str) -> pa.ChunkedArray:
        """One field of the index."""
        return self._table(INDEX, [name])[name]

    @cached_property
    def ledger(self) -> pa.Table:
        """All of `rejected.parquet`."""
        return self._table(REJECTED, None)

    def _table(self, name: str, columns: list[str] | None) -> pa.Table:
        try:
            table = read_table(self.root / name, columns)
            faults = index_faults(table) if name == INDEX else []
            if faults or not set(columns or ()) <= set(table.column_names):
                raise ValueError(faults[0] if faults else "columns are missing")
            return table
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(
                f"{self.root / name} can't be read: {error}; `ns2 verify` says more"
            ) from error

    def assets(self) -> dict[str, str]:
        """Fingerprint of each asset."""
        stems = [Path(name).stem for name in self.card.assets]
        return dict(stem.rsplit("-", 1) for stem in stems)

    def aligner(self) -> dict[str, Any]:
        """What the aligner was trained on, from the JSON file beside its weights."""
        path = self.root / ASSETS / f"aligner-{self.assets()['aligner']}.json"
        try:
            return dict(read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{path} can't be read: {error}; `ns2 verify` says more") from error


def counted(counter: Counter[str]) -> dict[str, int]:
    """Numbers by name, sorted by name and without zeros."""
    return {name: count for name, count in sorted(counter.items()) if count}
