"""Manifests: JSON lines or CSV with audio, text and, if known, id, speaker, language and split."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Corpus, Find, reject, settle, split_of
from ns2.pipeline.corpora.folders import (
    Lookup,
    decode,
    encodable,
    first_names,
    is_utf16,
    nfc,
    one_line,
    split_suffix,
)

JSON_SUFFIXES = (".jsonl", ".jsonlines", ".json-lines", ".ndjson", ".json")
NAMES = ("manifest.jsonl", "manifest.csv")

FIELDS: dict[str, tuple[str, ...]] = {
    "audio": ("audio", "audio_filepath", "path"),
    "text": ("text", "transcript", "sentence"),
    "id": ("id",),
    "speaker": ("speaker", "speaker_id"),
    "language": ("language", "lang"),
    "split": ("split",),
}
"""The names that a field may have; the first name that a row has is taken."""

_DELIMITERS = ",;\t|"
_Row = Mapping[str, Any] | UtteranceError


class Manifest:
    """Reader of a `.jsonl` or `.csv` file, or of a folder with `manifest.jsonl` or `manifest.csv`.

    Paths of audio are absolute, or relative to the folder of the manifest. Sources are always
    relative to that folder: for audio outside of it they begin with `..`. So a dataset never has an
    absolute path, and the audio is found as long as both folders lie the same way to each other.
    If a row has no id, it is the source without its suffix. The first line of a CSV names its
    fields; a field in quotation marks may have commas, and quotation marks that are doubled.

    A row that cannot be read is rejected, with the id `<file>:<line>`.
    """

    name = "manifest"
    looks_like = "a .jsonl or .csv file (or a folder with manifest.jsonl) with audio and text"

    def matches(self, root: Path) -> bool:
        """Whether the path is such a file, or a folder with one."""
        if root.is_file():
            return root.suffix.lower() in (*JSON_SUFFIXES, ".csv")
        return any((root / name).is_file() for name in NAMES)

    def read(self, root: Path) -> Corpus:
        """Find all rows of the manifest.

        Raises:
            UserError: there is no manifest, there are two, or none of its rows can be read.
        """
        table = _table(root)
        lookup = Lookup(table.parent)
        finds = [_find(row, f"{table.name}:{number}", lookup) for number, row in _rows(table)]
        if finds and all(getattr(find, "reason", None) is Reason.BAD_ROW for find in finds):
            raise UserError(
                f"{table}: no row can be read; the first, {getattr(finds[0], 'message', '')}"
            )
        unused = lookup.unused()
        warnings = []
        if unused:
            warnings.append(f"audio without a row in {table.name}: {first_names(unused)}")
        return settle(self.name, table.parent, finds, warnings)


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    tables = [root / name for name in NAMES if (root / name).is_file()]
    if not tables:
        raise UserError(f"{root} has neither {' nor '.join(NAMES)}; give the path of the manifest")
    if len(tables) > 1:
        raise UserError(f"{root} has both {' and '.join(NAMES)}; give the path of one of them")
    return tables[0]


def _rows(table: Path) -> Iterator[tuple[int, _Row]]:
    """Rows with the line at which they begin; an UtteranceError in place of one that is faulty."""
    with table.open("rb") as file:
        if is_utf16(file.read(2)):
            raise UserError(f"{table} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
    return _csv_rows(table) if table.suffix.lower() == ".csv" else _json_rows(table)


def _json_rows(table: Path) -> Iterator[tuple[int, _Row]]:
    with table.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            bare = line.strip(b" \t\r\n\xef\xbb\xbf")
            if number == 1 and bare in (b"[", b"{"):
                raise UserError(
                    f"{table} is a single JSON value over many lines; a manifest has an object on "
                    "each line; convert it: jq -c '.[]' OLD > NEW"
                )
            if bare:
                yield number, _json_row(line)


def _json_row(line: bytes) -> _Row:
    try:
        row = json.loads(decode(line, "the line"))
    except UtteranceError as error:
        return error
    except json.JSONDecodeError as error:
        return _bad(f"not a JSON object on one line: {error.msg} at column {error.colno}")
    except ValueError:  # a number of thousands of digits
        return _bad("not a JSON object of a manifest: it holds a giant number")
    except RecursionError:
        return _bad("not a JSON object of a manifest: nested too deeply")
    if not isinstance(row, dict):
        return _bad(f"expected a JSON object on each line, got {type(row).__name__}")
    return row


def _csv_rows(table: Path) -> Iterator[tuple[int, _Row]]:
    # Bytes that are not UTF-8 become surrogates, so that only their own row is rejected.
    with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        header_line = lines.readline()
        header, delimiter = _header(header_line, table)
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            number = rows.line_num + 2  # the header is line 1
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if rows.line_num + 1 > number:
                    raise UserError(
                        f"{table}: a quotation mark opened in line {number} is not closed before "
                        f"line {rows.line_num + 1} ({error}); close it, or double it if it is "
                        "meant literally"
                    ) from error
                yield number, _bad(f"{error}; write a literal quotation mark as two, in quotes")
                continue
            if not any(field.strip() for field in fields):
                continue
            if len(fields) == len(header):
                yield number, dict(zip(header, fields, strict=True))
            else:
                yield number, _bad(f"{len(fields)} fields, but the first line names {len(header)}")


def _header(line: str, table: Path) -> tuple[list[str], str]:
    for delimiter in _DELIMITERS:
        names = next(csv.reader([line], delimiter=delimiter), [])
        names = [name.strip().lower() for name in names]
        if all(any(name in names for name in FIELDS[field]) for field in ("audio", "text")):
            return names, delimiter
    raise UserError(
        f"{table}: the first line must name the fields, with audio and text among them "
        f"(or {', '.join(FIELDS['audio'][1:] + FIELDS['text'][1:])}), as in: audio,text,speaker"
    )


def _find(row: _Row, where: str, lookup: Lookup) -> Find:
    utterance_id, source = where, ""  # until they are known
    try:
        if isinstance(row, UtteranceError):
            raise row
        written = _field(row, "audio")
        if not written:
            raise _bad("has no audio")
        source, there = lookup.file(written)
        utterance_id = nfc(_field(row, "id") or _without_suffix(source))
        if row.get("offset") not in (None, "", 0, "0"):
            raise _bad("has an offset into a recording; cut the recordings before")
        named_split = _field(row, "split")
        split = split_of(named_split) if named_split else ""
        if split is None:
            raise _bad(f"unknown split {named_split!r}; use train, val or test")
        if not there:
            raise UtteranceError(Reason.AUDIO_MISSING, f"no file {source}")
        text = one_line(_field(row, "text"))
        if not text:
            present = any(row.get(name) is not None for name in FIELDS["text"])
            reason = Reason.EMPTY_TRANSCRIPT if present else Reason.NO_TRANSCRIPT
            raise UtteranceError(reason, "its text is blank" if present else "has no text")
        return Utterance(
            id=utterance_id,
            source=source,
            text=text,
            speaker=nfc(_field(row, "speaker")) or DEFAULT_SPEAKER,
            language=_field(row, "language"),
            split=split,
        )
    except UtteranceError as error:
        return reject(utterance_id, source, error.reason, f"{where}: {error.message}")


def _field(row: Mapping[str, Any], field: str) -> str:
    """The value of a field without blanks around it, or "" if it is missing or null.

    Raises:
        UtteranceError: the value is not a string, or not UTF-8.
    """
    name = next((name for name in FIELDS[field] if row.get(name) is not None), None)
    if name is None:
        return ""
    value = row[name]
    if isinstance(value, int) and not isinstance(value, bool) and field in ("id", "speaker"):
        value = str(value)
    if not isinstance(value, str):
        raise _bad(f"{name} is {json.dumps(value)[:40]}, expected a string")
    if not encodable(value):
        message = f"{name} is not UTF-8; convert the file, for example: iconv -f LATIN1 -t UTF-8"
        raise UtteranceError(Reason.TRANSCRIPT_UNREADABLE, message)
    if "\0" in value:
        raise _bad(f"{name} contains a NUL character")
    return value.strip()


def _without_suffix(source: str) -> str:
    folder, slash, name = source.rpartition("/")
    return folder + slash + split_suffix(name)[0]


def _bad(message: str) -> UtteranceError:
    return UtteranceError(Reason.BAD_ROW, message)
