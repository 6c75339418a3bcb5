"""Rows of a manifest by columns, as far as they are plain: millions without a Python object each.

Plain rows have the names of the first row in its order, and values that need no thought: strings
without escapes where they are names, finite numbers, a text with something in it. What each value
says is then found by `ManifestRows` as well; all other rows are left to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.schema import KEY_LENGTH, make_key
from ns2.pipeline.corpora.corpus import split_of
from ns2.pipeline.corpora.entries import without_suffix
from ns2.pipeline.corpora.fields import FIELDS, NORMALISED, Fields
from ns2.pipeline.corpora.json_values import (
    ESCAPED,
    NAME,
    NULL,
    NUMBER,
    TEXT,
    WHOLE,
    gather,
    plain_paths,
    read_all,
)
from ns2.pipeline.corpora.lines import look_for_more

_BLOCK = 32 << 20
_LONGEST = np.nextafter(1e7, 0)  # seconds, as `ManifestRows` has it


@dataclass(frozen=True, kw_only=True)
class PlainRows:
    """The plain rows of a part of a manifest, n of them, and where the others are.

    Attributes:
        numbers: (n,) int64, of their lines.
        starts, sizes: (n,) int64, where these lie in the file, in bytes.
        keys, sources: (n,) strings.
        splits: (n,) strings, "" where a row names none.
        speakers: (n,) strings, "" for none.
        confidence: (n,) float64, NaN for none.
        others: (number, start, size) of rows that are not plain.
    """

    numbers: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    keys: pa.Array
    sources: pa.Array
    splits: pa.Array
    speakers: pa.Array
    confidence: np.ndarray
    others: np.ndarray


def plain_rows(table: Path, fields: Fields) -> Iterator[PlainRows] | None:
    """The rows of a manifest of JSON lines, part by part; None where they are not told by columns.

    Args:
        fields: which field holds what.
    """
    with table.open("rb") as file:
        first = file.readline(1 << 20)
    names = _names(first)
    places = None if names is None else _places(names, fields)
    if names is None or places is None:
        return None
    return _parts(table, names, places)


def _names(line: bytes) -> list[str] | None:
    """The names of a row's fields, if they can be those of all rows."""
    try:
        pairs = json.loads(line, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not pairs or not all(isinstance(p, tuple) for p in pairs):
        return None
    names = [name for name, _ in pairs]
    plain = all(n.isascii() and n.isprintable() and '"' not in n and "\\" not in n for n in names)
    return names if plain and len(set(names)) == len(names) else None


def _places(names: list[str], fields: Fields) -> dict[str, int] | None:
    """The place of each field among the names; None where a choice is left."""
    if any(name in NORMALISED for name in names) or fields.numbers:
        return None
    places: dict[str, int] = {}
    for one in FIELDS:
        there = [name for name in dict.fromkeys(fields.names(one, tuple(names))) if name in names]
        if len(there) > 1:
            return None
        if there:
            places[one] = names.index(there[0])
    if fields.missing(tuple(names)) or not {"audio", "text"} <= places.keys():
        return None
    return places if "phonemes" not in places else None


def _parts(table: Path, names: list[str], places: dict[str, int]) -> Iterator[PlainRows]:
    """Plain rows of the blocks of a manifest."""
    heads = "".join(f'"{name}"' for name in names).encode()
    ends = np.cumsum([len(name) + 2 for name in names])
    template = np.frombuffer(heads, np.uint8), np.concatenate([[0], ends])
    offset, number, left = 0, 0, b""
    with table.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            data = left + block
            end = len(data) if not block else data.rfind(b"\n") + 1
            left = data[end:]
            if end:
                whole = data[:end] if data[end - 1 : end] == b"\n" else data[:end] + b"\n"
                yield _part(whole, offset, number, template, places)
                number += whole.count(b"\n")
                offset += end
            if not block:
                return


def _part(
    data: bytes, offset: int, number: int, template: tuple[np.ndarray, np.ndarray],
    places: dict[str, int],
) -> PlainRows:  # fmt: skip
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(bytes_ == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    n, fields = len(ends), len(template[1]) - 1
    begins, finals = (np.zeros((fields, n), np.int32) for _ in range(2))
    kinds, plain = np.zeros((fields, n), np.int8), np.zeros(n, np.bool_)
    text = np.zeros(n, np.bool_)
    read_all(bytes_, starts, ends, *template, places["text"], begins, finals, kinds, plain, text)
    if not data.isascii() and not _is_utf8(data):
        plain &= ~(kinds == TEXT).any(0)
    _check(kinds, plain, places)
    plain &= text
    found = _Columns(data, begins, finals, kinds, places)
    paths = np.zeros(n, np.bool_)
    plain_paths(bytes_, begins[places["audio"]], finals[places["audio"]], paths)
    plain &= paths
    for name, most in (("offset", _LONGEST), ("duration", _LONGEST), ("confidence", 1.0)):
        if name in places:
            values = found.numbers(name)
            plain &= np.isnan(values) | (values <= most)
    if {"offset", "duration"} <= places.keys():
        plain &= ~((found.numbers("offset") > 0) & (found.numbers("duration") == 0))
    splits = found.texts("split").dictionary_encode()
    known = [split_of(name) if name else "" for name in splits.dictionary.to_pylist()]
    plain &= np.array([one is not None for one in known] or [True])[np.asarray(splits.indices)]
    lines = ends - starts
    others = np.flatnonzero(~plain & _is_full(bytes_, starts, ends))
    chosen = np.flatnonzero(plain)
    take = pa.array(chosen)
    named = pa.array([one or "" for one in known] or [""]).take(splits.indices)
    return PlainRows(
        numbers=chosen + (number + 1),
        starts=starts[chosen] + offset,
        sizes=lines[chosen],
        keys=found.keys(chosen),
        sources=found.texts("audio").take(take),
        splits=named.take(take),
        speakers=found.texts("speaker").take(take),
        confidence=found.numbers("confidence")[chosen],
        others=np.stack([others + (number + 1), starts[others] + offset, lines[others]], 1),
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check(kinds: np.ndarray, plain: np.ndarray, places: dict[str, int]) -> None:
    """Leave out rows whose values are of a kind that needs a closer look."""
    allowed = {
        "audio": (NAME,),
        "text": (NAME, TEXT, ESCAPED),
        "id": (NULL, NAME, WHOLE),
        "speaker": (NULL, NAME),
        "language": (NULL, NAME, TEXT),
        "split": (NULL, NAME),
        "offset": (NULL, NUMBER, WHOLE),
        "duration": (NULL, NUMBER, WHOLE),
        "confidence": (NULL, NUMBER, WHOLE),
    }
    for name, place in places.items():
        plain &= np.isin(kinds[place], allowed[name])


class _Columns:
    """Values of the fields of some rows, as far as they are strings without escapes or numbers."""

    def __init__(
        self, data: bytes, begins: np.ndarray, finals: np.ndarray, kinds: np.ndarray,
        places: dict[str, int],
    ) -> None:  # fmt: skip
        self._data, self._begins, self._finals = np.frombuffer(data, np.uint8), begins, finals
        self._kinds, self._places = kinds, places

    def texts(self, name: str) -> pa.Array:
        """The values of a field; "" where there is none, or another kind."""
        n = self._begins.shape[1]
        if name not in self._places:
            return pa.array([""]).take(pa.array(np.zeros(n, np.int8)))
        place = self._places[name]
        there = np.isin(self._kinds[place], (NAME, NUMBER, WHOLE))
        begins = self._begins[place]
        sizes = np.where(there, self._finals[place] - begins, 0)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        out = np.zeros(offsets[-1], np.uint8)
        gather(self._data, begins, offsets, out)
        return pa.Array.from_buffers(
            pa.string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(out)]
        )

    def numbers(self, name: str) -> np.ndarray:
        """The values of a field, NaN where there is none, or no number."""
        texts = self.texts(name)
        if name not in self._places:
            return np.full(len(texts), np.nan)
        number = np.isin(self._kinds[self._places[name]], (NUMBER, WHOLE))
        values = pc.if_else(pa.array(number), texts, pa.scalar(None, pa.string()))
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)

    def keys(self, chosen: np.ndarray) -> pa.Array:
        """The keys of chosen rows: ids, or what is made of them and of paths."""
        take = pa.array(chosen)
        ids = self.texts("id").take(take)
        right = pc.match_substring_regex(ids, rf"\A[A-Za-z0-9_-]{{1,{KEY_LENGTH}}}\z")
        odd = np.flatnonzero(~np.asarray(right.to_numpy(zero_copy_only=False), bool))
        if not len(odd):
            return ids
        offsets = self.numbers("offset")[chosen[odd]].tolist()
        sources = self.texts("audio").take(pa.array(chosen[odd])).to_pylist()
        made = []
        for own, source, offset in zip(
            ids.take(pa.array(odd)).to_pylist(), sources, offsets, strict=True
        ):
            name = own or without_suffix(source)
            later = offset > 0 and not own
            made.append(make_key(f"{name}@{offset:g}" if later else name))
        if len(odd) == len(chosen):
            return pa.array(made, pa.string())
        return pc.replace_with_mask(ids, pc.invert(right), pa.array(made, pa.string()))


def _is_full(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which lines are more than blanks and byte order marks, (n,) bool."""
    full = np.zeros(len(starts), np.bool_)
    look_for_more(data, starts, ends, full)
    return full
