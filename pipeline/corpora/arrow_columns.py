"""The columns of a parquet file as Arrow describes them: which holds audio, what lies within."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.fields import Fields


def column_names(schema: pa.Schema) -> list[str]:
    """The names of columns, and behind them those within structs, such as `info.text`."""
    inner = [name for column in schema for name in _within(column.name, column.type)]
    return list(dict.fromkeys([*schema.names, *inner]))


def _within(name: str, form: pa.DataType) -> Iterator[str]:
    for i in range(form.num_fields) if pa.types.is_struct(form) else ():
        field = form.field(i)
        yield f"{name}.{field.name}"
        yield from _within(f"{name}.{field.name}", field.type)


def batch_values(batch: pa.RecordBatch, names: Sequence[str]) -> dict[str, list[Any]]:
    """The values of a batch by column, and those within structs by the names that are asked for."""
    values = {name: _values(batch.column(name)) for name in batch.schema.names}
    found = dict(values)
    for name in names:
        outer, *parts = name.split(".")
        if name not in values and outer in values:
            found[name] = [_inner(value, parts) for value in values[outer]]
    return found


def _inner(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _values(column: pa.Array) -> list[Any]:
    """The values of a column; an error in place of each that is not UTF-8."""
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_one_value(value) for value in column]


def _one_value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return UtteranceError(Reason.TRANSCRIPT_UNREADABLE, "a text of the row is not UTF-8")


def audio_kind(form: pa.DataType) -> str:
    """How a column of a type may hold audio: as a struct, bytes or a path; "" if it can't."""
    if pa.types.is_dictionary(form):
        form = form.value_type
    if pa.types.is_struct(form):
        return "struct" if form.get_field_index("bytes") >= 0 else ""
    if any(of(form) for of in (pa.types.is_binary, pa.types.is_large_binary, _is_binary_view)):
        return "bytes"
    texts = (pa.types.is_string, pa.types.is_large_string, _is_string_view)
    return "path" if any(of(form) for of in texts) else ""


def _is_binary_view(form: pa.DataType) -> bool:
    return str(form) == "binary_view"


def _is_string_view(form: pa.DataType) -> bool:
    return str(form) == "string_view"


def audio_column(schema: pa.Schema, fields: Fields) -> tuple[str, str] | None:
    """The column of the audio and how it holds it, or None; bytes are better than paths."""
    kinds = {column.name: audio_kind(column.type) for column in schema}
    named = [(n, kinds[n]) for n in fields.names("audio", schema.names) if kinds.get(n)]
    if named:
        return next((one for one in named if one[1] != "path"), named[0])
    structs = [name for name, kind in kinds.items() if kind == "struct"]
    return (structs[0], "struct") if len(structs) == 1 and "audio" not in fields.columns else None


def labels(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of labels, as `datasets` writes them into the schema."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told.get("info", {}).get("features", {})
        return {
            name: [str(one) for one in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (ValueError, AttributeError, RecursionError):
        return {}
