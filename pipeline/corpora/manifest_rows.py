"""The rows of manifests: what each says of an utterance, and what is noticed of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import BORDER, SILENCE, Piece, Reason, Utterance
from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Find, reject
from ns2.pipeline.corpora.entries import (
    as_name,
    named_split,
    shown_value,
    text_value,
    without_suffix,
)
from ns2.pipeline.corpora.fields import FIELDS, NORMALISED, OTHERS, Fields, speaker_name
from ns2.pipeline.corpora.folders import Lookup, first_names, nfc, one_line
from ns2.pipeline.corpora.languages import voice_of
from ns2.pipeline.corpora.rows import Row, bad_row, read_rows
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.remote.urls import is_url

_LARGEST = 1e7

_SPANS = ("start", "end", "start_time", "end_time", "begin", "begin_time", "start_sec", "end_sec")


@dataclass
class ManifestRows:
    """The rows of a manifest, and what is noticed of all of them.

    Attributes:
        lookup: finds the audio, relative to the corpus.
        folder: of the table, relative to the corpus; "" where it is the corpus's own.
        split: of rows that name none.
        unread: names of fields that are not read.
        names: of all fields.
        odd: the number of rows whose duration is no number.
        unsure: the number of rows whose confidence is no number from 0 to 1.
        spoken: fields of normalised text that are taken, each with the one that it replaces.
    """

    table: Path
    fields: Fields
    lookup: Lookup
    folder: str = ""
    split: str = ""
    unread: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    odd: int = 0
    unsure: int = 0
    spoken: dict[str, str] = field(default_factory=dict)
    _held: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = field(default_factory=dict)
    _row: Mapping[str, Any] | None = None
    _here: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The table's path in the corpus."""
        return f"{self.folder}/{self.table.name}" if self.folder else self.table.name

    def finds(self, rows: Iterable[tuple[int, Row]] | None = None) -> list[Find]:
        """What the rows name.

        Args:
            rows: with their numbers; None reads those of the table.

        Raises:
            UserError: `--fields` takes a field that no row has.
        """
        fields = self.fields
        if self.table.suffix.lower() in (".csv", ".tsv"):
            self.fields = fields.lowered()
        found = [
            self._find(row, f"{self.name}:{number}")
            for number, row in (read_rows(self.table, fields) if rows is None else rows)
        ]
        if self.names and (missing := self.fields.missing(tuple(self.names))):
            raise UserError(
                f"{self.table}: no row has the field {missing[0]} that --fields takes; fields are "
                f"{', '.join(self.names)}"
            )
        return found

    def audio(self) -> Iterator[str]:
        """The paths of audio as they are written, of the rows that have one."""
        fields = self.fields
        if self.table.suffix.lower() in (".csv", ".tsv"):
            self.fields = fields.lowered()
        for _, row in read_rows(self.table, fields):
            with suppress(UtteranceError):
                if not isinstance(row, UtteranceError) and (written := self._text(row, "audio")):
                    yield written

    def warnings(self, *, last: bool = True) -> list[str]:
        """Sentences on what is not read.

        Args:
            last: no other table names audio of the same folders.
        """
        found = []
        unused, name = self.lookup.unused() if last else [], self.name
        if unused:
            found.append(f"audio without a row in {name}: {first_names(unused)}")
        if self.unread:
            found.append(
                f"fields of {name} that are not read: {', '.join(self.unread)}{self._hint()}"
            )
        if self.odd:
            found.append(
                f"{self.odd} rows of {name} have a duration that is no number of seconds; the "
                "whole recording is taken"
            )
        if self.unsure:
            found.append(
                f"{self.unsure} rows of {name} have a confidence that is no number from 0 to 1; "
                "they have none"
            )
        return found

    def notes(self) -> list[str]:
        """Sentences on what was decided."""
        return [
            f"{spoken} of {self.name} is taken as the text, and {raw} where that is blank; "
            f"--fields text={raw} takes {raw} alone"
            for spoken, raw in self.spoken.items()
        ]

    def _hint(self) -> str:
        """How to read a field whose name another toolkit uses."""
        if spans := [name for name in _SPANS if name in self.unread]:
            said = " and ".join(spans)
            return (
                f"; if {said} tell pieces of recordings, write offset and duration: all of each "
                "recording is taken"
            )
        for one, others in OTHERS.items():
            for name in others:
                if name in self.unread:
                    return f"; if {name} is the {one}, add --fields {one}={name}"
        return "; --fields says which field holds what"

    def _note_names(self, there: tuple[str, ...]) -> None:
        """Keep the names of a row's fields, and which of them are not read."""
        new = [n for n in there if n not in self.names and not n.isdigit()]
        self.names.update(dict.fromkeys(new))
        read = {name for names in self._held[there].values() for name in names}
        read |= {n for one in FIELDS for n in FIELDS[one] if one not in self.fields.columns}
        self.unread.update({n: None for n in new if n not in read and n})

    def _find(self, row: Mapping[str, Any] | UtteranceError, where: str) -> Find:
        utterance_id, source, own = where, "", ""  # until they are known
        try:
            if isinstance(row, UtteranceError):
                raise row
            written = self._text(row, "audio")
            if not written:
                raise bad_row("has no audio")
            source, there = self._audio(written)
            own = self._text(row, "id")
            utterance_id = nfc(own or without_suffix(source))
            piece = self._piece(row)
            if piece is not None and piece.offset and not own:
                utterance_id = f"{utterance_id}@{piece.offset:g}"
            split = named_split(self._text(row, "split")) or self.split
            if not there:
                raise UtteranceError(Reason.AUDIO_MISSING, f"no file {source}")
            phonemes = self._phonemes(row)
            text = one_line(self._spoken_text(row)) or _text_of(phonemes)
            if not text:
                raise self._no_text(row)
            return Utterance(
                id=utterance_id,
                source=source,
                text=text,
                speaker=speaker_name(nfc(self._text(row, "speaker"))) or DEFAULT_SPEAKER,
                language=voice_of(self._text(row, "language")),
                split=split,
                piece=piece,
                phonemes=phonemes,
                confidence=self._confidence(row),
            )
        except UtteranceError as error:
            if error.reason is Reason.BAD_ROW and not own:  # other pieces may have its audio's name
                utterance_id = where
            return reject(utterance_id, source, error.reason, f"{where}: {error.message}")

    def _audio(self, written: str) -> tuple[str, bool]:
        """Find the file of a row, whose path may have backslashes: (source, does it exist)."""
        elsewhere = not self.folder or written[:1] == "/" or is_url(written)
        inside = written if elsewhere else f"{self.folder}/{written}"
        source, there = self.lookup.file(inside)
        if not there and "\\" in written:
            return self.lookup.file(inside.replace("\\", "/"))
        return source, there

    def _value(self, row: Mapping[str, Any], one: str) -> tuple[str, Any]:
        """The name and value of a field; the value is None if it is missing or null."""
        for name in self._names(row)[one]:
            value = row.get(name)
            if value is not None:
                return name, value
        return "", None

    def _names(self, row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """The names that each field may have in a row, best first."""
        if row is not self._row:  # it is asked for each field
            there = tuple(row)
            if there not in self._held:  # most rows have the same fields
                self._held[there] = {name: self.fields.names(name, there) for name in FIELDS}
                self._note_names(there)
            self._row, self._here = row, self._held[there]
        return self._here

    def _text(self, row: Mapping[str, Any], one: str) -> str:
        """The value of a field without blanks around it, or "" if it is missing or null.

        Raises:
            UtteranceError: the value is not a string, or not UTF-8.
        """
        name, value = self._value(row, one)
        if value is None:
            return ""
        return text_value(name, as_name(value) if one in ("id", "speaker") else value)

    def _spoken_text(self, row: Mapping[str, Any]) -> str:
        """The text of a row: the normalised one unless it is blank.

        Raises:
            UtteranceError: it is not a string, or not UTF-8.
        """
        names = [
            name
            for name in self._names(row)["text"]
            if row.get(name) is not None
            and (isinstance(row[name], str) or name not in NORMALISED)  # it may be a flag
        ]
        if len(names) > 1 and names[0] in NORMALISED:
            self.spoken.setdefault(names[0], names[1])
        texts = (text_value(name, row[name]) for name in names)
        return next(filter(None, texts), "")

    def _no_text(self, row: Mapping[str, Any]) -> UtteranceError:
        present = self._value(row, "text")[1] is not None
        reason = Reason.EMPTY_TRANSCRIPT if present else Reason.NO_TRANSCRIPT
        return UtteranceError(reason, "its text is blank" if present else "has no text")

    def _piece(self, row: Mapping[str, Any]) -> Piece | None:
        """The piece of the recording that a row names, or None for all of it.

        Raises:
            UtteranceError: the offset, or the duration beside one, is no number that it may be.
        """
        (name, offset), (other, duration) = (self._value(row, n) for n in ("offset", "duration"))
        begins, lasts = _number(offset), _number(duration)
        given = offset not in (None, "")
        if given and (begins is None or begins < 0):
            raise bad_row(
                f"{name} is {shown_value(offset)}, expected seconds from the start, 0 or more"
            )
        if duration not in (None, "") and (lasts is None or lasts < 0):
            if given:
                raise bad_row(f"{other} is {shown_value(duration)}, expected a number of seconds")
            self.odd += 1
            return None
        if begins and lasts == 0:
            raise bad_row(f"{other} is 0 and {name} is {shown_value(offset)}: the piece is empty")
        if not begins and not lasts:
            return None
        return Piece(offset=begins or 0.0, duration=lasts or None, at_most=not given)

    def _confidence(self, row: Mapping[str, Any]) -> float | None:
        """How surely the text of a row is what is said, or None if it does not tell."""
        _, value = self._value(row, "confidence")
        if value in (None, ""):
            return None
        found = _number(value)
        if found is None or not 0 <= found <= 1:
            self.unsure += 1
            return None
        return found

    def _phonemes(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The phonemes that a row gives: a string with spaces between them, or in JSON a list.

        Raises:
            UtteranceError: they are something else.
        """
        name, value = self._value(row, "phonemes")
        if value is None or isinstance(value, str):
            return tuple(text_value(name, value or "").split())
        if not isinstance(value, list):
            raise bad_row(f"{name} is {shown_value(value)}, expected a string or a list of strings")
        symbols = [text_value(name, symbol) for symbol in value]
        if odd := [symbol for symbol in symbols if len(symbol.split()) != 1]:
            raise bad_row(f"{name} has {odd[0]!r}, expected a phoneme in each place of the list")
        return tuple(symbols)


def _text_of(phonemes: Sequence[str]) -> str:
    """What stands for the text of a row that gives phonemes alone: its words in phones."""
    between = PhonemeTable.default().optional
    parts = [
        " " if token in (BORDER, SILENCE) else f"{token} " if token in between else token
        for token in phonemes
    ]
    return " ".join("".join(parts).split())


def _number(value: Any) -> float | None:
    """A finite number, or None if the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and abs(seconds) < _LARGEST else None
