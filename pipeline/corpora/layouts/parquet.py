"""Parquet files with audio in them, as hubs keep data sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.held import ParquetCell
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.arrow_columns import (
    audio_column,
    audio_kind,
    batch_values,
    column_names,
    labels,
)
from ns2.pipeline.corpora.corpus import Corpus, Find, settle
from ns2.pipeline.corpora.entries import (
    Entry,
    as_name,
    best_text,
    lost_part,
    named_split,
    split_of_file,
    text_value,
    unread_fields,
    without_lone_train,
    without_suffix,
)
from ns2.pipeline.corpora.fields import FIELDS, NORMALISED, Fields
from ns2.pipeline.corpora.folders import Lookup, walk
from ns2.pipeline.corpora.rows import bad_row

SUFFIX = ".parquet"
KEY = "__key__"
"""The column of the sample's name in tables that hubs make of tars (WebDataset)."""
_ROWS = 512
_MOST_LOST = 100_000
"""The most rows that a damaged footer may declare lost."""
_ABSOLUTE = re.compile(r"/|[A-Za-z]+:/")
_GLANCE = 20
_READ = ("text", "id", "speaker", "language", "split")
_CUT = ("offset", "duration")


class Parquet:
    """Reader of parquet files, or of a folder with such files at any depth.

    The column of the audio is a struct of `bytes` and `path`, or it holds bytes, or paths of files.
    Bytes are read where they lie. A split is that of the row, or else of the name of the file or
    its folder (`test/0.parquet`); where that is train for all rows, it is open.

    The id of a row without one is the path of its audio without the suffix, or else the path of the
    file and the number of the row in it, from 0.
    """

    name = "parquet"
    looks_like = "parquet files with a column of audio (bytes and path) and one of text"

    def matches(self, root: Path) -> bool:
        """Whether the path is such a file, or a folder with one."""
        if root.is_file():
            return root.suffix.lower() == SUFFIX
        return any(_has_audio(_schema(root / f)) for f in islice(_files(root, _GLANCE), _GLANCE))

    def resembles(self, root: Path) -> bool:
        """Whether the path is a folder with a file whose audio and text have other known names."""
        return any(_names_both(_schema(root / f)) for f in islice(_files(root, _GLANCE), _GLANCE))

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all rows of the files.

        Args:
            root: the file or the folder.
            fields: which columns hold what; None takes them by their names.

        Raises:
            UserError: no file has audio, can be read, or has the columns that `fields` names.
        """
        base = root.parent if root.is_file() else root
        files = [root.name] if root.is_file() else sorted(_files(root))
        chosen = fields or Fields()
        if chosen.numbers:
            raise UserError("--fields: columns of parquet have names; give a name, not a number")
        lookup, finds = Lookup(base), list[Find]()
        unread, splits, notes = dict[str, None](), set[bool](), dict[str, None]()
        for file in files:
            try:
                table = _Table.open(base, file, chosen, lookup)
            except (OSError, pa.ArrowException, ValueError) as error:
                why = f"it can't be read as parquet: {_first_line(error)}"
                finds.append(lost_part(file, Reason.AUDIO_UNREADABLE, why))
                continue
            if table is not None:
                with table.opened:
                    finds += table.finds()
                unread.update(dict.fromkeys(table.unread))
                splits.add(table.split_named)
                notes.update(dict.fromkeys(table.notes()))
        if not splits:
            found = getattr(finds[0], "message", "") if finds else _no_audio(base, files, chosen)
            raise UserError(f"{root}: no parquet file with audio and text; {found}")
        if splits == {False}:
            finds = without_lone_train(finds)
        return settle(
            self.name, base, finds, unread_fields("the parquet files", list(unread)), list(notes)
        )


def _files(root: Path, most: int | None = None) -> Iterator[str]:
    """Parquet files below a folder, by their paths relative to it; only the first folders."""
    for folder in islice(walk(root), most) if root.is_dir() else ():
        yield from (folder.source(n) for n in folder.files.values() if n.lower().endswith(SUFFIX))


def _schema(file: Path) -> pa.Schema:
    """The columns of a file; none where it can't be read."""
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException, ValueError):
        return pa.schema([])


def _has_audio(schema: pa.Schema) -> bool:
    return "audio" in schema.names or any(audio_kind(column.type) == "struct" for column in schema)


def _no_audio(root: Path, files: Sequence[str], fields: Fields) -> str:
    """Which columns there are where none holds audio."""
    names = dict.fromkeys(name for file in files[:_GLANCE] for name in _schema(root / file).names)
    asked = fields.columns.get("audio", "")
    return (
        f"none has a column {asked}{' ' if asked else ''}of audio (a struct of bytes and path, "
        f"bytes, or paths, and no part of another column); columns are {', '.join(names)}"
    )


