"""Verification of a shard's values: each column's contract, and columns against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ns2.pipeline.core.schema import ColumnSpec, FrameGrid, check_array, check_durations
from ns2.pipeline.dataset.contract import check_meta
from ns2.pipeline.dataset.index import is_taken
from ns2.pipeline.dataset.shards import MemberRow, decode_value

FIRST = ("meta", "phonemes", "durations")
"""Columns that are read first and kept, since the others are compared with them."""


class Values:
    """The values of one shard, read column after column.

    `add` compares each value with what has been read before it.
    """

    def __init__(
        self,
        grid: FrameGrid,
        rows: Mapping[str, Mapping[str, Any]],
        entries: int | None,
        table: Any,
    ) -> None:
        """Start with what is known before any tar is read.

        Args:
            grid: the frame grid.
            rows: rows of the index that can be trusted, by key.
            entries: the number of entries in a codebook; None if unknown.
            table: a `PhonemeTable`, or None.
        """
        self._grid, self._rows, self._entries, self._table = grid, rows, entries, table
        self._kept: dict[tuple[str, str], Any] = {}
        self._pitch: dict[str, tuple[float, float]] = {}  # voiced share and median
        self._said: defaultdict[str, dict[str, tuple[str, Any]]] = defaultdict(dict)

    def add(self, spec: ColumnSpec, row: MemberRow, data: bytes) -> None:
        """Check a member whose bytes are right.

        Raises:
            ValueError: saying what was expected and what came.
        """
        value, key = decode_value(spec, data), row.key
        if spec.dtype == "json":
            if spec.name == "meta":
                self._kept[spec.name, key] = _meta(key, value)
            elif isinstance(value, dict):
                self._said[key].update((name, (spec.name, value[name])) for name in value)
            return
        if value.shape != tuple(row.shape):
            raise ValueError(f"shape is {value.shape}, recorded is {tuple(row.shape)}")
        frames, tokens = self._frames(key), self._tokens(key)
        if frames is None:  # T is unknown, so only the other axes can be checked
            frames = value.shape[-1] if value.ndim else 0
        check_array(spec, key, value, frames=frames, tokens=tokens)
        if spec.name in FIRST:
            self._kept[spec.name, key] = value
        if spec.name == "phonemes":
            self._check_phonemes(key)
        elif spec.name == "durations":
            self._check_durations(key, value)
        elif spec.name == "codes":
            largest = int(value.max(initial=0))
            if self._entries is not None and largest >= self._entries:
                raise ValueError(
                    f"codes of {key}: expected values below {self._entries}, got {largest}"
                )
        elif spec.name == "f0":
            if value.min(initial=0) < 0:
                raise ValueError(f"f0 of {key}: expected at least 0 Hz, got {value.min()}")
            voiced = value[value > 0]
            self._pitch[key] = (
                len(voiced) / max(len(value), 1),
                float(np.median(voiced)) if len(voiced) else 0.0,
            )

    def _frames(self, key: str) -> int | None:
        """T of an utterance, or None if unknown."""
        if key in self._rows:
            return int(self._rows[key]["frames"])
        meta = self._kept.get(("meta", key))
        return None if meta is None else self._grid.frames(meta["samples"])

    def _tokens(self, key: str) -> int | None:
        """N of an utterance, or None if unknown."""
        if ("phonemes", key) in self._kept:
            return len(self._kept["phonemes", key])
        meta = self._kept.get(("meta", key))
        return None if meta is None else len(meta["phonemes"])

    def _symbols(self, key: str) -> list[str] | None:
        """The token strings of an utterance, or None if unknown."""
        ids, meta = self._kept.get(("phonemes", key)), self._kept.get(("meta", key))
        if ids is not None and self._table is not None:
            return list(self._table.symbols(ids))
        return None if meta is None else list(meta["phonemes"])

    def _check_phonemes(self, key: str) -> None:
        """Ids are in the table, and their symbols are the strings in meta."""
        symbols, meta = self._symbols(key), self._kept.get(("meta", key))
        if symbols is not None and meta is not None and symbols != meta["phonemes"]:
            raise ValueError(
                f"phonemes of {key}: {' '.join(symbols)}; meta says {' '.join(meta['phonemes'])}"
            )

    def _check_durations(self, key: str, durations: np.ndarray) -> None:
        """Durations sum to T, and every phone has a frame if the phoneme table is known."""
        frames, symbols = self._frames(key), self._symbols(key)
        if symbols is None or self._table is None:
            symbols, optional = [""] * len(durations), frozenset({""})
        else:
            optional = self._table.optional
        if frames is not None:
            check_durations(key, durations, symbols, frames=frames, optional=optional)

    def compare(self, key: str) -> None:
        """Compare an utterance's index row with what was read of it.

        Raises:
            ValueError: naming every field that differs.
        """
        row = self._rows[key]
        wrong = [
            f"{name} is {row[name]!r}, {source} {value!r}"
            for name, source, value in self._facts(key, row)
            if row[name] != value
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    def _facts(self, key: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
        """(field of the index, the source that gives its value, the value it must have)."""
        yield "phone_rate", "phones and seconds make", row["phones"] / row["seconds"]
        meta, symbols = self._kept.get(("meta", key)), self._symbols(key)
        if meta is not None:
            for name in ("id", "text", "speaker", "language", "audio_hash"):
                yield name, "meta says", meta[name]
            samples = meta["samples"]
            yield "seconds", "its samples make", samples / self._grid.sample_rate
            yield "frames", "its samples make", self._grid.frames(samples)
        if symbols is not None and self._table is not None:
            phones = sum(symbol not in self._table.optional for symbol in symbols)
            yield "phones", "its phonemes make", phones
        if key in self._pitch:
            share, median = self._pitch[key]
            yield "voiced_share", "its f0 makes", share
            yield "f0_median", "its f0 makes", median
        for name, (column, value) in self._said[key].items():
            if name in row and not is_taken(name, ()):  # a number that came with the column
                yield name, f"{column} says", value


def _meta(key: str, meta: Any) -> Mapping[str, Any]:
    """The meta of an utterance, checked; the message of a ValueError names the key."""
    try:
        return check_meta(meta)
    except ValueError as error:
        raise ValueError(f"meta of {key}: {error}") from None
