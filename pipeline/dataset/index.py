"""The schema of the index, which has a row for each utterance, and the checksum of a row."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.names import key_faults

ROW_GROUP = 65_536
"""Rows in a row group of `index.parquet`."""

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("key", pa.string()),
    ("id", pa.string()),
    ("shard", pa.int32()),
    ("split", pa.string()),
    ("speaker", pa.string()),
    ("language", pa.string()),
    ("text", pa.string()),
    ("seconds", pa.float64()),
    ("frames", pa.int32()),
    ("phones", pa.int32()),
    ("audio_hash", pa.string()),
    ("level_db", pa.float64()),
    ("voiced_share", pa.float64()),
    ("f0_median", pa.float64()),
    ("phone_rate", pa.float64()),
    ("align_score", pa.float64()),
]
"""What is known of an utterance."""

_COLUMN_FIELDS: list[tuple[str, pa.DataType]] = [
    ("file", pa.string()),
    ("offset", pa.int64()),
    ("size", pa.int64()),
    ("shape", pa.list_(pa.int32())),
    ("crc32", pa.uint32()),
]
"""Where an array lies, for each column of the dataset, as `mel_file`, `mel_offset` and so on."""

_MEASURED = ("level_db", "voiced_share", "f0_median", "phone_rate", "align_score")
"""The fields that may be missing: not every dataset has the columns that they are made from."""

CORE_SCALARS = frozenset(
    ("samples", "tokens", "phones", "level_db", "voiced_share", "f0_median", "align_score")
)
"""Scalars of stages that every index has a field for, or makes one of."""

REJECTED_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "key", "source", "kind", "stage", "reason", "message")]
)
"""The schema of `rejected.parquet`."""


CONFIDENCE = "confidence"
"""The field of the confidence that a corpus gives, from 0 to 1; the index has it only where the
corpus gives one, and it is missing for the utterances that have none."""


def index_schema(
    columns: Sequence[str], scalars: Sequence[str] = (), *, confidence: bool = False
) -> pa.Schema:
    """The schema of the index of a dataset with these columns.

    Args:
        scalars: fields that some of the columns bring along, see `ColumnEntry.scalars`.
        confidence: whether the corpus gives a confidence.
    """
    fields = list(_FIELDS)
    if confidence:
        fields.append((CONFIDENCE, pa.float64()))
    fields.extend((name, pa.float64()) for name in scalars)
    for column in columns:
        fields.extend((f"{column}_{name}", kind) for name, kind in _COLUMN_FIELDS)
    return pa.schema([*fields, ("row_crc", pa.uint32())])


def is_taken(name: str, columns: Sequence[str]) -> bool:
    """Whether a name is that of a field of any index, or of one with these columns."""
    return name in CORE_SCALARS or name in index_schema(columns).names


def index_faults(table: pa.Table) -> list[str]:
    """What is wrong with the fields that were read of an index, each as a whole.

    Keys are keys and there once; no field but those of measures is missing; shards and frames are
    not negative, and seconds are above 0. Where arrays lie is looked at when one is read.
    """
    faults = []
    for name, kind in _FIELDS:
        if name not in table.column_names or name in _MEASURED:
            continue
        column = table[name]
        found = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if found != kind:
            faults.append(f"{name} is of type {found}, expected {kind}")
        elif name == "key":
            faults += [f"key {key}: {message}" for key, message in key_faults(column, 1)]
        elif column.null_count:
            faults.append(f"{name} of {column.null_count} utterances is missing")
        elif name in ("shard", "frames", "phones") and (pc.min(column).as_py() or 0) < 0:
            faults.append(f"{name} of an utterance is negative")
        elif name == "seconds" and not pc.all(_is_length(column), min_count=0).as_py():
            faults.append("seconds of an utterance are no number above 0")
    if CONFIDENCE in table.column_names and table[CONFIDENCE].type != pa.float64():
        faults.append(f"{CONFIDENCE} is of type {table[CONFIDENCE].type}, expected double")
    return faults


def _is_length(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.and_(pc.is_finite(seconds), pc.greater(seconds, 0.0))


def row_crc(row: Mapping[str, Any]) -> int:
    """The CRC-32 of an index row, over the canonical JSON of its fields but `row_crc`."""
    body = {name: value for name, value in row.items() if name != "row_crc"}
    return zlib.crc32(canonical_json(body).encode("utf-8", "surrogatepass"))
