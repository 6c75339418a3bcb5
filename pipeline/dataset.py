"""Open a dataset: its card, its index, and any array with one mapped slice.

    dataset = Dataset("shards")
    utterance = dataset[0]
    utterance["mel"].shape  # (80, T)

Needs numpy and pyarrow only; no stage is imported.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.index import ASSETS, CARD, INDEX, read_card
from ns2.pipeline.schema import FORMAT, FORMAT_VERSION, ColumnSpec, FrameGrid, UserError
from ns2.pipeline.shards import decode_value

if TYPE_CHECKING:
    from ns2.pipeline.phoneme_table import PhonemeTable

_OPEN_TARS = 256


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
        there = tuple(self.card["columns"])
        unknown = [name for name in columns or () if name not in there]
        if unknown:
            raise UserError(
                f"{self.root} has no column {', '.join(unknown)}; it has {', '.join(there)}"
            )
        self.columns = there if columns is None else tuple(columns)
        self._tars: dict[str, mmap.mmap] = {}

    @cached_property
    def index(self) -> pa.Table:
        """The whole index, a row an utterance."""
        try:
            return pq.read_table(self.root / INDEX, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{self.root / INDEX} can't be read: {error}; `ns2 verify` tells more"
            ) from error

    @cached_property
    def keys(self) -> list[str]:
        """Keys of all utterances, in order."""
        return self.index["key"].to_pylist()

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: i for i, key in enumerate(self.keys)}

    @property
    def grid(self) -> FrameGrid:
        """The frame grid of all framewise columns."""
        grid = self.card["grid"]
        return FrameGrid(sample_rate=grid["sample_rate"], hop_length=grid["hop_length"])

    def spec(self, column: str) -> ColumnSpec:
        """What a column's arrays look like."""
        described = self.card["columns"][column]
        return ColumnSpec(name=column, dtype=described["dtype"], dims=tuple(described["dims"]))

    def row(self, which: int | str) -> dict[str, Any]:
        """The index row of an utterance, by position or key."""
        return self.index.slice(self._position(which), 1).to_pylist()[0]

    def read(self, column: str, which: int | str, *, check: bool = False) -> Any:
        """One array (or `meta`'s object) of an utterance.

        Args:
            check: compare its CRC-32 with the index.

        Raises:
            ValueError: the bytes are not those that were committed.
        """
        position = self._position(which)
        file = self.index[f"{column}_file"][position].as_py()
        offset = self.index[f"{column}_offset"][position].as_py()
        size = self.index[f"{column}_size"][position].as_py()
        data = memoryview(self._map(file))[offset : offset + size]
        if len(data) != size:
            raise ValueError(f"{file}: ends before {column} of {self.keys[position]}")
        if check and zlib.crc32(data) != self.index[f"{column}_crc32"][position].as_py():
            raise ValueError(f"{file}: {column} of {self.keys[position]} is damaged")
        return decode_value(self.spec(column), data)

    def __len__(self) -> int:
        return int(self.card["counts"]["written"])

    def __getitem__(self, which: int | str) -> dict[str, Any]:
        """An utterance's arrays by column, and its `key`.

        Args:
            which: position (negative counts from the end) or key.

        Raises:
            IndexError, KeyError: there is no such utterance.
        """
        position = self._position(which)
        arrays = {column: self.read(column, position) for column in self.columns}
        return {"key": self.keys[position], **arrays}

    def __contains__(self, key: object) -> bool:
        return key in self._positions

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def tars(self, column: str) -> list[Path]:
        """The current tars of a column, in the order of shards."""
        if column not in self.card["columns"]:
            raise UserError(f"{self.root} has no column {column}")
        files = self.index[f"{column}_file"].unique().to_pylist()
        return [self.root / file for file in files]

    def asset(self, prefix: str) -> Path:
        """The current file of an asset: "phonemes", "codebooks" or "aligner" (its weights)."""
        for name in self.card["assets"]:
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
        from ns2.pipeline.phoneme_table import PhonemeTable

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
        position = which + len(self) if which < 0 else which
        if not 0 <= position < len(self):
            raise IndexError(f"utterance {which} of {len(self)}")
        return position

    def _map(self, file: str) -> mmap.mmap:
        """A tar's bytes; the most recently used ones stay mapped."""
        mapped = self._tars.pop(file, None)
        if mapped is None:
            with (self.root / file).open("rb") as tar:
                mapped = mmap.mmap(tar.fileno(), 0, access=mmap.ACCESS_READ)
            while len(self._tars) >= _OPEN_TARS:
                del self._tars[next(iter(self._tars))]
        self._tars[file] = mapped
        return mapped

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tars": {}}  # maps do not travel to other processes


def open_card(root: Path) -> dict[str, Any]:
    """A dataset's card.

    Raises:
        UserError: there is none, or it is of another kind or a newer version.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    if not (root / CARD).is_file():
        raise UserError(
            f"{root} has no {CARD}: it is no dataset, or `ns2 preprocess` has not finished it. "
            "Run `ns2 preprocess` with this output folder again: it goes on where it stopped."
        )
    card = read_card(root)
    if card is None or card.get("format") != FORMAT:
        raise UserError(f"{root / CARD} is damaged, or not the card of an ns2 dataset")
    if card.get("format_version", 0) > FORMAT_VERSION:
        raise UserError(
            f"{root} was written by a newer ns2 (format {card['format_version']}); update ns2"
        )
    return card
