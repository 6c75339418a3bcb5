"""Open a dataset: its card, its index, and any array with one mapped slice.

    dataset = Dataset("shards")
    utterance = dataset[0]
    utterance["mel"].shape  # (80, T)

The places of arrays are kept as plain numpy columns, which are loaded when a column is first read:
ten million utterances take 200 MB a column, and a read touches no other column. `IndexReader`
reads the index and `MappedTars` the arrays.

Only numpy and pyarrow are needed; no stage is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid
from ns2.pipeline.dataset.bucket.following import Following
from ns2.pipeline.dataset.bucket.mirror import place_of
from ns2.pipeline.dataset.bucket.tars import BucketTars
from ns2.pipeline.dataset.card import open_card
from ns2.pipeline.dataset.contract import Contract
from ns2.pipeline.dataset.index_reader import IndexReader, as_codes
from ns2.pipeline.dataset.layout import ASSETS, CARD
from ns2.pipeline.dataset.mapped_tars import MappedTars
from ns2.pipeline.dataset.packed import belongs

if TYPE_CHECKING:
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable


@dataclass(frozen=True)
class _Places:
    """Where the arrays of a column lie.

    Attributes:
        names: paths of the tars, relative to the dataset.
        tar: (n,) the position of each array's tar in `names`.
        offset, size: (n,) where each array begins in its tar, and its bytes.
    """

    names: list[str]
    tar: np.ndarray
    offset: np.ndarray
    size: np.ndarray


class Dataset(IndexReader):
    """A dataset's utterances, in the order of its index.

    Attributes:
        root: its folder; of a dataset in a bucket that of the copies of its small files.
        place: its folder or URL, as it was given.
        mirror: where it lies in a bucket; None for a folder.
        card: the content of `dataset.json`.
        columns: the names of the columns that are read.
    """

    def __init__(self, root: str | Path, columns: Sequence[str] | None = None) -> None:
        """Open a dataset.

        Args:
            root: its folder, or a URL such as s3://bucket/shards.
            columns: the columns to read; all where None.

        Raises:
            UserError: it is not a dataset, is not complete, or has no such column.
        """
        folder, self.mirror = place_of(root)
        super().__init__(folder)
        self.place = self.mirror.url if self.mirror else str(self.root)
        self.card = open_card(self.root)
        self._specs = {name: entry.spec(name) for name, entry in self.card.columns.items()}
        unknown = [name for name in columns or () if name not in self._specs]
        if unknown:
            raise UserError(
                f"{self.root} has no column {', '.join(unknown)}; it has {', '.join(self._specs)}"
            )
        self.columns = tuple(self._specs if columns is None else columns)
        self._count = self.card.counts.written
        self._tars = BucketTars(self.mirror) if self.mirror else MappedTars(self.root)
        self._contract = Contract(
            frames=self._all_frames, codebooks=self._codebooks, ids=self._count_ids
        )
        self._following = Following(self._order)
        self._places: dict[str, _Places] = {}
        self._crcs: dict[str, np.ndarray] = {}

    @property
    def grid(self) -> FrameGrid:
        """The frame grid of all framewise columns."""
        return self.card.grid

    def spec(self, column: str) -> ColumnSpec:
        """What a column's arrays look like."""
        return self._specs[column]

    def row(self, which: int | str) -> dict[str, Any]:
        """The index row of an utterance, by position or key."""
        return self.index.slice(self._position(which), 1).to_pylist()[0]

    def read(self, column: str, which: int | str, *, check: bool = False, copy: bool = True) -> Any:
        """One array (or the object of `meta`) of an utterance.

        Args:
            column: the column.
            which: the utterance's position or key.
            check: compare the array's CRC-32 with the index.
            copy: False gives the mapped bytes themselves, read-only.

        Raises:
            DamageError: the tar is missing, or its bytes are not what was committed, or not what
                the format says.
        """
        at = self._position(which)
        places = self._places.get(column) or self._load(column)
        if self.mirror is not None:
            self._following.read(column, at, self._count)
        crc = self._crc(column).item(at) if check or self.mirror else None
        file, offset = places.names[places.tar.item(at)], places.offset.item(at)
        place = (at, file, offset, places.size.item(at), crc)
        value = self._tars.read(self._specs[column], (place,), self.key)[0]
        self._keep(column, (at,), (file,), (value,))
        return value.copy() if copy and isinstance(value, np.ndarray) else value

    def read_many(
        self, column: str, positions: Sequence[int] | np.ndarray, *, check: bool = False
    ) -> list[Any]:
        """The arrays of a column of several utterances: the mapped bytes themselves, read-only.

        Args:
            column: the column.
            positions: the utterances' positions, from 0 on.
            check: compare the arrays' CRC-32s with the index.

        Raises:
            DamageError: a tar is missing, or its bytes are not those that were committed.
        """
        places = self._places.get(column) or self._load(column)
        at, names = np.asarray(positions, np.int64), places.names
        checked = check or self.mirror is not None
        crcs = self._crc(column)[at].tolist() if checked else [None] * len(at)
        tar, offset, size = (a[at].tolist() for a in (places.tar, places.offset, places.size))
        files = [names[i] for i in tar]
        arrays = zip(at.tolist(), files, offset, size, crcs, strict=True)
        values = self._tars.read(self._specs[column], arrays, self.key)
        self._keep(column, at.tolist(), files, values)
        return values

    def _keep(
        self, column: str, at: Sequence[int], files: Sequence[str], values: Sequence[Any]
    ) -> None:
        """See that values keep the contract, whatever their checksums say.

        Raises:
            DamageError: one does not, naming its key and file.
        """
        spec, check = self._specs[column], self._contract.check
        for position, file, value in zip(at, files, values, strict=True):
            try:
                check(spec, position, value)
            except ValueError as error:
                raise DamageError(f"{file}: {column} of {self.key(position)}: {error}") from None

    def prepare(self, columns: Sequence[str], *, check: bool = False) -> None:
        """Load what reading these columns needs now, instead of at the first read.

        Args:
            columns: the columns.
            check: load the CRC-32s of their arrays, too.
        """
        for column in columns:
            if column not in self._places:
                self._load(column)
            if check or self.mirror:
                self._crc(column)

    def ahead(self, column_positions: Mapping[str, np.ndarray], turn: float = 0.0) -> None:
        """Fetch arrays of a dataset in a bucket in the background; a folder needs nothing.

        Args:
            column_positions: the positions of the utterances, by column.
            turn: see `BucketTars.ahead`.
        """
        if isinstance(self._tars, BucketTars):
            wanted: dict[str, tuple[np.ndarray, np.ndarray]] = {}
            for column, at in column_positions.items():
                places = self._places.get(column) or self._load(column)
                tars, begins = places.tar[at], places.offset[at]
                for tar in np.unique(tars).tolist():
                    if self._tars.is_whole(places.names[tar]):
                        continue
                    own = tars == tar
                    ends = begins[own] + places.size[at][own]
                    wanted[places.names[tar]] = begins[own], ends
            self._tars.ahead(wanted, turn)

    def _order(self, column: str, at: range) -> None:
        self.ahead({column: np.array(at)})

    def stop_ahead(self) -> None:
        """Drop what `ahead` has not fetched yet."""
        if isinstance(self._tars, BucketTars):
            self._tars.stop_ahead()

    @property
    def room(self) -> int:
        """The most bytes of the cache that it is read through; 0 for a folder."""
        return self._tars.room if isinstance(self._tars, BucketTars) else 0

    def bytes_of(self, columns: Sequence[str], positions: np.ndarray) -> np.ndarray:
        """The bytes of arrays of utterances, (n,), those of the columns together."""
        places = [self._places.get(column) or self._load(column) for column in columns]
        return np.sum([one.size[positions] for one in places], axis=0)

    def stamp(self) -> tuple[int, int]:
        """What changes when the card does; that of a dataset in a bucket is looked at anew."""
        if self.mirror is not None:
            self.mirror.look_again()
        return stamp(self.root / CARD)

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
        """The current tars of a column, in the order of shards.

        Raises:
            UserError: there is no such column, or the index names what lies elsewhere.
        """
        self._check_column(column)
        files = self.fields([f"{column}_file"])[f"{column}_file"].unique().to_pylist()
        try:
            return [path_in(self.root, file) for file in files]
        except ValueError as error:
            raise UserError(f"{error}; `ns2 verify` says more") from error

    def shown(self, path: Path) -> str:
        """The path or URL of a file of the dataset, as it is shown."""
        if self.mirror is None:
            return str(path)
        return f"{self.mirror.url}/{path.relative_to(self.root).as_posix()}"

    def asset(self, prefix: str) -> Path:
        """The current file of an asset.

        Args:
            prefix: "phonemes", "codebooks" or "aligner" (its weights).

        Raises:
            UserError: the dataset does not have it.
        """
        for name in self.card.assets:
            stem = name.removeprefix(f"{ASSETS}/")
            if stem.startswith(f"{prefix}-") and not (prefix == "aligner" and ".json" in stem):
                return path_in(self.root, name)
        raise UserError(f"{self.root} has no asset {prefix}")

    def _all_frames(self) -> np.ndarray:
        return self.numbers("frames")

    def _count_ids(self) -> int:
        return len(self.phoneme_table)

    def _codebooks(self) -> Path | None:
        named = any(name.startswith(f"{ASSETS}/codebooks-") for name in self.card.assets)
        return self.asset("codebooks") if named else None

    @cached_property
    def phoneme_table(self) -> PhonemeTable:
        """The phoneme table that its phoneme ids refer to.

        Raises:
            UserError: it is missing or damaged.
        """
        from ns2.pipeline.dataset.phoneme_table import PhonemeTable

        path = self.asset("phonemes")
        try:
            return PhonemeTable.from_json(read_json(path))
        except (ValueError, OSError) as error:
            raise UserError(f"{path} is damaged: {error}; `ns2 verify` says more") from error

    def _read_index(self, names: list[str] | None, codes: Sequence[str] = ()) -> pa.Table:
        """See `IndexReader`; the card must count as many rows."""
        table = super()._read_index(names, codes)
        if table.num_rows != self._count:
            raise UserError(
                f"{self.root}: the card counts {self._count} utterances, the index has "
                f"{table.num_rows} rows; `ns2 verify` says more"
            )
        return table

    def _position(self, which: int | str) -> int:
        """The position of an utterance, from 0 on."""
        if isinstance(which, str):
            try:
                return self._positions[which]
            except KeyError:
                raise KeyError(f"{self.root} has no utterance {which!r}") from None
        position = which + self._count if which < 0 else which
        if not 0 <= position < self._count:
            raise IndexError(f"utterance {which} of {self._count}")
        return position

    def _check_column(self, column: str) -> None:
        if column not in self._specs:
            raise UserError(f"{self.root} has no column {column}")

    def _load(self, column: str) -> _Places:
        """Where the arrays of a column lie, from the index."""
        self._check_column(column)
        file, offset, size = (f"{column}_{name}" for name in ("file", "offset", "size"))
        table = self.fields([file, offset, size], codes=[file])
        named = table[file]
        if named.null_count:  # a null is no name, and reading such an array says so
            named = named.cast(pa.string()).fill_null("")
        begins, sizes = (table[name].fill_null(-1).to_numpy() for name in (offset, size))
        places = _Places(*as_codes(named), begins, sizes)
        if isinstance(self._tars, BucketTars):
            lengths = np.zeros(len(places.names), np.int64)
            np.maximum.at(lengths, places.tar, begins + sizes)
            members = np.bincount(places.tar, sizes, len(places.names))
            packed = belongs(members, lengths).tolist()
            self._tars.note(
                dict(zip(places.names, lengths.tolist(), strict=True)),
                [name for name, one in zip(places.names, packed, strict=True) if one],
            )
        self._places[column] = places
        return places

    def _crc(self, column: str) -> np.ndarray:
        if column not in self._crcs:
            self._crcs[column] = self.numbers(f"{column}_crc32")
        return self._crcs[column]
