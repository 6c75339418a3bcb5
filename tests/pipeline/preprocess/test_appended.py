"""Parquet files to which rows are added: the bytes of writing all of them, most of them copied."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.preprocess.finish import partial
from ns2.pipeline.preprocess.plan.appended.kept_groups import OtherFormatError, write_behind
from ns2.pipeline.preprocess.plan.appended.more_rows import add_rows
from ns2.pipeline.preprocess.plan.kept_rows import KeptRows

OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
SCHEMA = index_schema(("codes", "mel"), ("worst_word",))


def index(shards: list[int], per_shard: int = 3, seed: int = 0) -> pa.Table:
    """Rows of an index of some shards, with nulls, lists and texts."""
    rng, n = np.random.default_rng(seed), len(shards) * per_shard
    numbers = np.repeat(shards, per_shard)
    values: dict[str, Any] = {
        "key": [f"k{shard:03d}-{i:04d}" for i, shard in enumerate(numbers)],
        "shard": numbers.astype(np.int32),
        "split": rng.choice(["train", "val"], n),
        "speaker": [f"speaker {i}" for i in rng.integers(0, 5, n)],
        "language": ["en"] * n,
        "seconds": rng.random(n),
        "frames": rng.integers(1, 900, n).astype(np.int32),
        "phones": rng.integers(1, 90, n).astype(np.int32),
        "worst_word": pa.array(rng.random(n), mask=rng.random(n) < 0.5),
        "codes_shape": [[16, int(i)] for i in rng.integers(1, 900, n)],
    }
    columns = [pa.array(values[f.name], f.type) if f.name in values else pa.nulls(n, f.type)
               for f in SCHEMA]  # fmt: skip
    return pa.table(columns, schema=SCHEMA)


def write(path: Path, tables: list[pa.Table], schema: pa.Schema = SCHEMA) -> Path:
    with pq.ParquetWriter(path, schema, **OPTIONS) as writer:
        for table in tables:
            writer.write_table(table)
    return path


@pytest.mark.parametrize(("groups", "more"), [(1, 1), (7, 2), (20, 3), (20, 0), (3, 18)])
def test_kept_row_groups_have_the_bytes_of_written_ones(
    groups: int, more: int, tmp_path: Path
) -> None:
    tables = [index([i], seed=i) for i in range(40)]
    before = write(tmp_path / "before", tables[:20])
    behind = tables[20 : 20 + more]
    whole = write(tmp_path / "whole", [*tables[:groups], *behind])
    found = io.BytesIO()
    write_behind(found, before, groups, behind, SCHEMA, **OPTIONS)
    assert found.getvalue() == whole.read_bytes()


@pytest.mark.parametrize("groups", [0, 4])
def test_row_groups_that_are_not_there_are_not_kept(groups: int, tmp_path: Path) -> None:
    found, before = io.BytesIO(), write(tmp_path / "before", [index([i]) for i in range(3)])
    with pytest.raises(OtherFormatError, match="3 row groups"):
        write_behind(found, before, groups, [index([3])], SCHEMA, **OPTIONS)
    assert not found.getvalue()


@pytest.mark.parametrize("other", ["schema", "metadata", "no parquet", "cut off"])
def test_other_files_are_not_taken_over(other: str, tmp_path: Path) -> None:
    schema = SCHEMA.remove(3) if other == "schema" else SCHEMA
    if other == "metadata":
        schema = schema.with_metadata({"a": "b"})
    before = write(tmp_path / "before", [index([0]).select(schema.names).cast(schema)], schema)
    if other == "no parquet":
        before.write_bytes(b"PAR1 and something else")
    if other == "cut off":
        before.write_bytes(before.read_bytes()[:-20] + b"\xff\xff\x00\x00PAR1")
    found = io.BytesIO()
    with pytest.raises(OtherFormatError):
        write_behind(found, before, 1, [index([1])], SCHEMA, **OPTIONS)
    assert not found.getvalue()


@pytest.mark.parametrize(
    ("touched", "new", "kept"),
    [
        ([], [30, 31], 14),  # rows behind all others: the last row group is not full
        ([29], [29, 30], 14),
        ([20], [], 9),
        ([21], [21], 10),
        ([0], [0], 0),
        ([], [11], 5),  # a shard that had no rows
        ([9], [9], 0),  # so many row groups would be held in memory
    ],
)
def test_a_merged_index_is_the_same_whatever_is_copied(
    touched: list[int], new: list[int], kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "ROW_GROUP", 6)
    monkeypatch.setattr(partial, "_MOST_BEHIND", 10)
    monkeypatch.setattr(partial, "_TOGETHER", 4)
    every = pa.concat_tables([index([i], seed=i) for i in range(30) if i != 11])
    every = pa.concat_tables([every, index([29], per_shard=1, seed=99)]).combine_chunks()
    groups = [every.slice(i, 6) for i in range(0, len(every), 6)]
    file = write(tmp_path / "index.parquet", groups)
    rows, loud = index(new, seed=7), np.array(touched, np.int32)
    assert partial.groups_before(file, rows, loud) == kept
    results = []
    for groups_kept in (kept, 0):
        path, counted = partial._merge(file, rows, loud, groups_kept)
        results.append((path.read_bytes(), vars(counted)))
        path.unlink()
    assert results[0] == results[1]


@pytest.mark.parametrize("before", [1, 9, 10, 14, 17, 40])
def test_rows_are_added_behind_those_that_are_there(before: int, tmp_path: Path) -> None:
    file, numbers = tmp_path / "rows", np.arange(before + 25)
    table = pa.table({"n": numbers, "text": [f"number {i}" for i in numbers]})
    table = table.replace_schema_metadata({"size": "3"})
    pq.write_table(table.slice(0, before), file, row_group_size=10, **OPTIONS)
    for begin, end in ((before, before + 3), (before + 3, before + 25)):
        add_rows(file, table.slice(begin, end - begin), rows=10, **OPTIONS)
    found = pq.read_table(file, page_checksum_verification=True)
    assert found.equals(table) and found.schema.metadata == table.schema.metadata
    metadata = pq.read_metadata(file)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert max(sizes) == 10 and sum(size < 5 for size in sizes) <= 1


def test_kept_rows_that_come_behind_others_are_added_to_their_file(tmp_path: Path) -> None:
    def rows(begin: int, end: int) -> KeptRows:
        numbers = np.arange(begin, end)
        return KeptRows(
            digests=np.stack([numbers, numbers], 1).astype(np.uint64),
            shards=numbers.astype(np.int32),
            splits=(numbers % 3).astype(np.int8),
            sizes=numbers,
            times=numbers,
            sources=pa.chunked_array([[f"{i}.wav" for i in numbers]]),
        )

    file, order = tmp_path / "rows.parquet", np.arange(7)
    rows(0, 5).save(file)
    for places in (order, order[::-1]):
        found = KeptRows.load(file).take(places, rows(5, 7))
        assert found.there == (5 if places[0] == 0 else 0)
        found.save(tmp_path / "other")
        assert found.digest == KeptRows.load(tmp_path / "other").digest
    KeptRows.load(file).take(order, rows(5, 7)).save(file)
    now = KeptRows.load(file)
    assert now.digest == rows(0, 7).digest
    assert now.sources.to_pylist() == rows(0, 7).sources.to_pylist()
