"""What the last run saw of each row of a manifest, by columns: `.state/rows.parquet`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write

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
    """

    digests: np.ndarray
    shards: np.ndarray
    splits: np.ndarray
    sizes: np.ndarray
    times: np.ndarray
    sources: pa.ChunkedArray

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
        both = [(getattr(self, name), getattr(more, name)) for name in _NUMBERS]
        numbers = [np.concatenate(pair)[places] for pair in both]
        sources = pa.chunked_array([*self.sources.chunks, *more.sources.chunks], pa.string())
        return KeptRows(
            **dict(zip(_NUMBERS, numbers, strict=True)),
            sources=sources.take(pa.array(places)),
        )

    def save(self, path: Path) -> None:
        """Write them."""
        table = pa.table(
            {
                "first": self.digests[:, 0],
                "second": self.digests[:, 1],
                "shard": self.shards,
                "split": self.splits,
                "size": self.sizes,
                "mtime_ns": self.times,
                "source": self.sources,
            }
        )
        with atomic_write(path) as file:
            pq.write_table(
                table,
                file,
                row_group_size=_ROWS,
                use_dictionary=_DICTIONARIES,
                compression="zstd",
                write_page_checksum=True,
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
        )


_NUMBERS = ("digests", "shards", "splits", "sizes", "times")
