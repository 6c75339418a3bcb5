"""Differences between the rows of two datasets: of their indexes, and of their ledgers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.dataset.index import CONFIDENCE, index_schema
from ns2.pipeline.tools.diff.side import EXAMPLES, Side, counted

MOST_KEYS = 1000
"""The most keys that are listed for a difference; its count is always exact."""

FIELDS = tuple(n for n in index_schema([]).names if n not in ("key", "shard", "row_crc"))
"""Fields of the index that describe an utterance."""

_NOT_FOUND = "not found"


class IndexRows:
    """The rows of two indexes, matched by key."""

    def __init__(self, a: Side, b: Side) -> None:
        self._a, self._b = a, b
        self._keys = a.column("key"), b.column("key")
        place = pc.index_in(self._keys[0], value_set=self._keys[1])
        self._rows_a = pa.array(np.flatnonzero(place.is_valid()))  # of those in both
        self._rows_b = place.drop_null()
        self._common = self._keys[0].take(self._rows_a)

    def compare(self) -> dict[str, Any]:
        """The sections `utterances`, `columns` and `fields` of `diff`."""
        changed = np.zeros(len(self._common), bool)
        columns = self._compare_columns(changed)
        fields = self._compare_fields(changed)
        names = list(self._a.card.columns), list(self._b.card.columns)
        return {
            "utterances": {
                "both": len(self._common),
                "only_a": self._only(self._keys[0], self._keys[1], self._b),
                "only_b": self._only(self._keys[1], self._keys[0], self._a),
                "changed": self._count(changed),
                "moved": int(self._unequal("shard").sum()),
            },
            "columns": {
                "only_a": [name for name in names[0] if name not in names[1]],
                "only_b": [name for name in names[1] if name not in names[0]],
                "changed": columns,
            },
            "fields": fields,
        }

    def _compare_columns(self, changed: np.ndarray) -> dict[str, Any]:
        """Columns whose arrays differ; marks the utterances in `changed`."""
        columns: dict[str, Any] = {}
        for name in [n for n in self._a.card.columns if n in self._b.card.columns]:
            reshaped = self._reshaped(name)
            unequal = reshaped | self._unequal(f"{name}_crc32") | self._unequal(f"{name}_size")
            if unequal.any():
                columns[name] = {**self._count(unequal), "reshaped": int(reshaped.sum())}
                changed |= unequal
        return columns

    def _compare_fields(self, changed: np.ndarray) -> dict[str, Any]:
        """Fields of the index that differ; marks the utterances in `changed`."""
        fields: dict[str, Any] = {}
        scalars = [name for name in self._a.card.scalars if name in self._b.card.scalars]
        if all(CONFIDENCE in side.fields() for side in (self._a, self._b)):
            scalars.append(CONFIDENCE)
        for name in (*FIELDS, *scalars):
            unequal = self._unequal(name)
            if unequal.any():
                fields[name] = {**self._count(unequal), "examples": self._examples(name, unequal)}
                changed |= unequal
        return fields

    def _pair(self, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """One field of the utterances in both, in the order of A's."""
        return (
            self._a.column(name).take(self._rows_a),
            self._b.column(name).take(self._rows_b),
        )

    def _unequal(self, name: str) -> np.ndarray:
        """Which of the utterances in both differ in a field; null equals null alone."""
        a, b = self._pair(name)
        unequal = pc.fill_null(pc.not_equal(a, b), False)
        return np.asarray(pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b))), bool)

    def _reshaped(self, column: str) -> np.ndarray:
        """Which of the utterances in both have another shape in a column."""
        a, b = self._pair(f"{column}_shape")
        lengths = pc.list_value_length(a), pc.list_value_length(b)
        unequal = np.asarray(pc.not_equal(*lengths), bool)
        # pyarrow can't compare lists, so axes are compared one by one
        for axis in range(max((pc.min(length).as_py() or 0) for length in lengths)):
            deep = pc.and_(*(pc.greater(length, axis) for length in lengths))
            rows = np.flatnonzero(deep)
            sizes = [pc.list_element(shape.take(pa.array(rows)), axis) for shape in (a, b)]
            unequal[rows] |= np.asarray(pc.not_equal(*sizes), bool)
        return unequal

    def _count(self, which: np.ndarray) -> dict[str, Any]:
        """The number of utterances that are marked, and the first keys."""
        rows = np.flatnonzero(which)
        keys = self._common.take(pa.array(rows[:MOST_KEYS])).to_pylist()
        return {"count": len(rows), "keys": keys}

    def _examples(self, name: str, which: np.ndarray) -> list[dict[str, Any]]:
        rows = pa.array(np.flatnonzero(which)[:EXAMPLES])
        a, b = (values.take(rows).to_pylist() for values in self._pair(name))
        keys = self._common.take(rows).to_pylist()
        return [{"key": k, "a": x, "b": y} for k, x, y in zip(keys, a, b, strict=True)]

    def _only(self, keys: pa.ChunkedArray, others: pa.ChunkedArray, other: Side) -> dict[str, Any]:
        """The utterances of one side alone, and why the other lacks them."""
        only = keys.filter(pc.invert(pc.is_in(keys, value_set=others)))
        ledger = other.ledger
        place = pc.index_in(only, value_set=ledger["key"])
        reasons = Counter(ledger["reason"].take(place.drop_null()).to_pylist())
        reasons[_NOT_FOUND] = place.null_count
        return {
            "count": len(only),
            "keys": only.slice(0, MOST_KEYS).to_pylist(),
            "why": counted(reasons),
        }


def compare_ledgers(a: Side, b: Side) -> dict[str, Any]:
    """The section `rejected` of `diff`: rows of `rejected.parquet` that only one side has."""
    names = a.ledger.schema.names
    rows = [
        Counter(zip(*(side.ledger[name].to_pylist() for name in names), strict=True))
        for side in (a, b)
    ]
    found = {}
    for part, only in (("only_a", rows[0] - rows[1]), ("only_b", rows[1] - rows[0])):
        reasons: Counter[str] = Counter()
        for row, count in only.items():
            reasons[row[names.index("reason")]] += count
        examples = [dict(zip(names, row, strict=True)) for row in sorted(only)[:EXAMPLES]]
        found[part] = {"count": only.total(), "reasons": counted(reasons), "examples": examples}
    return found