def _names_both(schema: pa.Schema) -> bool:
    """Whether the reader takes columns for audio and text by their names."""
    texts = {*Fields().names("text", schema.names)} & {*schema.names}
    return bool(texts and audio_column(schema, Fields()))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _names(fields: Fields, one: str, there: Sequence[str]) -> tuple[str, ...]:
    """The names that a field may have; more in tables that hubs make of a WebDataset."""
    names = fields.names(one, there)
    if KEY not in there or one in fields.columns:
        return names
    more = {"text": ("txt",), "id": (KEY,)}.get(one, ())
    return (*names, *more, *(f"json.{name}" for name in FIELDS[one]))


def _check_columns(
    file: Path, audio: str, columns: Mapping[str, Sequence[str]], there: Sequence[str]
) -> None:
    """Check that what is read is there once, and not the audio.

    Raises:
        UserError: it is not.
    """
    for one, names in {"audio": (audio,), **columns}.items():
        if one != "audio" and audio in names:
            raise UserError(f"{file}: {audio} is the audio, and not {one}, too; see --fields")
        for name in names:
            if there.count(name) > 1:
                raise UserError(f"{file}: several columns are named {name}; rename all but one")


@dataclass
class _Table:
    """One parquet file.

    Attributes:
        audio: the column that holds the audio, and how.
        columns: by field, the columns that hold it, best first.
        unread: columns that are not read.
        labels: by column, the names that its whole numbers stand for.
        split: by the name of the file.
    """

    root: Path
    file: str
    opened: pq.ParquetFile
    audio: tuple[str, str]
    columns: Mapping[str, tuple[str, ...]]
    unread: tuple[str, ...]
    lookup: Lookup
    labels: Mapping[str, list[str]] = field(default_factory=dict)
    split: str = ""

    @staticmethod
    def open(root: Path, file: str, fields: Fields, lookup: Lookup) -> _Table | None:
        """A file as its footer describes it, or None if it has no audio.

        Raises:
            UserError: it lacks a column that `fields` names, or has audio and no text.
            OSError, ArrowException: it can't be read.
        """
        opened = pq.ParquetFile(root / file, buffer_size=1 << 16, pre_buffer=False)
        schema = opened.schema_arrow
        audio = audio_column(schema, fields)
        if audio is None:
            return None
        there = [n for n in column_names(schema) if not n.startswith(f"{audio[0]}.")]
        if missing := fields.missing(there):
            raise UserError(
                f"{root / file}: there is no column {missing[0]} that --fields takes; columns are "
                f"{', '.join(there)}"
            )
        wanted = [*_READ, *(one for one in _CUT if one in fields.columns)]
        columns = {
            one: named
            for one in wanted
            if (named := tuple(n for n in _names(fields, one, schema.names) if n in there))
        }
        _check_columns(root / file, audio[0], columns, schema.names)
        if "text" not in columns:
            raise UserError(
                f"{root / file}: which column is the text? Columns are {', '.join(there)}; "
                "say so, as in --fields text=NAME"
            )
        read = {audio[0], *(name for names in columns.values() for name in names)}
        read.update(name.partition(".")[0] for name in list(read))
        read.update(name for one in FIELDS for name in FIELDS[one] if one not in fields.columns)
        return _Table(
            root=root,
            file=file,
            opened=opened,
            audio=audio,
            columns=columns,
            unread=tuple(name for name in schema.names if name not in read),
            lookup=lookup,
            labels=labels(schema),
            split=split_of_file(file),
        )

    @property
    def split_named(self) -> bool:
        """Whether its rows name their splits."""
        return "split" in self.columns

    def notes(self) -> list[str]:
        """A sentence on which text is taken, where there are several."""
        spoken, *raw = self.columns["text"]
        if spoken not in NORMALISED or not raw:
            return []
        return [
            f"{spoken} is taken as the text, and {raw[0]} where that is blank; "
            f"--fields text={raw[0]} takes {raw[0]} alone"
        ]

    def finds(self) -> Iterator[Find]:
        """What its rows are; of rows that can't be read, why."""
        number = 0
        for group in range(self.opened.num_row_groups):
            count = self.opened.metadata.row_group(group).num_rows
            done = 0
            try:
                held = self._holds_bytes(group)
                for row in self._rows(group):
                    yield self._entry(row, number + done, group, done, held)
                    done += 1
            except (OSError, pa.ArrowException, ValueError) as error:
                yield from self._lost(number + done, number + count, error)
            number += count

    def _lost(self, first: int, behind: int, error: Exception) -> Iterator[Find]:
        """A row of the ledger for each row that can't be read, unless they are endless."""
        why = f"the rows {first} to {behind - 1} can't be read: {_first_line(error)}"
        for number in range(first, min(behind, first + _MOST_LOST)):
            yield lost_part(f"{self.file}#{number}", Reason.AUDIO_UNREADABLE, why)

    def _holds_bytes(self, group: int) -> bool:
        """Whether a row group holds audio, and not paths alone."""
        kind = self.audio[1]
        if kind == "path":
            return False
        metadata = self.opened.metadata
        leaves = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
        chunk = metadata.row_group(group).column(leaves.index(self._leaf))
        statistics = chunk.statistics
        if statistics is not None and statistics.has_null_count:
            return bool(statistics.null_count < chunk.num_values)
        first = next(self._batches(group, [self._leaf], 1), None)
        value = None if first is None else first.column(0)[0].as_py()
        return (value or {}).get("bytes") is not None if kind == "struct" else value is not None

    @property
    def _leaf(self) -> str:
        """The path of the column of bytes."""
        name, kind = self.audio
        return f"{name}.bytes" if kind == "struct" else name

    def _rows(self, group: int) -> Iterator[dict[str, Any]]:
        """Rows of a group without audio, and the path of each under the audio's name."""
        name, kind = self.audio
        paths = {"struct": [f"{name}.path"], "path": [name], "bytes": []}[kind]
        if kind == "struct" and self.opened.schema_arrow.field(name).type.num_fields == 1:
            paths = []
        wanted = dict.fromkeys([*paths, *(n for names in self.columns.values() for n in names)])
        for batch in self._batches(group, list(wanted), _ROWS):
            values = batch_values(batch, list(wanted))
            for i in range(batch.num_rows):
                yield {n: column[i] for n, column in values.items()}

    def _batches(self, group: int, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        return self.opened.iter_batches(
            batch_size=rows, row_groups=[group], columns=columns, use_threads=False
        )

    def _entry(self, row: Mapping[str, Any], number: int, group: int, at: int, held: bool) -> Find:
        """What a row is.

        Args:
            number: of the row in the file.
            at: number of the row in its group.
            held: whether the group holds audio.
        """
        where = f"{self.file}#{number}"
        place = f"{without_suffix(self.file)}/{number}"
        fault, source, split, piece = None, "", self.split, None
        path = row.get(self.audio[0])
        path = path.get("path") if isinstance(path, Mapping) else path
        written, own = "", self._value(row, "id")
        try:
            written = text_value("path", path).replace("\\", "/")
            split = named_split(text_value("split", self._value(row, "split"))) or self.split
            piece = self._piece(row)
            if held and _ABSOLUTE.match(written):  # of the machine where the file was written
                written = written.rpartition("/")[2]
            source = f"{self.file}/{written or number}"
            if not held:
                source, there = self._file(written)
                if not there:
                    raise UtteranceError(Reason.AUDIO_MISSING, f"no file {source}")
        except UtteranceError as error:
            fault = error
        if as_name(own) in (None, ""):
            own = without_suffix(written) if written else place
        return Entry(
            id=own,
            source=source,
            text=self._value(row, "text"),
            speaker=self._value(row, "speaker"),
            language=self._value(row, "language"),
            split=split,
            piece=piece,
            held=ParquetCell(file=self.file, column=self._leaf, group=group, row=at)
            if held
            else None,
            fault=fault,
        ).find(where)

    def _file(self, written: str) -> tuple[str, bool]:
        """The file that a row names, beside the parquet file or below the corpus's folder."""
        if not written:
            raise UtteranceError(Reason.AUDIO_MISSING, "has neither audio nor a path")
        folder = self.file.rpartition("/")[0]
        source, there = self.lookup.file(f"{folder}/{written}" if folder else written)
        return (source, there) if there or not folder else self.lookup.file(written)

    def _value(self, row: Mapping[str, Any], one: str) -> Any:
        """The value of a field; the name where it is the number of a label."""
        if one == "text":
            return best_text(row, self.columns["text"])
        for name in self.columns.get(one, ()):
            value = row.get(name)
            labels = self.labels.get(name)
            if labels and isinstance(value, int) and 0 <= value < len(labels):
                return labels[value]
            if value is not None:
                return value
        return None

    def _piece(self, row: Mapping[str, Any]) -> Piece | None:
        """The part of the audio that a row is, where `--fields` says that columns tell it."""
        offset, duration = (self._value(row, one) for one in _CUT)
        for name, value in zip(_CUT, (offset, duration), strict=True):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 <= value < 1e7):
                raise bad_row(f"{name} is {value!r}, expected a number of seconds")
        if not offset and not duration:
            return None
        lasts = float(duration) if duration else None
        return Piece(offset=float(offset or 0), duration=lasts, at_most=offset is None)
