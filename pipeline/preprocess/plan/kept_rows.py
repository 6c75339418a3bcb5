"""What the last run saw of each row of a manifest, by columns: `.state/rows.parquet`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.preprocess.plan.appended.more_rows import add_rows

NO_SHARD = -1
"""The shard of a row that is in none: it can't be used."""
SPLITS = ("train", "val", "test")
FILTERED = -1
"""The split of an utterance that `--min-confidence` leaves out of its shard."""

_ROWS = 1 << 20
_DICTIONARIES = ["shard", "split", "size", "mtime_ns"]


@dataclass(frozen=True, kw_only=True)
class KeptRows:
    """The rows of a manifest in their order, n of them.

    Attributes:
        digests: (n, 2) uint64, see `ns2.pipeline.corpora.lines`.
        shards: (n,) int32, of the utterances; `NO_SHARD` for what is in none.
        splits: (n,) int8, the place of each one's split in `SPLITS`, or `FILTERED`.
        sizes, times: (n,) int64, size and mtime_ns of the audio, or of what holds it.
        sources: (n,) strings, the paths of the audio; "" where a row in no shard names none.
        there: so many of the first rows are those of a file, see `load`.
    """

    digests: np.ndarray
    shards: np.ndarray
    splits: np.ndarray
    sizes: np.ndarray
    times: np.ndarray
    sources: pa.ChunkedArray
    there: int = 0

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def digest(self) -> str:
        """The SHA-256 of all that is known of them but their sources, which their lines tell."""
        whole = hashlib.sha256()
        for name in _NUMBERS:
            whole.update(np.ascontiguousarray(getattr(self, name)).data)
        return whole.hexdigest()

    def take(self, places: np.ndarray, more: KeptRows) -> KeptRows:
        """Rows of this and others behind them, in an order.

        Args:
            places: (m,) where they are; those of `more` are counted on.
        """
        both = [np.concatenate([getattr(self, name), getattr(more, name)]) for name in _NUMBERS]
        sources = pa.chunked_array([*self.sources.chunks, *more.sources.chunks], pa.string())
        behind = len(places) == len(self) + len(more) and bool((np.diff(places) == 1).all())
        if not behind:
            both, sources = [array[places] for array in both], sources.take(pa.array(places))
        numbers = dict(zip(_NUMBERS, both, strict=True))
        return KeptRows(**numbers, sources=sources, there=self.there if behind else 0)

    def save(self, path: Path) -> None:
        """Write them; those that are there in the file already are not written anew."""
        options: dict[str, Any] = {
            "use_dictionary": _DICTIONARIES,
            "compression": "zstd",
            "write_page_checksum": True,
        }
        if self.there and path.is_file() and pq.read_metadata(path).num_rows == self.there:
            add_rows(path, self._table(self.there), rows=_ROWS, **options)
            return
        with atomic_write(path) as file:
            pq.write_table(self._table(), file, row_group_size=_ROWS, **options)

    def _table(self, first: int = 0) -> pa.Table:
        """The rows from one on."""
        return pa.table(
            {
                "first": self.digests[first:, 0],
                "second": self.digests[first:, 1],
                "shard": self.shards[first:],
                "split": self.splits[first:],
                "size": self.sizes[first:],
                "mtime_ns": self.times[first:],
                "source": self.sources.slice(first),
            }
        )

    @classmethod
    def load(cls, path: Path) -> KeptRows:
        """Read them.

        Raises:
            OSError, ValueError, KeyError, pyarrow.ArrowException: they can't be read.
        """
        table = pq.read_table(path, page_checksum_verification=True)
        numbers = (table[name].to_numpy() for name in _DICTIONARIES)
        shards, splits, sizes, times = numbers
        return cls(
            digests=np.stack([table[name].to_numpy() for name in ("first", "second")], 1),
            shards=shards,
            splits=splits,
            sizes=sizes,
            times=times,
            sources=table["source"],
            there=table.num_rows,
        )


def distinct(shards: np.ndarray) -> np.ndarray:
    """The different numbers of shards, sorted; of (n,) numbers from 0 on."""
    return np.flatnonzero(np.bincount(shards)).astype(shards.dtype)


_NUMBERS = ("digests", "shards", "splits", "sizes", "times")
