"""Values that are wrong, under checksums that are right."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.hostile.kinds import Place, kind
from tests.hostile.sealing import change_index
from tests.support.dataset_factories import Recipe, make_dataset

Change = Callable[[Any], Any]


def _value(name: str, column: str, change: Change, *, in_ci: bool = False) -> None:
    @kind(f"{column}: {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        import shutil

        def one(of: str, key: str, value: Any) -> Any:
            return change(value) if (of, key) == (column, "utt0000") else value

        shutil.rmtree(place.dataset)
        make_dataset(place.dataset, Recipe(change=one))


def npy(array: np.ndarray, head: bytes | None = None, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file, perhaps with another header than is right."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    data = buffer.getvalue()
    if head is None:
        return data
    return data[:10] + head.ljust(len(data[:128]) - 11) + b"\n" + data[128:]


def _with(change: Callable[[np.ndarray], None]) -> Change:
    def made(value: np.ndarray) -> np.ndarray:
        copy = value.copy()
        change(copy)
        return copy

    return made


def _set(value: Any) -> Change:
    return _with(lambda array: array.__setitem__(Ellipsis, value))


_value("codes beyond the codebook", "codes", _set(65_535), in_ci=True)
_value("a frame less", "codes", lambda v: v[:, :-1])
_value("a quantiser less", "codes", lambda v: v[:-1])
_value("signed", "codes", lambda v: npy(v.astype(np.int16)))
_value("big-endian", "codes", lambda v: npy(v.astype(">u2")))
_value("of Fortran's order", "codes", lambda v: npy(np.asfortranarray(v)))
_value("infinite", "mel", _set(np.inf))
_value("not a number", "f0", _set(np.nan), in_ci=True)
_value("negative", "f0", _set(-1))
_value("ids beyond the table", "phonemes", _set(60_000))
_value("no frames", "durations", _set(0))
_value("too many frames", "durations", _set(65_535), in_ci=True)
_value("a token less", "durations", lambda v: v[:-1])
_value("three axes", "f0", lambda v: npy(v[None, None]))
_value(
    "objects", "f0", lambda v: npy(v, b"{'descr': '|O', 'fortran_order': False, 'shape': (24,), }")
)
_value(
    "a giant shape", "f0",
    lambda v: npy(v, b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }"),
)  # fmt: skip
_value(
    "a negative shape", "f0",
    lambda v: npy(v, b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
)  # fmt: skip
_value("a head that is no head", "f0", lambda v: npy(v, b"[" * 100))
_value("a head that is a program", "f0", lambda v: npy(v, b"__import__('os').system('touch x')"))
_value("no .npy file", "f0", lambda v: b"nothing of the kind")
_value("version 3", "f0", lambda v: npy(v, version=(3, 0)))
_value("empty", "f0", lambda v: b"")
_value("a list", "meta", lambda v: [1, 2])
_value("samples are a text", "meta", lambda v: {**v, "samples": "many"})
_value("samples are giant", "meta", lambda v: {**v, "samples": 10**18})
_value("samples are negative", "meta", lambda v: {**v, "samples": -5})
_value("words are numbers", "meta", lambda v: {**v, "words": [1, 2]})
_value("words end behind the end", "meta", lambda v: {**v, "words": [["a", 0, 10**9]]})
_value("phonemes are a text", "meta", lambda v: {**v, "phonemes": "abc"})
_value("no fields", "meta", lambda v: {})
_value("nested 100,000 deep", "meta", lambda v: b"[" * 100_000, in_ci=True)
_value("a number of 5,000 digits", "meta", lambda v: b"9" * 5000)
_value("a text is a list", "meta", lambda v: {**v, "text": ["a"]})


def _place(name: str, changes: dict[str, Any]) -> None:
    @kind(f"index: {name}")
    def make(place: Place) -> None:
        change_index(place.dataset, lambda row: {**row, **changes}, only=0)


_place("an offset is null", {"codes_offset": None})
_place("an offset is negative", {"codes_offset": -512})
_place("an offset is behind the end", {"codes_offset": 1 << 40})
_place("a size is negative", {"codes_size": -1})
_place("a size is giant", {"codes_size": 1 << 60})
_place("a CRC is null", {"codes_crc32": None})
_place("a shape is null", {"codes_shape": None})
_place("a shape is giant", {"codes_shape": [2**31 - 1, 2**31 - 1]})
_place("frames are null", {"frames": None})
_place("frames are negative", {"frames": -1})
_place("frames are giant", {"frames": 2**31 - 1})
_place("seconds are 0", {"seconds": 0.0})
_place("seconds are not a number", {"seconds": float("nan")})
_place("a split is a path", {"split": "../../victim/precious"})
_place("a split is null", {"split": None})
_place("a text is null", {"text": None})
_place("a speaker is null", {"speaker": None})
