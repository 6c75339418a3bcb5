"""LJSpeech: one speaker, `metadata.csv` with `id|text|normalised text`, audio in `wavs/`.

https://keithito.com/LJ-Speech-Dataset. Many private corpora have the same layout with other
columns; M-AILABS (https://www.caito.de/2019/01/03/the-m-ailabs-speech-dataset) has a folder of this
layout for each book.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.columns import Columns
from ns2.pipeline.corpora.corpus import Corpus, Find, check_rows, reject, settle, split_of
from ns2.pipeline.corpora.fields import Fields, speaker_name
from ns2.pipeline.corpora.folders import (
    AUDIO_SUFFIXES,
    Lookup,
    decode,
    escaped,
    first_names,
    is_utf16,
    nfc,
    split_suffix,
    walk,
)
from ns2.pipeline.corpora.id_folders import with_folders
from ns2.pipeline.corpora.languages import voice_of
from ns2.pipeline.corpora.named_columns import find_columns, looks_like_names
from ns2.pipeline.corpora.rows import names_fields, unquoted

TABLE = "metadata.csv"
TABLES = (TABLE, "metadata.tsv", "metadata.txt")
"""Names of the table; the first that exists is read."""
AUDIO = "wavs"
FOLDERS = (AUDIO, "wav")
"""Folders of the audio; the first that exists is taken."""
SPEAKER = "LJ"

_A_NAME = re.compile(r"[A-Za-z]+([_ ][A-Za-z]+){0,2}")
_SAMPLE, _MOST_COLUMNS = 50, 12  # rows and columns that are searched for ids
_GLANCE = 1000  # most folders that are searched to recognise the layout
_BOOKS, _SEXES = "by_book", ("female", "male")  # folders of M-AILABS
_VOICES = {
    "de_DE": "de", "en_UK": "en-gb", "en_US": "en-us", "es_ES": "es", "fr_FR": "fr-fr",
    "it_IT": "it", "pl_PL": "pl", "ru_RU": "ru", "uk_UK": "uk", "uk_UA": "uk",
}  # fmt: skip
"""espeak-ng's voices by the locale that the folder above M-AILABS' `by_book` names."""


class LJSpeech:
    """Reader of the layout of LJSpeech, and of folders that hold several such.

    Quotation marks in the table are literal: it is not a CSV in spite of its name. The normalised
    text is taken unless it is missing or blank. `wavs/` may have audio of any format. A table with
    other columns is decided by `columns.decide`, or by its first line if that names them.
    """

    name = "ljspeech"
    looks_like = f"{TABLE} with lines id|text|normalised text, and {AUDIO}/<id>.wav"

    def matches(self, root: Path) -> bool:
        """Whether the path has the table, which is no CSV, and the folder of audio."""
        if not (root / TABLE).is_file() or not (root / AUDIO).is_dir():
            return False
        return not _is_csv(root / TABLE)

    def resembles(self, root: Path) -> bool:
        """Whether the audio is in `wav/`, or folders below have this layout, as M-AILABS'."""
        if not root.is_dir():
            return False
        folders = _folders(root, _GLANCE)
        if folders == [""]:
            return not _is_csv(root / _table_in(root))
        named = _BOOKS in Path(os.path.abspath(root)).parts  # noqa: PTH100 - keeps links
        books = named or any(_BOOKS in folder.split("/") for folder in folders)
        return len(folders) > 1 or (bool(folders) and books)

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all rows of the table.

        Args:
            root: the folder of the corpus.
            fields: which columns hold what; None decides by the table.

        Raises:
            UserError: the table or the folder is missing, no line has the form of a row, or it is
                open which column is the text.
        """
        folders = [""] if _audio_folder(root, "") else _folders(root)
        if not folders:
            raise UserError(f"{root} does not have the layout of LJSpeech ({self.looks_like})")
        lookup = Lookup(root)
        tables = [_Table.read(root, folder) for folder in folders]
        columns = _columns(tables, fields or Fields(), Lookup(root))
        finds = [find for table in tables for find in table.finds(columns, lookup)]
        form = "id|text or id|text|normalised text, with `|` between the fields"
        check_rows(finds, root / _table_in(root) if folders == [""] else root, form)
        unused = lookup.unused()
        warnings = []
        if unused:
            warnings.append(f"audio without a row in {tables[0].name}: {first_names(unused)}")
        notes = [columns.note] if columns.note else []
        if folders == [""]:
            finds, said = with_folders(finds, columns)
            notes += said
        else:
            speakers = sorted({table.speaker for table in tables})
            by = "" if "speaker" not in columns.more else ", unless their tables name speakers"
            notes.append(
                f"{len(tables)} tables {tables[0].name} are read; their folders name the speakers"
                f"{by}: {first_names(speakers)}"
            )
        return settle(self.name, root, finds, warnings, notes)


def _is_csv(table: Path) -> bool:
    """Whether a table is a manifest in spite of its place: its first line is that of a CSV."""
    with table.open("rb") as file:
        first = file.readline(4096)
    delimiters = "\t" if table.suffix == ".tsv" else ",;"
    return names_fields(first.decode("utf-8-sig", "replace"), delimiters)


def _table_in(folder: Path) -> str:
    """The name of a folder's table, or "" where it has none."""
    return next((name for name in TABLES if (folder / name).is_file()), "")


