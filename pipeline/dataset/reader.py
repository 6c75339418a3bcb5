"""Open a dataset: its card, its index, and any array with one mapped slice.

    dataset = Dataset("shards")
    utterance = dataset[0]
    utterance["mel"].shape  # (80, T)

Where arrays lie is held as plain numpy columns, loaded for a column when it is first read: ten
million utterances take 200 MB a column, and a read touches no other. The head of a .npy is parsed
once for every shape that there is.

Needs numpy and pyarrow only; no stage is imported.
"""

from __future__ import annotations

import json
import math
import mmap
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from isal.isal_zlib import crc32  # zlib's numbers, sooner

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid
from ns2.pipeline.dataset.layout import ASSETS, INDEX
from ns2.pipeline.dataset.shards import decode_value

if TYPE_CHECKING:
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.card import open_card

_OPEN_TARS = 256
_HEAD = 128
"""Bytes of a .npy before its data, for every array of few dimensions that numpy writes."""
_HEADS = 65_536
"""Heads of so many shapes are remembered."""

_WRITTEN = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][bfiu]\d+)', 'fortran_order': False, "
    rb"'shape': \(((?:\d+, ?)*\d*)\), \} *\n",
    re.DOTALL,
)
"""A head as numpy writes it. numpy's own reader parses Python, which is slow, and which threads of
Python 3.11 can't do at the same time: it takes over only where a head is unusual."""

Head = tuple[np.dtype[Any], tuple[int, ...], int]
"""Type and shape of an array, and the bytes of the whole .npy."""
Tar = tuple[mmap.mmap, memoryview]
"""A mapped tar, and a view of it to cut slices from without copies."""

_heads: dict[bytes, Head] = {}
"""All that were parsed so far; they mean the same in every dataset."""


@dataclass(frozen=True)
class _Places:
    """Where a column's arrays lie: (n,) each.

    Attributes:
        names: the tars.
        tar: which of `names`.
    """

    names: list[str]
    tar: np.ndarray
    offset: np.ndarray
    size: np.ndarray


