"""Parquet files of datasets: regular files that hold no more than their bytes can."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.reading import check_regular

_FEW_ROWS = 10_000
_EXPANSION, _ROOM = 1000, 256 << 20
"""The most bytes in memory for a byte of the file, and beside that: an index has about ten."""


def check_table(path: Path) -> pq.FileMetaData:
    """See that a parquet file can be read: a file of few bytes may stand for giants.

    Rows of an index, a ledger or a marker hold checksums or names, so each takes a byte at least.

    Raises:
        OSError: there is no file, or no regular one.
        ValueError: it claims more rows or bytes than any file of its size has.
        pyarrow.ArrowException: it is not a parquet file.
    """
    size = check_regular(path).st_size
    metadata = pq.read_metadata(path)
    check_claims(metadata, size, path.name)
    return metadata


def check_claims(metadata: pq.FileMetaData, size: int, name: str) -> None:
    """See that a parquet file of so many bytes claims no more than it can hold.

    Raises:
        ValueError: it claims more rows or bytes, naming the file.
    """
    claimed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if metadata.num_rows > max(size, _FEW_ROWS) or claimed > _EXPANSION * size + _ROOM:
        raise ValueError(
            f"{name} has {size:,} bytes and claims {metadata.num_rows:,} rows of {claimed:,} "
            "bytes: no file that ns2 wrote does"
        )


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    *,
    dictionaries: Sequence[str] = (),
    without: Sequence[str] = (),
) -> pa.Table:
    """Read a parquet file, the checksum of each page included.

    Args:
        columns: the columns to read; all where None.
        dictionaries: those of them that are read as dictionaries.
        without: columns that are left out where all others are read.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: see `check_table`.
    """
    names = check_table(path).schema.to_arrow_schema().names
    if columns is None and any(name in names for name in without):
        columns = [name for name in names if name not in without]
    return pq.read_table(
        path,
        columns=None if columns is None else list(columns),
        read_dictionary=list(dictionaries),
        page_checksum_verification=True,
    )
