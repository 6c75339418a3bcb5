"""AudioFolder: audio with a file metadata.csv, metadata.jsonl or metadata.parquet beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.corpora.corpus import Corpus, Find, check_rows, settle
from ns2.pipeline.corpora.entries import split_of_path, without_lone_train
from ns2.pipeline.corpora.fields import Fields
from ns2.pipeline.corpora.folders import Folder, Lookup, walk
from ns2.pipeline.corpora.manifest_rows import ManifestRows
from ns2.pipeline.corpora.rows import Row, read_rows

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
AUDIO = "file_name"
_GLANCE = 20
_START = 4096


class AudioFolder:
    """Reader of a folder with a table of one of the names `TABLES`, or of folders with such.

    The table's `file_name` is the path of the audio, relative to its folder. The split is that of
    the row, or of the folder's name (`train/metadata.csv`, or `train/1.wav` in a table above it);
    where that is train for all rows, it is open. Other fields are those of a manifest.
    """

    name = "audiofolder"
    looks_like = "metadata.csv, .jsonl or .parquet with file_name and text, or split folders of it"

    def matches(self, root: Path) -> bool:
        """Whether folders below have such tables, or it has one that a manifest does not read.

        A table of its own that is no parquet and names no folders of splits is a manifest's.
        """
        if not root.is_dir():
            return False
        for folder in islice(walk(root), _GLANCE):
            for table in _tables(root, folder):
                if folder.path or table == TABLES[2] or _names_splits(root / table):
                    return True
        return False

    def resembles(self, root: Path) -> bool:
        """Never: a table has `file_name`, or has it not."""
        return False

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all rows of the tables.

        Args:
            root: the folder.
            fields: which fields hold what; None takes them by their names.

        Raises:
            UserError: there is no table, or none of the rows can be read.
        """
        found = [(f.path, table) for f in (walk(root) if root.is_dir() else ())
                 for table in _tables(root, f)]  # fmt: skip
        if not found:
            raise UserError(f"{root} has no {' or '.join(TABLES)} with a field {AUDIO}")
        lookup = Lookup(root)
        finds, named = list[Find](), False
        warnings, notes = dict[str, None](), dict[str, None]()
        for left, (folder, table) in zip(range(len(found) - 1, -1, -1), found, strict=True):
            rows = ManifestRows(root / folder / table, fields or Fields(), lookup, folder)
            some = rows.finds(_parquet_rows(rows.table) if table == TABLES[2] else None)
            named |= any(isinstance(find, Utterance) and find.split for find in some)
            finds += [_with_split(find) for find in some]
            warnings.update(dict.fromkeys(rows.warnings(last=not left)))
            notes.update(dict.fromkeys(rows.notes()))
        check_rows(finds, root, f"of a row with {AUDIO} and text")
        if not named:
            finds = without_lone_train(finds)
        return settle(self.name, root, finds, list(warnings), list(notes))


def _tables(root: Path, folder: Folder) -> list[str]:
    """Tables of a folder that name `file_name`; of several forms of one the first."""
    there = [name for name in TABLES if name in folder.files]
    return [name for name in there if _names_audio(root / folder.source(name))][:1]


def _names_audio(table: Path) -> bool:
    if table.suffix == ".parquet":
        try:
            return AUDIO in pq.read_schema(table).names
        except (OSError, pa.ArrowException, ValueError):
            return False
    with table.open("rb") as file:
        start = file.read(_START).decode("utf-8-sig", "replace")
    first = start.lstrip().partition("\n")[0]
    return f'"{AUDIO}"' in first if table.suffix == ".jsonl" else AUDIO in _csv_names(first)


def _names_splits(table: Path) -> bool:
    """Whether the audio of a table's first row lies in a folder that is named for a split."""
    try:
        row = next(read_rows(table, Fields()), (0, None))[1]
    except UserError:
        return False
    audio = row.get(AUDIO) if isinstance(row, Mapping) else None
    return isinstance(audio, str) and bool(split_of_path(audio.rpartition("/")[0]))


def _csv_names(line: str) -> list[str]:
    for mark in ",;\t":
        names = [name.strip().strip('"').lower() for name in line.split(mark)]
        if AUDIO in names:
            return names
    return []


def _with_split(find: Find) -> Find:
    """The find with the split that its folder is named for, where its row names none."""
    if not isinstance(find, Utterance) or find.split:
        return find
    return replace(find, split=split_of_path(find.source.rpartition("/")[0]))


def _parquet_rows(table: Path) -> Iterator[tuple[int, Row]]:
    """Rows of a table with their numbers, from 1.

    Raises:
        UserError: it is damaged.
    """
    number = 0
    try:
        with pq.ParquetFile(table) as opened:
            for batch in opened.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pa.ArrowException, ValueError) as error:
        raise UserError(f"{table} can't be read behind its row {number}: {error}") from error
