"""Files of state to which rows are added behind those that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.preprocess.plan.appended.kept_groups import OtherFormatError, write_behind

USUAL_ROWS = 1 << 20
"""Rows in a row group, as pyarrow has them."""


def add_rows(path: Path, more: pa.Table, *, rows: int = USUAL_ROWS, **options: Any) -> None:
    """Write a file of the rows that are there and more behind them in its place.

    Row groups are copied; the last ones, if they are small, are put together with what is added.

    Args:
        path: the file; it has the columns of `more`, in their order.
        rows: in a row group, at most.
        options: of `pyarrow.parquet.ParquetWriter`, as they were when it was written.

    Raises:
        pyarrow.ArrowException, OSError: the file can't be read.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema, sizes = file.schema_arrow, _sizes(file)
        kept = len(sizes)
        while kept and sizes[kept - 1] < rows // 2:
            kept -= 1
        last = file.read_row_groups(range(kept, len(sizes)), use_threads=False)
    behind = pa.concat_tables([last, more.select(schema.names).cast(schema)])
    tables = [behind.slice(i, rows) for i in range(0, behind.num_rows, rows)]
    try:
        with atomic_write(path) as out:
            if not kept:
                raise OtherFormatError("nothing is kept")
            write_behind(out, path, kept, tables, schema, **options)
    except OtherFormatError:
        whole = pa.concat_tables([pq.read_table(path, schema=schema), behind.slice(last.num_rows)])
        with atomic_write(path) as out:
            pq.write_table(whole, out, row_group_size=rows, **options)


def _sizes(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
