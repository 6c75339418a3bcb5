"""Rows of a manifest by the names of their fields: JSON lines, a JSON array, CSV, TSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.fields import FIELDS, OTHERS, Fields
from ns2.pipeline.corpora.folders import decode, is_utf16

JSON_SUFFIXES = (".jsonl", ".jsonlines", ".json-lines", ".ndjson", ".json")
SUFFIXES = (*JSON_SUFFIXES, ".csv", ".tsv")

_DELIMITERS = ",;\t|"
_LARGEST_ARRAY = 1 << 30
"""The most bytes of a JSON array, which is read at once."""

Row = Mapping[str, Any] | UtteranceError
"""The fields of a row, or why it can't be read."""


def read_rows(table: Path, fields: Fields) -> Iterator[tuple[int, Row]]:
    """Rows with the line at which they begin, or their number in a JSON array, from 1.

    Rows of CSV and TSV have the names of their columns in lower case, and where `--fields` gives
    numbers, their values by number, too.

    Raises:
        UserError: it can't be read, is UTF-16, or names no fields.
    """
    with table.open("rb") as file:
        start = file.read(64)
    if is_utf16(start):
        raise UserError(f"{table} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
    if table.suffix.lower() in (".csv", ".tsv"):
        return _table_rows(table, fields)
    if fields.numbers:
        raise UserError(
            f"{table}: --fields has the number {min(fields.numbers.values()) + 1}, but fields of "
            "JSON have names: give the name"
        )
    array = _array(table) if start.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] == b"[" else None
    return _json_rows(table) if array is None else enumerate(array, 1)


def bad_row(message: str) -> UtteranceError:
    """The error of a row that can't be understood."""
    return UtteranceError(Reason.BAD_ROW, message)


# -- JSON ------------------------------------------------------------------------------------------


def has_lines(table: Path) -> bool:
    """Whether each line of a manifest is a row: it holds JSON, and no array."""
    if table.suffix.lower() in (".csv", ".tsv"):
        return False
    with table.open("rb") as file:
        return file.read(64).lstrip(b" \t\r\n\xef\xbb\xbf")[:1] != b"["


