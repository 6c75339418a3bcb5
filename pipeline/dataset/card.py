"""The card `dataset.json`: what a dataset is. It is written last and completes the dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid
from ns2.pipeline.dataset.card_values import card_problems
from ns2.pipeline.dataset.layout import CARD, FORMAT, FORMAT_VERSION

_PARTS = ("grid", "corpus", "options", "counts", "columns", "stages", "statistics")
"""The fields that hold JSON objects."""
_NEEDED = ("grid", "counts", "columns")
"""The fields that reading arrays needs; the cards of all versions have them."""
_NUMBER = re.compile(r" *[\d.eE+-]+,?")
"""A line of an indented JSON text that is a number in a list."""


@dataclass(frozen=True, kw_only=True)
class StageEntry:
    """How the values of a stage were made: everything of it that its fingerprint hashes.

    Attributes:
        version: the stage's version.
        config: its settings.
        libraries: versions of the libraries that its values depend on.
        requires: sources and stages that it reads.
    """

    version: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ColumnEntry(StageEntry):
    """A column: its arrays, its files, and the stage that made it.

    Attributes:
        folder: the folder of its tars, `<column>-<fingerprint>`.
        dtype: numpy dtype name, or "json".
        dims: axes, see `ColumnSpec`.
        tars: the number of its tars.
        bytes: the size of all its tars.
        scalars: fields of the index that come with it, beside those of every index.
    """

    folder: str = ""
    dtype: str = ""
    dims: tuple[str | int, ...] = ()
    tars: int = 0
    bytes: int = 0
    scalars: tuple[str, ...] = ()

    def spec(self, name: str) -> ColumnSpec:
        """The specification of its arrays."""
        return ColumnSpec(name=name, dtype=self.dtype, dims=self.dims)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How much a dataset holds: found = written + rejected + filtered.

    Attributes:
        found, written, rejected, filtered: numbers of utterances.
        reasons: the number of utterances that are not in the dataset, by reason.
        hours: of speech in the dataset.
        frames, phones: the numbers in all utterances together.
        speakers: the number of speakers.
        splits, languages: the number of utterances by split and by language.
    """

    found: int = 0
    written: int = 0
    rejected: int = 0
    filtered: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    hours: float = 0.0
    frames: int = 0
    phones: int = 0
    speakers: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Card(Mapping[str, Any]):
    """What a dataset is; also a mapping of the JSON values that `dataset.json` holds.

    Fields that a card of an older version lacks are empty; fields that only a newer version knows
    are in the mapping alone.

    Attributes:
        format, format_version: `FORMAT` and `FORMAT_VERSION`; empty and 0 where a file that was
            read does not say them.
        ns2: the version of ns2 that finished the dataset.
        corpus: what is known of the corpus: its `layout`.
        options: the options of the run, without paths of its machine.
        counts: how much the dataset holds.
        columns: the columns by name.
        stages: transient stages, whose values are not stored, by name.
        screen: the folder of the screening, below `.state/`.
        statistics: `latents` and `f0`: numbers over all frames.
        assets: the current files below `assets/`, relative to the dataset.
        sha256sums: the SHA-256 of the file SHA256SUMS, in hex.
        digest: the hash of all other fields.
        raw: the JSON values as they were read or will be written.
    """

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    ns2: str = ""
    grid: FrameGrid = field(default_factory=FrameGrid)
    corpus: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    columns: Mapping[str, ColumnEntry] = field(default_factory=dict)
    stages: Mapping[str, StageEntry] = field(default_factory=dict)
    screen: str = ""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    sha256sums: str = ""
    digest: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Make a card of the JSON object of any file; `missing_parts` tells what it lacks.

        A part that is missing or not an object is empty, and a grid that is missing is 0 Hz: what
        another program wrote must not pass for a dataset on the usual grid.
        """
        parts = {name: _object(values, name) for name in _PARTS}
        grid, columns, stages = parts["grid"], parts["columns"], parts["stages"]
        typed = {
            "format": values.get("format", ""),
            "format_version": values.get("format_version", 0),
            "grid": FrameGrid(
                sample_rate=grid.get("sample_rate", 0), hop_length=grid.get("hop_length", 0)
            ),
            "counts": Counts(**_known(Counts, parts["counts"])),
            "columns": {n: _entry(ColumnEntry, _object(columns, n)) for n in columns},
            "stages": {n: _entry(StageEntry, _object(stages, n)) for n in stages},
            "assets": tuple(values["assets"]) if isinstance(values.get("assets"), list) else (),
        }
        return cls(**{**_known(cls, values), **parts, **typed, "raw": values})

    @property
    def scalars(self) -> tuple[str, ...]:
        """Fields of the index that come with columns, in the order of the columns."""
        return tuple(name for entry in self.columns.values() for name in entry.scalars)

    def config(self, column: str) -> Mapping[str, Any]:
        """The settings that a column was made with; empty where the dataset has no such column."""
        return self.columns[column].config if column in self.columns else {}

    def sealed(self) -> Card:
        """This card with its digest and JSON values, as it is written."""
        values = {
            "format": self.format,
            "format_version": self.format_version,
            "ns2": self.ns2,
            "grid": {
                "sample_rate": self.grid.sample_rate,
                "hop_length": self.grid.hop_length,
                "frame_rate": self.grid.frame_rate,
            },
            "corpus": self.corpus,
            "options": self.options,
            "counts": asdict(self.counts),
            "columns": {name: _column_values(entry) for name, entry in self.columns.items()},
            "stages": {name: _stage_values(entry) for name, entry in self.stages.items()},
            "screen": self.screen,
            "statistics": self.statistics,
            "assets": list(self.assets),
            "sha256sums": self.sha256sums,
        }
        return Card.from_json(sealed(values))

    def text(self) -> str:
        """The content of `dataset.json`."""
        return card_text(self.raw)

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a JSON object that is an object itself; empty where it is not there."""
    part = values.get(name)
    return part if isinstance(part, Mapping) else {}


