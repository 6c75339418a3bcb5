"""Which column of a table holds what: as its first line, `--fields` or the table itself tells."""

from __future__ import annotations

from collections.abc import Sequence

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.columns import Columns, decide
from ns2.pipeline.corpora.fields import FIELDS, NORMALISED, OTHERS, Fields

_HELD = {name: f for f in FIELDS for name in (*FIELDS[f], *OTHERS[f])}
_MORE = ("speaker", "language", "split")


def looks_like_names(line: Sequence[str]) -> bool:
    """Whether a line, in lower case, names columns: that of the id or the audio, and the text."""
    if len(line) < 2 or len(set(line)) < len(line):
        return False
    held = {"text" if name in NORMALISED else _HELD.get(name, "") for name in line}
    return "text" in held and bool(held & {"audio", "id"})


def find_columns(rows: Sequence[Sequence[str]], fields: Fields, table: str, named: bool) -> Columns:
    """Find out which column holds what.

    Args:
        rows: all rows, the first line included.
        fields: what `--fields` says.
        table: the table's name, for messages.
        named: whether the first line names the columns; else it does if `--fields` has its names.

    Raises:
        UserError: it is open, or `--fields` names what is not there.
    """
    if pieces := [
        f for f in ("offset", "duration", "phonemes", "confidence") if fields.columns.get(f)
    ]:
        raise UserError(
            f"--fields: {pieces[0]} is read from manifests, and {table} is a table: write a "
            "manifest, with audio, text and what else there is in each row"
        )
    header = [name.lower() for name in rows[0]] if rows else []
    lowered = fields.lowered()
    if named or set(header) & set(lowered.missing([])):
        return _named(header, lowered, table)
    if missing := fields.missing([]):
        raise UserError(
            f"--fields names the column {missing[0]}, but the first line of {table} names no "
            "columns: give their numbers, as in --fields id=1,text=2"
        )
    return _numbered(fields, table) if fields.numbers else decide(rows, table)


def _named(header: Sequence[str], fields: Fields, table: str) -> Columns:
    """The columns as the first line names them."""
    if missing := fields.missing(header):
        raise UserError(
            f"--fields names the column {missing[0]}, but those of {table} are {', '.join(header)}"
        )
    if name := fields.repeated(header):
        raise UserError(f"{table}: several columns are named {name}; rename all but one")
    at = {f: i for f in FIELDS if (i := _position(f, header, fields)) is not None}
    text = [at["text"]] if "text" in at else []
    spoken = next((header.index(name) for name in NORMALISED if name in header), None)
    taken = {i for f, i in at.items() if f in fields.columns}
    if spoken is not None and "text" not in fields.columns and spoken not in taken:
        text = [spoken, *(i for i in text if i != spoken)]
    key = at.get("id", at.get("audio"))
    if key is None or not text:
        raise UserError(
            f"{table}: its first line names {', '.join(header)}; which of them are id and text? "
            f"Say so, as in --fields id={header[0]},text={header[-1]}"
        )
    more = {f: at[f] for f in _MORE if f in at}
    audio = at.get("audio")
    read = {key, audio, *text, *more.values()}
    unused = [name for i, name in enumerate(header) if i not in read]
    ignored = f"; {', '.join(unused)} are not read" if unused else ""
    return Columns(
        widths=(len(header),),
        id=key,
        text=tuple(text),
        audio=audio if audio != key else None,
        more=more,
        named=True,
        form="|".join(header),
        note=f"the first line of {table} names its columns: {', '.join(header)}{ignored}",
    )


def _position(name: str, header: Sequence[str], fields: Fields) -> int | None:
    """The column of a field in a table with a line of names, or None."""
    if name in fields.numbers:
        return fields.numbers[name]
    names = fields.names(name) if name in fields.columns else (*FIELDS[name], *OTHERS[name])
    return next((header.index(one) for one in names if one in header), None)


def _numbered(fields: Fields, table: str) -> Columns:
    """The columns as `--fields` numbers them; the first is the id, and the second the text.

    Raises:
        UserError: `--fields` gives that column to another field.
    """
    at = fields.numbers
    for name, column in (("text", 1), ("id", 0)):
        others = [f for f in at if at[f] == column]
        if name not in at and others and not (name == "id" and "audio" in at):
            raise UserError(
                f"{table}: --fields says that column {column + 1} is the {others[0]}; say which "
                f"one is the {name}, too, as in --fields id=1,speaker=2,text=3"
            )
    text = at.get("text", 1)
    key, audio = at.get("id", at.get("audio", 0)), at.get("audio")
    widest = max(*at.values(), text) + 1
    return Columns(
        widths=tuple(range(widest, widest + 100)),
        id=key,
        text=(text,),
        audio=audio if audio != key else None,
        more={f: at[f] for f in _MORE if f in at},
        form=f"at least {widest} columns",
    )