def _audio_folder(root: Path, folder: str) -> str:
    """The folder of audio of a folder with a table, or "" where it has not both."""
    place = root / folder
    if not _table_in(place):
        return ""
    return next((name for name in FOLDERS if (place / name).is_dir()), "")


def _folders(root: Path, most: int | None = None) -> list[str]:
    """Folders relative to root that have a table and audio; root itself is "".

    Args:
        most: the most folders that are looked at.
    """
    if not root.is_dir():
        return []
    if _audio_folder(root, ""):
        return [""]
    found = []
    for folder in islice(walk(root), most):
        has_table = any(name in folder.files for name in TABLES)
        if has_table and any(name in folder.folders for name in FOLDERS):
            found.append(folder.path)
    return sorted(found)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A table, its lines split into fields.

    Attributes:
        name: its name.
        prefix: the path of its folder, "" or with a slash behind.
        audio: the name of the folder of its audio.
        speaker, language: of rows that name none.
        lines: (number, fields, or why it can't be read).
    """

    name: str
    prefix: str
    audio: str
    speaker: str
    language: str
    lines: Sequence[tuple[int, list[str] | UtteranceError, bytes]]

    @classmethod
    def read(cls, root: Path, folder: str) -> _Table:
        """Read a table.

        Raises:
            UserError: it is in UTF-16, or can't be read.
        """
        name = _table_in(root / folder)
        path, lines = root / folder / name, []
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1 and is_utf16(line):
                    raise UserError(f"{path} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
                if line.strip(b" \t\r\n\xef\xbb\xbf"):
                    lines.append((number, line))
        separator = _separator([line for _, line in lines])
        speaker, language = _place(root, folder)
        return cls(
            name=name,
            prefix=f"{folder}/" if folder else "",
            audio=_audio_folder(root, folder),
            speaker=speaker,
            language=language,
            lines=[(n, _split(line, f"line {n} of {name}", separator), line) for n, line in lines],
        )

    @property
    def rows(self) -> list[list[str]]:
        """The fields of all lines that can be read."""
        return [fields for _, fields, _ in self.lines if isinstance(fields, list)]

    def finds(self, columns: Columns, lookup: Lookup) -> Iterator[Find]:
        """What the rows name."""
        for i, (number, fields, line) in enumerate(self.lines):
            if i == 0 and columns.named and isinstance(fields, list):
                continue
            if isinstance(fields, UtteranceError):
                # The id as far as it can be read.
                known = escaped(line.split(b"|")[0].decode("utf-8", "backslashreplace").strip())
                name = f"{self.prefix}{known or f'{self.name}:{number}'}"
                yield reject(name, "", fields.reason, fields.message)
            else:
                yield self._find(fields, number, columns, lookup)

    def _find(self, fields: list[str], number: int, columns: Columns, lookup: Lookup) -> Find:
        """What a row names."""
        line = f"line {number} of {self.prefix}{self.name}"
        written = fields[columns.id] if len(fields) > columns.id else ""
        if len(fields) not in columns.widths or not written:
            right = len(fields) in columns.widths
            lacks = "an empty id" if right else f"{len(fields)} fields"
            message = f"{line} has {lacks}, expected {columns.form}"
            known = nfc(written) if len(fields) > 1 and written else f"{self.name}:{number}"
            return reject(self.prefix + known, "", Reason.BAD_ROW, message)
        name = written
        if columns.audio is not None and columns.audio < len(fields) and fields[columns.audio]:
            name = fields[columns.audio]
        utterance_id, source, there = self.audio_of(nfc(name), lookup)
        if name is not written:
            utterance_id = nfc(written)
        utterance_id = self.prefix + utterance_id
        if not there:
            message = self._missing(name, f"{self.audio}/{utterance_id}.wav")
            return reject(utterance_id, source, Reason.AUDIO_MISSING, message)
        values = {f: fields[i] for f, i in columns.more.items() if i < len(fields)}
        split = split_of(values.get("split", "")) if values.get("split") else ""
        if split is None:
            message = f"{line}: unknown split {values['split']!r}; use train, val or test"
            return reject(utterance_id, source, Reason.BAD_ROW, message)
        text = next((fields[i] for i in columns.text if i < len(fields) and fields[i]), "")
        if not text:
            return reject(utterance_id, source, Reason.EMPTY_TRANSCRIPT, f"{line} has no text")
        return Utterance(
            id=utterance_id,
            source=source,
            text=text,
            speaker=speaker_name(nfc(values.get("speaker", ""))) or self.speaker,
            language=voice_of(values.get("language", "")) or self.language,
            split=split,
        )

    def _missing(self, name: str, expected: str) -> str:
        """Why a row has no audio."""
        if not name.startswith("/"):
            return f"no audio {expected} (or another format)"
        return (
            f"no audio {name}: the table has absolute paths, and this one does not lead into "
            f"{self.prefix}{self.audio}/ here; write names of files in {self.audio}/ instead"
        )

    def audio_of(self, name: str, lookup: Lookup) -> tuple[str, str, bool]:
        """Find the audio that an id names: (id, source, whether it exists).

        An id may be the path of the file, in `wavs/` or with that in front, with its suffix.
        """
        plain = name
        if name.startswith("/") and split_suffix(name)[1] in AUDIO_SUFFIXES:
            found, there = lookup.file(name)
            if there and found.startswith(f"{self.prefix}{self.audio}/"):
                stem = split_suffix(found)[0]
                return stem[len(f"{self.prefix}{self.audio}/") :], found, True
        if name.startswith("/") or ".." in name.split("/"):
            return name, "", False
        source, there = lookup.audio(f"{self.prefix}{self.audio}/{name}")
        if there:
            return name, source, True
        name = name.replace("\\", "/").removeprefix("./")
        if name.startswith("/") or ".." in name.split("/"):
            return plain, "", False
        stem, suffix = split_suffix(name)
        bare = next((stem[len(f) + 1 :] for f in FOLDERS if stem.startswith(f"{f}/")), stem)
        known = bare if suffix in AUDIO_SUFFIXES else bare + name[len(stem) :]
        ways = [f"{self.audio}/{name}", name] if suffix in AUDIO_SUFFIXES else []
        for way in ways:
            found, there = lookup.file(self.prefix + way)
            if there:
                return known, found, True
        for way in dict.fromkeys((f"{self.audio}/{known}", name, f"{self.audio}/{stem}")):
            found, there = lookup.audio(self.prefix + way)
            if there:
                return known, found, True
        return plain, source, False


def _place(root: Path, folder: str) -> tuple[str, str]:
    """Speaker and language of a table's rows, as the names of its folders tell them.

    A table in the corpus's own folder is of one speaker, wherever that folder lies.
    """
    if not folder:
        return SPEAKER, ""
    here = Path(os.path.abspath(root)).parts  # noqa: PTH100 - keeps links
    parts = [*here, *nfc(folder).split("/")]
    if _BOOKS not in parts:
        return parts[-1], ""
    at = len(parts) - 1 - parts[::-1].index(_BOOKS)
    below = parts[at + 1 :]
    speaker = below[1] if below[0] in _SEXES and len(below) > 1 else below[-1]
    return speaker, _VOICES.get(parts[at - 1], "")


def _separator(lines: Sequence[bytes]) -> bytes:
    """What stands between the fields: `|`, or a tab where most lines have one and fewer a `|`."""
    tabs = sum(b"\t" in line.strip() for line in lines)
    bars = sum(b"|" in line for line in lines)
    return b"\t" if 2 * tabs > len(lines) and bars < tabs else b"|"


def _split(line: bytes, where: str, separator: bytes) -> list[str] | UtteranceError:
    try:
        decoded = decode(line, where)
    except UtteranceError as error:
        return error
    values = [field.strip() for field in decoded.split(separator.decode())]
    return [*map(unquoted, values)] if values[0][:1] == '"' == values[0][-1:] else values


def _columns(tables: Sequence[_Table], fields: Fields, lookup: Lookup) -> Columns:
    """Decide which column of the tables holds what.

    Args:
        lookup: another one than that of the rows, since it remembers what was looked up.

    Raises:
        UserError: it is open, or `--fields` names what is not there.
    """
    first = tables[0].rows[0] if tables[0].rows else []
    header = [name.lower() for name in first]
    # a recording of that name makes it a row like any other
    named = looks_like_names(header) and not tables[0].audio_of(first[0], lookup)[2]
    if named and any(table.rows and table.rows[0] != first for table in tables):
        raise UserError(
            f"the first lines of the tables {tables[0].name} differ; read the folders one by one"
        )
    rows = [row for table in tables for row in table.rows]
    if not named and not fields:
        _check_first_column(tables[0], lookup)
        _check_first_line(tables[0], lookup)
    return find_columns(rows, fields, tables[0].name, named)


def _check_first_line(table: _Table, lookup: Lookup) -> None:
    """See that the first line is no line of names that are not known.

    Raises:
        UserError: it looks like one: its words are names, and all other lines have a recording.
    """
    first, *others = table.rows[:_SAMPLE] or [[]]
    names = len(set(first)) == len(first) > 1 and all(_A_NAME.fullmatch(name) for name in first)
    if not names or len(others) < 2:
        return
    found = [bool(row[0]) and table.audio_of(nfc(row[0]), lookup)[2] for row in (first, *others)]
    if not found[0] and all(found[1:]):
        raise UserError(
            f"{table.name}: its first line seems to name the columns ({', '.join(first)}); say "
            f"which is which, as in --fields id={first[0]},text={first[-1]}. If it is an utterance "
            "without a recording, take it out."
        )


def _check_first_column(table: _Table, lookup: Lookup) -> None:
    """See that the first column names the audio, if any does.

    Raises:
        UserError: another column does.
    """
    rows = table.rows[:_SAMPLE]
    named = [
        sum(table.audio_of(nfc(row[i]), lookup)[2] for row in rows if len(row) > i and row[i])
        for i in range(min(_MOST_COLUMNS, max(map(len, rows), default=0)))
    ]
    if named and not named[0] and 2 * max(named) > len(rows):
        at = named.index(max(named)) + 1
        raise UserError(
            f"{table.name}: column {at} names the recordings, not column 1; say which column is "
            f"the text, as in --fields id={at},text=1"
        )