def _known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values whose names are fields of a class."""
    names = {known.name for known in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _entry(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A stage's or column's entry; lists become tuples."""
    known = _known(kind, values)
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in known.items()})


def _stage_values(entry: StageEntry) -> dict[str, Any]:
    return {
        "version": entry.version,
        "config": entry.config,
        "libraries": entry.libraries,
        "requires": list(entry.requires),
    }


def _column_values(entry: ColumnEntry) -> dict[str, Any]:
    return {
        "folder": entry.folder,
        "dtype": entry.dtype,
        "dims": list(entry.dims),
        "tars": entry.tars,
        "bytes": entry.bytes,
        **({"scalars": list(entry.scalars)} if entry.scalars else {}),
        **_stage_values(entry),
    }


def sealed(card: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values of a card with their digest, the field `digest`, over all other fields."""
    body = {name: value for name, value in card.items() if name != "digest"}
    return {**body, "digest": short_hash(body, 64)}


def card_text(card: Mapping[str, Any]) -> str:
    """The text of a card, indented for people, with lists of numbers on one line."""
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    return "\n".join(_numbers_on_one_line(text.split("\n"))) + "\n"


def _numbers_on_one_line(lines: Sequence[str]) -> Iterator[str]:
    """Join the lines of lists that hold only numbers; every line is looked at once."""
    held: list[str] = []  # a line that opens a list, and the lines of numbers behind it
    for line in lines:
        if held and _NUMBER.fullmatch(line):
            held.append(line)
        elif len(held) > 1 and line.lstrip().startswith("]"):
            numbers = " ".join(number.strip() for number in held[1:])
            yield f"{held[0]}{numbers}{line.lstrip()}"
            held = []
        else:
            yield from held
            held = [line] if line.endswith("[") else []
            if not held:
                yield line
    yield from held


def missing_parts(card: Mapping[str, Any]) -> list[str]:
    """Names of the fields that reading needs and that the JSON values of a card lack."""
    return [name for name in _NEEDED if not isinstance(card.get(name), Mapping)]


def read_card(root: Path) -> Card | None:
    """The card of a dataset, or None where there is no JSON object.

    Neither its format nor its digest is checked, see `open_card` and `ns2 verify`. Where a value is
    of the wrong type, the card holds its format, and no other field.
    """
    try:
        values = read_json(root / CARD)
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict):
        return None
    if card_problems(values):
        return replace(Card.from_json({"format": str(values.get("format"))}), raw=values)
    return Card.from_json(values)


def open_card(root: Path) -> Card:
    """Read the card of a dataset.

    Raises:
        UserError: there is no card, or it is damaged, of another format or of a newer version.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    if not (root / CARD).is_file():
        raise UserError(
            f"{root} has no {CARD}: it is not a dataset, or `ns2 preprocess` has not finished it. "
            "Run `ns2 preprocess` with this output folder again: it goes on where it stopped."
        )
    card = read_card(root)
    if card is None or card.format != FORMAT:
        raise UserError(f"{root / CARD} is damaged, or not the card of an ns2 dataset")
    if card.format_version > FORMAT_VERSION:
        raise UserError(
            f"{root} was written by a newer ns2 (format {card.format_version}); update ns2"
        )
    if missing := missing_parts(card):
        raise UserError(f"{root / CARD} is damaged: it has no {', '.join(missing)}")
    if problems := card_problems(card.raw):
        raise UserError(f"{root / CARD} is damaged: {problems[0]}; `ns2 verify` says more")
    return card