class Dataset:
    """A dataset's utterances, in the order of its index.

    Attributes:
        root: its folder.
        card: what `dataset.json` says.
        columns: names of the columns that are read.
    """

    def __init__(self, root: str | Path, columns: Sequence[str] | None = None) -> None:
        """Open a dataset.

        Args:
            columns: to read; all where None.

        Raises:
            UserError: it is no dataset, or not complete, or has no such column.
        """
        self.root = Path(root)
        self.card = open_card(self.root)
        there = tuple(self.card.columns)
        unknown = [name for name in columns or () if name not in there]
        if unknown:
            raise UserError(
                f"{self.root} has no column {', '.join(unknown)}; it has {', '.join(there)}"
            )
        self.columns = there if columns is None else tuple(columns)
        self._count = self.card.counts.written
        self._tars: dict[str, Tar] = {}
        self._places: dict[str, _Places] = {}
        self._crcs: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()

    @cached_property
    def index(self) -> pa.Table:
        """The whole index, a row an utterance."""
        return self._read_index(None)

    @cached_property
    def index_schema(self) -> pa.Schema:
        """The names and types of the index's columns; no row is read.

        Raises:
            UserError: the index is missing or damaged.
        """
        with self._reading_index():
            return pq.read_schema(self.root / INDEX)

    def fields(self, names: Sequence[str], *, codes: Sequence[str] = ()) -> pa.Table:
        """Some columns of the index; nothing else is read or kept.

        Args:
            codes: those of them that come as dictionaries, with one dictionary for all rows.

        Raises:
            UserError: the index is damaged, or has no such column.
        """
        missing = [name for name in names if name not in self.index_schema.names]
        if missing:
            raise UserError(f"the index of {self.root} has no column {', '.join(missing)}")
        return self._read_index(list(names), codes).unify_dictionaries()

    def numbers(self, name: str) -> np.ndarray:
        """A column of the index as numbers, (n,); missing ones are NaN."""
        return self.fields([name])[name].to_numpy()

    def names(self, name: str) -> tuple[list[str], np.ndarray]:
        """A column of the index that repeats few texts: those, and (n,) int32 into them."""
        return _codes(self.fields([name], codes=[name])[name])

    @cached_property
    def keys(self) -> list[str]:
        """Keys of all utterances, in order."""
        return self._key_column.to_pylist()

    def key(self, position: int) -> str:
        """The key of an utterance; does not make the list of all."""
        return str(self._key_column[position].as_py())

    def keys_at(self, positions: np.ndarray) -> list[str]:
        """The keys of some utterances; does not make the list of all."""
        return self._key_column.take(pa.array(positions)).to_pylist()

    @cached_property
    def _key_column(self) -> pa.Array:
        column = self.fields(["key"])["key"]
        whole = column.combine_chunks()
        return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) and whole.num_chunks else whole

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: i for i, key in enumerate(self.keys)}

    @property
    def grid(self) -> FrameGrid:
        """The frame grid of all framewise columns."""
        return self.card.grid

    def spec(self, column: str) -> ColumnSpec:
        """What a column's arrays look like."""
        return self.card.columns[column].spec(column)

    def row(self, which: int | str) -> dict[str, Any]:
        """The index row of an utterance, by position or key."""
        return self.index.slice(self._position(which), 1).to_pylist()[0]

    def read(self, column: str, which: int | str, *, check: bool = False, copy: bool = True) -> Any:
        """One array (or `meta`'s object) of an utterance.

        Args:
            check: compare its CRC-32 with the index.
            copy: False gives the mapped bytes themselves, read-only.

        Raises:
            ValueError: the tar is missing, or its bytes are not those that were committed.
        """
        at = self._position(which)
        places = self._places.get(column) or self._load(column)
        crc = self._crc(column).item(at) if check else None
        file, offset = places.names[places.tar.item(at)], places.offset.item(at)
        value = self._values(column, ((at, file, offset, places.size.item(at), crc),))[0]
        return value.copy() if copy and isinstance(value, np.ndarray) else value

    def read_many(
        self, column: str, positions: Sequence[int] | np.ndarray, *, check: bool = False
    ) -> list[Any]:
        """One array of each of some utterances: the mapped bytes themselves, read-only.

        Args:
            positions: from 0 on.
            check: compare CRC-32s with the index.

        Raises:
            ValueError: a tar is missing, or its bytes are not those that were committed.
        """
        places = self._places.get(column) or self._load(column)
        at, names = np.asarray(positions, np.int64), places.names
        crcs = self._crc(column)[at].tolist() if check else [None] * len(at)
        tar, offset, size = (a[at].tolist() for a in (places.tar, places.offset, places.size))
        files = [names[one] for one in tar]
        return self._values(column, zip(at.tolist(), files, offset, size, crcs, strict=True))

    def _values(
        self, column: str, places: Iterable[tuple[int, str, int, int, int | None]]
    ) -> list[Any]:
        """The arrays at positions in tars: position, file, offset, size, and CRC to check."""
        tars, heads, values = self._tars, _heads, list[Any]()
        for position, file, offset, size, crc in places:
            mapped, view = tars.get(file) or self._map(file, column, position)
            end, data = offset + size, offset + _HEAD
            if end > len(view):
                raise ValueError(f"{file}: ends before {column} of {self.key(position)}")
            if crc is not None and crc32(view[offset:end]) != crc:
                raise ValueError(f"{file}: {column} of {self.key(position)} is damaged")
            first = mapped[offset:data]
            head = heads.get(first) or self._head(column, first)
            if head is None:
                with self._lock:
                    values.append(decode_value(self.spec(column), mapped[offset:end]))
                continue
            dtype, shape, length = head
            if length != size:
                raise ValueError(f"{file}: {column} of {self.key(position)} is damaged")
            values.append(np.ndarray(shape, dtype, mapped, data))
        return values

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, which: int | str) -> dict[str, Any]:
        """An utterance's arrays by column, and its `key`.

        Args:
            which: position (negative counts from the end) or key.

        Raises:
            IndexError, KeyError: there is no such utterance.
        """
        position = self._position(which)
        arrays = {column: self.read(column, position) for column in self.columns}
        return {"key": self.key(position), **arrays}

    def __contains__(self, key: object) -> bool:
        return key in self._positions

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def tars(self, column: str) -> list[Path]:
        """The current tars of a column, in the order of shards."""
        if column not in self.card.columns:
            raise UserError(f"{self.root} has no column {column}")
        files = self.fields([f"{column}_file"])[f"{column}_file"].unique().to_pylist()
        return [self.root / file for file in files]

    def asset(self, prefix: str) -> Path:
        """The current file of an asset: "phonemes", "codebooks" or "aligner" (its weights)."""
        for name in self.card.assets:
            stem = name.removeprefix(f"{ASSETS}/")
            if stem.startswith(f"{prefix}-") and not (prefix == "aligner" and ".json" in stem):
                return self.root / name
        raise UserError(f"{self.root} has no asset {prefix}")

    @cached_property
    def phoneme_table(self) -> PhonemeTable:
        """The table that its phoneme ids are of.

        Raises:
            UserError: it is missing or damaged.
        """
        from ns2.pipeline.dataset.phoneme_table import PhonemeTable

        path = self.asset("phonemes")
        try:
            return PhonemeTable.from_json(json.loads(path.read_text("utf-8")))
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}; `ns2 verify` tells more") from error

    def _position(self, which: int | str) -> int:
        if isinstance(which, str):
            try:
                return self._positions[which]
            except KeyError:
                raise KeyError(f"{self.root} has no utterance {which!r}") from None
        position = which + self._count if which < 0 else which
        if not 0 <= position < self._count:
            raise IndexError(f"utterance {which} of {self._count}")
        return position

    def _load(self, column: str) -> _Places:
        """Where a column's arrays lie, from the index."""
        if column not in self.card.columns:
            raise UserError(f"{self.root} has no column {column}")
        file, offset, size = (f"{column}_{name}" for name in ("file", "offset", "size"))
        table = self.fields([file, offset, size], codes=[file])
        places = _Places(*_codes(table[file]), table[offset].to_numpy(), table[size].to_numpy())
        self._places[column] = places
        return places

    def _crc(self, column: str) -> np.ndarray:
        if column not in self._crcs:
            self._crcs[column] = self.numbers(f"{column}_crc32")
        return self._crcs[column]

    def prepare(self, columns: Sequence[str], *, check: bool = False) -> None:
        """Load now what reads of these columns need; otherwise the first read does."""
        for column in columns:
            if column not in self._places:
                self._load(column)
            if check:
                self._crc(column)

    def _head(self, column: str, data: bytes) -> Head | None:
        """What the head of a .npy says; None if unusual."""
        if self.card.columns[column].dtype == "json":
            return None
        found = _WRITTEN.match(data)
        if found is None or int.from_bytes(data[8:10], "little") != _HEAD - 10:
            return None
        dtype = np.dtype(found[1].decode())
        shape = tuple(int(n) for n in found[2].replace(b",", b" ").split())
        if len(_heads) >= _HEADS:
            _heads.clear()
        length = _HEAD + dtype.itemsize * math.prod(shape)
        _heads[data] = head = (dtype, shape, length)
        return head

    def _map(self, file: str, column: str, position: int) -> Tar:
        """Map the tar of an array; of many the ones that were mapped first are given up."""
        with self._lock:
            if file in self._tars:
                return self._tars[file]
            try:
                with (self.root / file).open("rb") as tar:
                    mapped = mmap.mmap(tar.fileno(), 0, access=mmap.ACCESS_READ)
            except FileNotFoundError:
                wanted = f"{column} of {self.key(position)}"
                raise ValueError(f"{file} with {wanted} is missing") from None
            except ValueError as error:  # an empty file
                raise ValueError(f"{file} with {column} of {self.key(position)}: {error}") from None
            while len(self._tars) >= _OPEN_TARS:
                del self._tars[next(iter(self._tars))]
            self._tars[file] = made = (mapped, memoryview(mapped))
            return made

    def _read_index(self, names: list[str] | None, codes: Sequence[str] = ()) -> pa.Table:
        with self._reading_index():
            return pq.read_table(
                self.root / INDEX,
                columns=names,
                read_dictionary=list(codes),
                page_checksum_verification=True,
            )

    @contextmanager
    def _reading_index(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{self.root / INDEX} can't be read: {error}; `ns2 verify` tells more"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        # neither maps nor locks travel to other processes
        state = {name: value for name, value in self.__dict__.items() if name != "_lock"}
        return {**state, "_tars": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _codes(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """The texts that a column repeats, and (n,) int32 into them."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode().unify_dictionaries()
    if not column.num_chunks:
        return [], np.zeros(0, np.int32)
    parts = [np.asarray(chunk.indices) for chunk in column.chunks]
    return column.chunk(0).dictionary.to_pylist(), np.concatenate(parts).astype(np.int32)
