"""The schema of the index, which has a row for each utterance, and the checksum of a row."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ns2.pipeline.core.hashing import canonical_json

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

REJECTED_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "key", "source", "kind", "stage", "reason", "message")]
)
"""The schema of `rejected.parquet`."""


def index_schema(columns: Sequence[str]) -> pa.Schema:
    """The schema of the index of a dataset with these columns."""
    fields = list(_FIELDS)
    for column in columns:
        fields.extend((f"{column}_{name}", kind) for name, kind in _COLUMN_FIELDS)
    return pa.schema([*fields, ("row_crc", pa.uint32())])


def row_crc(row: Mapping[str, Any]) -> int:
    """The CRC-32 of an index row, over the canonical JSON of its fields but `row_crc`."""
    body = {name: value for name, value in row.items() if name != "row_crc"}
    return zlib.crc32(canonical_json(body).encode("utf-8", "surrogatepass"))