def _array(table: Path) -> list[Row] | None:
    """The rows of a file that is one JSON array of objects, or None if it is something else."""
    if table.stat().st_size > _LARGEST_ARRAY:
        return None
    try:
        value = json.loads(table.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not any(isinstance(row, dict) for row in value):
        return None
    return [row if isinstance(row, dict) else _no_object(row) for row in value]


def _json_rows(table: Path) -> Iterator[tuple[int, Row]]:
    with table.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            bare = line.strip(b" \t\r\n\xef\xbb\xbf")
            if number == 1 and bare in (b"[", b"{"):
                raise UserError(
                    f"{table} is a single JSON value over many lines; a manifest has an object on "
                    "each line, or is an array of objects; convert it: jq -c '.[]' OLD > NEW"
                )
            if bare:
                yield number, json_row(line)


def json_row(line: bytes) -> Row:
    """The row of a line of JSON, or why it can't be read."""
    try:
        row = json.loads(decode(line, "the line"))
    except UtteranceError as error:
        return error
    except json.JSONDecodeError as error:
        return bad_row(f"not a JSON object on one line: {error.msg} at column {error.colno}")
    except ValueError:  # a number of thousands of digits
        return bad_row("not a JSON object of a manifest: it holds a giant number")
    except RecursionError:
        return bad_row("not a JSON object of a manifest: nested too deeply")
    return row if isinstance(row, dict) else _no_object(row)


def _no_object(row: object) -> UtteranceError:
    return bad_row(f"expected a JSON object on each line, got {type(row).__name__}")


# -- CSV and TSV -----------------------------------------------------------------------------------


def names_fields(line: str, delimiters: str = _DELIMITERS) -> bool:
    """Whether a line is the first one of a CSV: it names audio and text."""
    return _header(line, delimiters, Fields()) is not None


def _table_rows(table: Path, fields: Fields) -> Iterator[tuple[int, Row]]:
    # Bytes that are not UTF-8 become surrogates, so that only their own row is rejected.
    delimiters = "\t" if table.suffix.lower() == ".tsv" else _DELIMITERS
    with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        first = lines.readline()
        found = _header(first, delimiters, fields.lowered())
        if found is None and not fields.numbers:
            raise _no_header(table, fields)
        begins = 2
        if found is None:
            found = [], _delimiter(first, delimiters, fields)
            lines.seek(0)
            begins = 1
        header, delimiter = found
        if name := fields.lowered().repeated(header):
            raise UserError(f"{table}: several columns are named {name}; rename all but one")
        read = _tab_rows if table.suffix.lower() == ".tsv" else _csv_rows
        for number, values in read(lines, delimiter, begins, table):
            if isinstance(values, UtteranceError):
                yield number, values
            elif header and len(values) != len(header):
                wrong = f"{len(values)} fields, but the first line names {len(header)}"
                yield number, bad_row(wrong)
            else:
                named = dict(zip(header, values, strict=True)) if header else {}
                numbers = enumerate(values, 1) if fields.numbers else ()
                yield number, {**{str(i): value for i, value in numbers}, **named}


def _csv_rows(
    lines: Any, delimiter: str, begins: int, table: Path
) -> Iterator[tuple[int, list[str] | UtteranceError]]:
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = rows.line_num + begins
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            last = rows.line_num + begins - 1
            if last > number:
                raise UserError(
                    f"{table}: a quotation mark opened in line {number} is not closed before "
                    f"line {last} ({error}); close it, or double it if it is meant literally"
                ) from error
            yield number, bad_row(f"{error}; write a literal quotation mark as two, in quotes")
            continue
        if any(value.strip() for value in values):
            yield number, values


def _tab_rows(
    lines: Any, delimiter: str, begins: int, table: Path
) -> Iterator[tuple[int, list[str] | UtteranceError]]:
    """Rows of a TSV, one a line; a field is quoted only if all of it is."""
    for number, line in enumerate(lines, begins):
        if line.strip():
            yield number, [unquoted(value) for value in line.rstrip("\r\n").split(delimiter)]


def unquoted(value: str) -> str:
    """A value without the quotation marks around all of it."""
    inner = value[1:-1]
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return inner.replace('""', '"') if quoted and '"' not in inner.replace('""', "") else value


def _header(line: str, delimiters: str, fields: Fields) -> tuple[list[str], str] | None:
    """The names of the fields and the delimiter, or None if the line does not name them."""
    for delimiter in delimiters:
        names = [name.strip().lower() for name in _cut(line, delimiter)]
        named = [f for f in ("audio", "text") if _names(f, names, fields)]
        numbered = [f for f in ("audio", "text") if f in fields.numbers]
        if len(named) == 2 or (len(named) == 1 == len(numbered) and len(names) > 1):
            return names, delimiter
        if fields.numbers and names_known(names):
            return names, delimiter
    return None


def _names(field: str, names: Sequence[str], fields: Fields) -> bool:
    """Whether one of some names is that of a field; phonemes may stand for the text."""
    known = fields.names(field, names)
    if field == "text":
        known += fields.names("phonemes", names)
    return any(name in names for name in known)


def _cut(line: str, delimiter: str) -> list[str]:
    """The fields of a line; a carriage return within it is a blank."""
    try:
        return next(csv.reader([line.strip("\r\n").replace("\r", " ")], delimiter=delimiter), [])
    except csv.Error:  # a field without end
        return []


def names_known(names: Sequence[str]) -> bool:
    """Whether some names are those of fields: of the audio, and of the text."""
    return all(
        any(name in names for name in (*FIELDS[field], *OTHERS[field]))
        for field in ("audio", "text")
    )


def _delimiter(line: str, delimiters: str, fields: Fields) -> str:
    """What parts the columns of a table whose columns have numbers: enough of them."""
    widest = max(fields.numbers.values()) + 1
    counts = {one: len(_cut(line, one)) for one in delimiters}
    fitting = [one for one in "|\t;," if counts.get(one, 0) >= max(widest, 2)]
    return fitting[0] if fitting else delimiters[0]


def _no_header(table: Path, fields: Fields) -> UserError:
    named = [f"{f}={fields.columns[f]}" for f in ("audio", "text") if f in fields.columns]
    also = f" ({', '.join(named)} of --fields are not there)" if named else ""
    others = ", ".join(FIELDS["audio"][1:] + FIELDS["text"][1:])
    return UserError(
        f"{table}: the first line must name the fields, with audio and text among them "
        f"(or {others}), as in: audio,text,speaker{also}. If it names them otherwise, or not at "
        "all, --fields says which is which by their names or numbers, as in "
        "--fields audio=1,text=2"
    )
