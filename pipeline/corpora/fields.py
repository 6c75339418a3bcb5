"""`--fields`: which column of a table, or which field of a manifest, holds what."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from ns2.pipeline.core.errors import OptionError

FIELDS: dict[str, tuple[str, ...]] = {
    "audio": ("audio", "audio_filepath", "path"),
    "text": ("text", "transcript", "sentence"),
    "id": ("id",),
    "speaker": ("speaker", "speaker_id"),
    "language": ("language", "lang"),
    "split": ("split",),
    "offset": ("offset",),
    "duration": ("duration",),
    "phonemes": ("phonemes",),
    "confidence": ("confidence",),
}
"""The names that a field may have; the first name that a row has is taken."""

OTHERS: dict[str, tuple[str, ...]] = {
    "audio": (
        "file_name", "filename", "audio_file", "audio_path", "wav_filename", "wav_path", "wav",
        "file", "file_path", "filepath",
    ),
    "text": ("transcription", "normalized_text", "raw_transcription"),
    "id": ("utt_id", "utterance_id"),
    "speaker": ("speaker_name", "client_id"),
    "language": ("locale",),
    "split": (),
    "offset": (),
    "duration": (),
    "phonemes": (),
    "confidence": (),
}  # fmt: skip
"""Names of other toolkits. They count where audio or text has such a name, too: what a manifest
whose audio and text have a name of `FIELDS` means has never depended on them."""

_WORDS_SAID = ("normalized", "normalised", "cleaned", "clean", "norm")
_TEXTS = ("text", "transcription", "transcript", "sentence")
NORMALISED = (
    *(f"{said}{mark}{text}" for said in _WORDS_SAID for text in _TEXTS for mark in "_ "),
    *(f"{text}{mark}{said}" for said in _WORDS_SAID for text in _TEXTS for mark in "_ "),
    "normalized", "normalised",
)  # fmt: skip
"""Names of the text as it is spoken, which is better than the text as written, as in LJSpeech."""

_DIGITS = 5
_FORM = "FIELD=COLUMN,..., as in id=1,speaker=2,text=3 or text=sentence"


@dataclass(frozen=True)
class Fields:
    """What `--fields` says.

    Attributes:
        columns: by field, the name or the number (from 1) of the column that holds it; "" for a
            field that is not to be read.
    """

    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read the value of the option; None says nothing.

        Raises:
            OptionError: it has another form, or names no field.
        """
        columns: dict[str, str] = {}
        for part in (text or "").split(",") if text is not None else ():
            name, equals, column = (piece.strip() for piece in part.partition("="))
            if not equals or not name:
                raise OptionError(f"--fields {text}: expected {_FORM}")
            if name not in FIELDS:
                near = difflib.get_close_matches(name, FIELDS, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise OptionError(
                    f"--fields: there is no field {name!r}{meant}; fields are {', '.join(FIELDS)}"
                )
            if name in columns:
                raise OptionError(f"--fields names {name} twice")
            if is_number(column) and len(column) > _DIGITS:
                raise OptionError(f"--fields: no table has a column {column[:20]}...")
            if re.fullmatch(r"0+", column):
                raise OptionError("--fields: columns are counted from 1")
            if column and column in columns.values():
                raise OptionError(f"--fields takes two fields from the column {column}")
            columns[name] = column
        return cls(columns)

    def __bool__(self) -> bool:
        return bool(self.columns)

    def names(self, column: str, there: Sequence[str] = ()) -> tuple[str, ...]:
        """The names that a field may have in a table.

        Args:
            column: the field, a key of `FIELDS`.
            there: names of all columns of the table.
        """
        if column in self.columns:
            named = self.columns[column]
            return (named,) if named else ()
        if column == "text":
            spoken = [name for name in NORMALISED if name in there]
            return (*spoken, *FIELDS[column], *OTHERS[column])
        known = all(any(n in there for n in self.of(f)) for f in ("audio", "text"))
        if known and column != "audio":
            return FIELDS[column]
        return FIELDS[column] + OTHERS[column]

    def of(self, column: str) -> tuple[str, ...]:
        """The names of a field without those of other toolkits."""
        named = self.columns.get(column)
        return FIELDS[column] if named is None else (named,) if named else ()

    @property
    def numbers(self) -> dict[str, int]:
        """Fields whose column is a number, with the number less 1."""
        return {f: int(column) - 1 for f, column in self.columns.items() if is_number(column)}

    def lowered(self) -> Fields:
        """The same with names in lower case, as those of a table's first line are compared."""
        return Fields({name: column.lower() for name, column in self.columns.items()})

    def repeated(self, there: Sequence[str]) -> str:
        """The name of a field that several columns of a table have; "" if there is none.

        Args:
            there: names of all columns of the table.
        """
        named = (self.names(field, there) for field in FIELDS if field not in self.numbers)
        read = {next((name for name in names if name in there), "") for names in named} - {""}
        return next((name for name in there if name in read and there.count(name) > 1), "")

    def missing(self, there: Sequence[str]) -> list[str]:
        """Names of columns that it takes and a table does not have.

        Args:
            there: names of all columns of the table.
        """
        return [
            column
            for column in self.columns.values()
            if column and not is_number(column) and column not in there
        ]


def speaker_name(written: str) -> str:
    """The name of a speaker as it is written, and "1" of "1.0", which pandas makes of 1."""
    return written.removesuffix(".0") if re.fullmatch(r"\d+\.0", written) else written


def is_number(column: str) -> bool:
    """Whether a column of `--fields` is a number."""
    return column.isascii() and column.isdigit()


def refuse_fields(fields: Fields, layout: str) -> None:
    """See that `--fields` is not given with a layout whose files leave nothing open.

    Raises:
        OptionError: it is.
    """
    if fields:
        raise OptionError(
            f"--fields is for tables whose columns may differ, and those of the layout {layout} "
            "have one form: leave it out, or choose another --layout"
        )
