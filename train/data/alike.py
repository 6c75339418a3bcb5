"""What datasets, and a run and a dataset, have in common where one model serves them all.

The question is asked of datasets that are learned from together, of a run and the dataset that it
is evaluated on, and of a run and the dataset whose durations and pitch it speaks with.

Letters for shapes: Q quantizers, E entries, D latent width, T frames, N phonemes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import check_regular
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable

if TYPE_CHECKING:
    from ns2.pipeline.dataset.reader import Dataset


class Aspect(StrEnum):
    """A property that has to be the same; the value names it in messages."""

    GRID = "frame grids"
    ARRAYS = "arrays"
    CODEBOOKS = "codebooks"
    PHONEMES = "phoneme tables"


@dataclass(frozen=True, kw_only=True)
class Makeup:
    """The properties of a dataset or a run that a model depends on.

    Attributes:
        grid: the frame grid.
        arrays: dtype and axes of each column, such as "uint16 (16, T)"; empty where none is known.
        codebooks: of the codec, (Q, E, D); None where codes play no part.
        table: the phoneme table; None where phonemes play no part.
    """

    grid: FrameGrid
    arrays: Mapping[str, str] = field(default_factory=dict)
    codebooks: np.ndarray | None = None
    table: PhonemeTable | None = None


@dataclass(frozen=True)
class Difference:
    """A property in which two makeups differ.

    Attributes:
        what: the property in words, such as "arrays of codes".
        first, other: what it is in either, for people.
    """

    aspect: Aspect
    what: str
    first: str
    other: str


def makeup_of(dataset: Dataset, columns: Sequence[str]) -> Makeup:
    """The makeup of a dataset, as far as some of its columns depend on it."""
    specs = {column: dataset.spec(column) for column in columns}
    return Makeup(
        grid=dataset.grid,
        arrays={
            column: f"{spec.dtype} ({', '.join(map(str, spec.dims))})"
            for column, spec in specs.items()
        },
        codebooks=codebooks_of(dataset) if "codes" in columns else None,
        table=dataset.phoneme_table if "phonemes" in columns else None,
    )


def codebooks_of(dataset: Dataset) -> np.ndarray:
    """The codebooks of a dataset's codec, (Q, E, D) float32.

    Raises:
        UserError: the file is damaged, or values of them are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = dataset.asset("codebooks")
    try:
        check_regular(path)
        books: np.ndarray = load_file(path)["codebooks"]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{path} can't be read: {error}; `ns2 verify` says more") from error
    if books.ndim != 3 or not np.isfinite(books).all():
        raise UserError(
            f"{path}: its codebooks hold values that are not finite, or are not (Q, E, D). Run "
            "`ns2 preprocess` anew with a sound codec."
        )
    return books


def differences(first: Makeup, other: Makeup) -> Iterator[Difference]:
    """All properties in which two makeups differ; what only one of them knows is not compared.

    The first may have a table of phonemes that only appends some to the other's.
    """
    if first.grid != other.grid:
        yield Difference(Aspect.GRID, Aspect.GRID, _grid(first.grid), _grid(other.grid))
    for column, a in first.arrays.items():
        b = other.arrays.get(column, a)
        if a != b:
            yield Difference(Aspect.ARRAYS, f"arrays of {column}", a, b)
    tables = (first.table, other.table)
    if tables[0] is not None and tables[1] is not None and not tables[0].extends(tables[1]):
        a, b = _tables(tables[0], tables[1])
        yield Difference(Aspect.PHONEMES, Aspect.PHONEMES, a, b)
    # a codec's codebooks are copied, never computed anew: equal to the last bit, or another codec's
    books = [one.codebooks for one in (first, other) if one.codebooks is not None]
    if len(books) == 2 and not np.array_equal(books[0], books[1]):
        a, b = (_codebooks(one) for one in books)
        yield Difference(Aspect.CODEBOOKS, Aspect.CODEBOOKS, a, b)


def longest_table(tables: Sequence[PhonemeTable]) -> PhonemeTable:
    """The first of the tables with the most ids, which can only be the table of all."""
    return max(tables, key=len)


def check_alike(datasets: Sequence[Dataset], columns: Sequence[str]) -> None:
    """See that one model can learn from datasets together.

    A table of phonemes may append some to that of another dataset.

    Raises:
        UserError: naming the first difference, and both datasets.
    """
    if len(datasets) < 2:
        return
    makeups = [makeup_of(dataset, columns) for dataset in datasets]
    tables = [one.table for one in makeups if one.table is not None]
    first, table = datasets[0], longest_table(tables) if tables else None
    if table is not None:  # the dataset that has it is the one that the others are compared with
        first = next(d for d, one in zip(datasets, makeups, strict=True) if one.table == table)
    makeup = replace(makeups[0], table=table)
    for other, found in zip(datasets, makeups, strict=True):
        for difference in differences(makeup, found):
            named = first if difference.aspect is Aspect.PHONEMES else datasets[0]
            raise UserError(
                f"{named.root} and {other.root} have different {difference.what} "
                f"({difference.first}; {difference.other}): a model can't learn from both. "
                "Preprocess them with the same codec and options."
            )


def _grid(grid: FrameGrid) -> str:
    return f"{grid.sample_rate} Hz, hop {grid.hop_length}"


def _tables(first: PhonemeTable, other: PhonemeTable) -> tuple[str, str]:
    """The first id at which two tables differ, in either of them."""
    tables = [table.symbols(range(len(table))) for table in (first, other)]
    shorter = min(map(len, tables))
    at = next((i for i in range(shorter) if tables[0][i] != tables[1][i]), shorter)
    a, b = (f"id {at} is {t[at]!r}" if at < len(t) else f"{at} ids" for t in tables)
    return a, b


def _codebooks(books: np.ndarray) -> str:
    """Size and digest of codebooks, for people."""
    digest = hashlib.sha256(np.ascontiguousarray(books).tobytes()).hexdigest()[:12]
    return f"{len(books)} of {books.shape[1]} entries, {digest}"
