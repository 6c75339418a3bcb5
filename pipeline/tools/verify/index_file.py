"""Verification of the index as a whole: its pages, its keys, and the counts of the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.names import key_faults
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.card import Card
from ns2.pipeline.dataset.index import CONFIDENCE, index_faults, index_schema, row_crc
from ns2.pipeline.dataset.layout import INDEX
from ns2.pipeline.dataset.tables import check_table
from ns2.pipeline.tools.verify.fault import MOST_FAULTS, Fault

_COUNTED = ("split", "speaker", "language", "seconds", "frames", "phones")


class IndexCheck:
    """Checks `index.parquet`; faults are appended to a list."""

    def __init__(
        self,
        root: Path,
        card: Card | None,
        specs: Mapping[str, ColumnSpec],
        faults: list[Fault],
    ) -> None:
        self._path, self._card, self._specs, self._faults = root / INDEX, card, specs, faults

    def _fault(self, message: str, **where: Any) -> None:
        self._faults.append(Fault(place=INDEX, message=message, **where))

    def is_readable(self) -> bool:
        """Whether its schema is that of a dataset and every page of it can be read.

        Raises:
            ValueError: the schema is another.
        """
        check_table(self._path)
        schema = pq.read_schema(self._path)
        expected = self._expected_schema(confidence=CONFIDENCE in schema.names)
        if self._specs and sorted(schema, key=_name) != sorted(expected, key=_name):
            raise ValueError(f"its columns are not those of a dataset: {', '.join(schema.names)}")
        try:
            for _ in index_shards(self._path):
                pass
        except (pa.ArrowException, OSError) as error:
            self._fault(f"can't be read: {error}")
            self.name_rows()
            return False
        return True

    def _expected_schema(self, *, confidence: bool = False) -> pa.Schema:
        scalars = self._card.scalars if self._card else ()
        return index_schema(list(self._specs), scalars, confidence=confidence)

    def compare(self) -> None:
        """Every key is one and there once, and the counts are those of the card."""
        table = pq.read_table(self._path, columns=["key", "shard", *_COUNTED])
        for key, message in key_faults(table["key"], MOST_FAULTS):
            self._fault(message, key=key)
        for message in index_faults(table.drop_columns(["key"])):
            self._fault(message)
        if self._card is not None:
            self._compare_counts(table, self._card)

    def _compare_counts(self, table: pa.Table, card: Card) -> None:
        counts = card.counts
        found = {
            "written": table.num_rows,
            "frames": pc.sum(table["frames"]).as_py() or 0,
            "phones": pc.sum(table["phones"]).as_py() or 0,
            "speakers": pc.count_distinct(table["speaker"]).as_py(),
            "splits": dict(Counter(table["split"].to_pylist())),
            "languages": dict(Counter(table["language"].to_pylist())),
        }
        for name, value in found.items():
            if getattr(counts, name) != value:
                self._fault(f"{name}: {value}, the card says {getattr(counts, name)}")
        hours = (pc.sum(table["seconds"]).as_py() or 0.0) / 3600
        if abs(hours - counts.hours) > 1e-9 * hours:  # another order of adding rounds differently
            self._fault(f"hours: {hours}, the card says {counts.hours}")

    def name_rows(self) -> None:
        """Name the rows that are not what was written, as far as the index can be read."""
        try:
            rows = pq.read_table(self._path).to_pylist()
        except Exception as error:
            self._fault(f"can't be read, so no key can be named: {error}")
            self._name_columns()
            return
        wrong = [row for row in rows if not _is_sound(row)]
        for row in wrong[:MOST_FAULTS]:
            number, key = row.get("shard"), str(row.get("key") or "")
            message = "the row is not what was written: its row_crc differs"
            self._fault(message, shard=number if isinstance(number, int) else None, key=key)
        if len(wrong) > MOST_FAULTS:
            self._fault(f"and {len(wrong) - MOST_FAULTS} more rows")

    def _name_columns(self) -> None:
        """Name the columns of the index that can't be read, if others can."""
        names = self._expected_schema().names
        unreadable = []
        for name in names:
            try:
                pq.read_table(self._path, columns=[name]).to_pylist()
            except Exception:
                unreadable.append(name)
        for name in unreadable if len(unreadable) < len(names) else ():
            column = name.rpartition("_")[0]
            where = {"column": column} if column in self._specs else {}
            self._fault(f"{name} can't be read; the rest can", **where)


def _name(field: pa.Field) -> str:
    return str(field.name)


def _is_sound(row: Mapping[str, Any]) -> bool:
    """Whether a row is what was written, by its CRC."""
    try:
        return bool(row_crc(row) == row["row_crc"])
    except (KeyError, TypeError, ValueError):
        return False


def index_shards(path: Path) -> Iterator[tuple[int, pa.Table]]:
    """The rows of an index shard by shard, with one row group in memory at a time."""
    number, parts = 0, list[pa.Table]()
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for i in range(file.num_row_groups):
            group = file.read_row_group(i)
            shards = group["shard"].to_pylist()
            begin = 0
            for end in range(1, len(shards) + 1):
                if end < len(shards) and shards[end] == shards[begin]:
                    continue
                if parts and shards[begin] != number:
                    yield number, pa.concat_tables(parts)
                    parts = []
                number = shards[begin]
                parts.append(group.slice(begin, end - begin))
                begin = end
    if parts:
        yield number, pa.concat_tables(parts)
