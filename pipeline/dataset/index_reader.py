"""Reading the index of a dataset: whole, by columns, by rows, and keys by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.index import index_faults
from ns2.pipeline.dataset.layout import INDEX
from ns2.pipeline.dataset.tables import check_table, read_table


class IndexReader:
    """The index of a dataset; what is asked for is read when it is first asked for.

    Whatever is read is checked first, as `index_faults` does: keys become names of files.

    Attributes:
        root: the dataset's folder.
        joined: columns from elsewhere, by name, see `join`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.joined: dict[str, pa.Array] = {}

    def join(self, name: str, values: np.ndarray) -> None:
        """Add a column of numbers to those that conditions and `fields` find, in memory alone.

        Args:
            values: (n,) in the order of the index; NaN where there is none.

        Raises:
            UserError: the index has a column of that name.
        """
        if name in self.index_schema.names:
            raise UserError(f"the index of {self.root} has a column {name} already")
        self.joined[name] = pa.array(values, pa.float64(), from_pandas=True)
        del self.index_schema  # it is made anew

    @cached_property
    def index(self) -> pa.Table:
        """The whole index, with a row for each utterance."""
        return self._read_index(None)

    @cached_property
    def index_schema(self) -> pa.Schema:
        """The names and types of the index's columns; no row is read.

        Raises:
            UserError: the index is missing or damaged.
        """
        with self._reading_index():
            check_table(self.root / INDEX)
            schema = pq.read_schema(self.root / INDEX)
        for name in self.joined:
            schema = schema.append(pa.field(name, pa.float64()))
        return schema

    def fields(self, names: Sequence[str], *, codes: Sequence[str] = ()) -> pa.Table:
        """Chosen columns of the index; nothing else is read or kept.

        Args:
            names: the columns.
            codes: those of them that are read as dictionaries, with one dictionary for all rows.

        Raises:
            UserError: the index is damaged, or has no such column.
        """
        missing = [name for name in names if name not in self.index_schema.names]
        if missing:
            raise UserError(f"the index of {self.root} has no column {', '.join(missing)}")
        if not self.joined.keys() & set(names):
            return self._read_index(list(names), codes).unify_dictionaries()
        # the index gives the number of rows, even where no column of it is asked for
        own = [name for name in names if name not in self.joined]
        table = self._read_index(own or ["shard"], codes).unify_dictionaries()
        for name in self.joined.keys() & set(names):
            table = table.append_column(name, self.joined[name])
        return table.select(list(names))

    def numbers(self, name: str) -> np.ndarray:
        """A column of the index as numbers, (n,); missing values are NaN."""
        return self.fields([name])[name].to_numpy()

    def names(self, name: str) -> tuple[list[str], np.ndarray]:
        """A column of the index that repeats few texts.

        Returns:
            the different texts, and (n,) int32 positions in them.
        """
        return as_codes(self.fields([name], codes=[name])[name])

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all utterances, in order."""
        return self._key_column.to_pylist()

    def key(self, position: int) -> str:
        """The key of an utterance; the list of all keys is not made."""
        return str(self._key_column[position].as_py())

    def keys_at(self, positions: np.ndarray) -> list[str]:
        """The keys of chosen utterances; the list of all keys is not made."""
        return self._key_column.take(pa.array(positions)).to_pylist()

    @cached_property
    def _key_column(self) -> pa.Array:
        column = self.fields(["key"])["key"]
        whole = column.combine_chunks()
        return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) and whole.num_chunks else whole

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: i for i, key in enumerate(self.keys)}

    def _read_index(self, names: list[str] | None, codes: Sequence[str] = ()) -> pa.Table:
        with self._reading_index():
            table = read_table(self.root / INDEX, names, dictionaries=codes)
            if faults := index_faults(table):
                raise ValueError(faults[0])
            return table

    @contextmanager
    def _reading_index(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(
                f"{self.root / INDEX} can't be read: {error}; `ns2 verify` says more"
            ) from error


def as_codes(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """The different texts of a column, and (n,) int32 positions in them."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode().unify_dictionaries()
    if not column.num_chunks:
        return [], np.zeros(0, np.int32)
    parts = [np.asarray(chunk.indices) for chunk in column.chunks]
    return column.chunk(0).dictionary.to_pylist(), np.concatenate(parts).astype(np.int32)
