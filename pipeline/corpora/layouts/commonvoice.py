"""Common Voice: `<locale>/clips/*.mp3` with tables of tab-separated values beside `clips/`.

Ardila et al. 2020, "Common Voice: A Massively-Multilingual Speech Corpus", LREC,
https://arxiv.org/abs/1912.06670. The files of a release and the meaning of its tables are described
in https://github.com/common-voice/cv-dataset; https://github.com/common-voice/CorporaCreator draws
the splits and writes the tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ns2.pipeline.core.errors import OptionError, UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora import languages
from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Corpus, Find, check_rows, reject, settle
from ns2.pipeline.corpora.fields import Fields, is_number
from ns2.pipeline.corpora.folders import (
    AUDIO_SUFFIXES,
    Lookup,
    decode,
    first_names,
    list_folder,
    nfc,
    split_suffix,
    table_lines,
)

CLIPS = "clips"
SPLITS = {"train.tsv": "train", "dev.tsv": "val", "test.tsv": "test"}
VALIDATED = "validated.tsv"
TABLES = (*SPLITS, VALIDATED)
UNUSED = ("other.tsv", "invalidated.tsv")
"""Tables of clips that too few people have checked, or most of them voted against."""

COLUMNS = ("client_id", "path", "sentence")
LOCALE = "locale"  # a column since release 5.0

VOICES = {"pt": "pt-br"}
"""espeak-ng's voices of locales that have another one elsewhere. Most of the Portuguese is
Brazilian (Gris et al. 2021, arXiv:2107.11414)."""

_LOCALE = re.compile(r"([a-z]{2,3})(-[A-Z]{2}|-[a-z]+)?")


def voice_of(locale: str) -> str:
    """The espeak-ng voice of a locale, such as "sv" of "sv-SE".

    The voice may not exist: then the utterances are rejected for an unknown language, which is
    better than to read them in another one.
    """
    return VOICES.get(locale) or languages.voice_of(locale)


class CommonVoice:
    """Reader of the layout of Common Voice; the path is a locale, or a release with several.

    Utterances are the rows of `validated.tsv` and of the tables of the official splits. These are
    drawn from it, with one recording of each sentence and each speaker in one split only. A row
    that only `validated.tsv` has gets the split of its speaker if that is dev (val) or test, else
    train; so each speaker still is in one split. Without any split table no utterance has a split.
    Clips of `other.tsv` and `invalidated.tsv` are not used.

    The id is the name of the clip without its suffix, the speaker is the `client_id`. The language
    is the `locale` of the row, else the name of the folder. Quotation marks in the tables are
    literal.
    """

    name = "commonvoice"
    looks_like = f"<locale>/{CLIPS}/*.mp3 with {', '.join(SPLITS)} or {VALIDATED} beside {CLIPS}/"

    def matches(self, root: Path) -> bool:
        """Whether the path has a folder of clips and a table, or is a folder of such folders."""
        return root.is_dir() and bool(_locales(root))

    def resembles(self, root: Path) -> bool:
        """Nothing but what `matches` sees is taken for Common Voice."""
        return False

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all rows of the tables.

        Args:
            root: the folder of a locale, or of a release.
            fields: names of columns to read in place of `sentence`, `path`, `client_id` and
                `locale`.

        Raises:
            UserError: clips or tables are missing, a table cannot be read or lacks a column, or no
                line has the form of a row.
        """
        folders = _locales(root) if root.is_dir() else []
        if not folders:
            raise UserError(f"{root} does not have the layout of Common Voice ({self.looks_like})")
        lookup = Lookup(root)
        columns = _columns(fields or Fields())
        locales = [_Locale(root, folder, lookup, columns) for folder in folders]
        finds = [find for locale in locales for find in locale.finds()]
        check_rows(finds, root, "of its table's first line")
        warnings = []
        nameless = sum(locale.nameless for locale in locales)
        if nameless:
            warnings.append(f"{nameless} rows name no locale; --language of the run is used")
        stray = lookup.unused()
        if stray:
            unused = set().union(*(locale.unused() for locale in locales))
            stray = [source for source in stray if split_suffix(source)[0] not in unused]
        if stray:
            warnings.append(f"audio without a row in any table: {first_names(stray)}")
        return settle(self.name, root, finds, warnings)


def _locales(root: Path) -> list[str]:
    """Folders of locales relative to root: root itself, or all folders in it."""

    def fits(folder: str) -> bool:
        inside = list_folder(root, folder)
        return CLIPS in inside.folders and any(name in inside.files for name in TABLES)

    if fits(""):
        return [""]
    folders = list_folder(root, "").folders
    return folders if all(fits(folder) for folder in folders) else []


class _Locale:
    """The tables of one locale."""

    def __init__(self, root: Path, folder: str, lookup: Lookup, columns: Mapping[str, str]) -> None:
        self._root, self._lookup, self._columns = root, lookup, columns
        self._prefix = f"{folder}/" if folder else ""
        named = folder or Path(os.path.abspath(root)).name  # noqa: PTH100 - keeps links
        self._voice = voice_of(named) if _LOCALE.fullmatch(named) else ""
        self._shared: dict[str, str] = {}
        self.nameless = 0  # rows without a locale, in a folder whose name is not one either

    def finds(self) -> list[Find]:
        """All rows of the split tables, then the other rows of `validated.tsv`."""
        finds: list[Find] = []
        held_out: dict[str, str] = {}
        for table, split in SPLITS.items():
            for find in self._rows(table, split):
                finds.append(find)
                if isinstance(find, Utterance) and split != "train":
                    held_out[find.speaker] = split
        held_out.pop(DEFAULT_SPEAKER, None)
        known = {find.id for find in finds}
        rest = "train" if known else ""
        finds += [find for find in self._rows(VALIDATED, rest, held_out) if find.id not in known]
        return finds

    def unused(self) -> set[str]:
        """Sources, without suffix, of the clips in the tables `UNUSED`."""
        return {
            f"{self._prefix}{CLIPS}/{_id(row.get('path', ''))}"
            for table in UNUSED
            for _, row, _ in self._table(table)
        }

    def _rows(
        self, table: str, split: str, by_speaker: Mapping[str, str] | None = None
    ) -> Iterator[Find]:
        """What is found in the rows of a table.

        Args:
            table: the name of the table.
            split: the split of utterances whose speaker is not in `by_speaker`.
            by_speaker: splits by speaker.
        """
        splits = by_speaker or {}
        for number, row, error in self._table(table):
            where = f"{self._prefix}{table}:{number}"
            path = row.get("path", "")
            utterance_id, source = where, ""
            try:
                if path and "/" not in path:
                    utterance_id = _id(path)
                if error:
                    raise error
                if utterance_id == where:
                    message = f"its path {path!r} is not the name of a clip"
                    raise UtteranceError(Reason.BAD_ROW, message)
                source, there = self._clip(path)
                if not there:
                    raise UtteranceError(Reason.AUDIO_MISSING, f"no file {source}")
                if not row["sentence"]:
                    raise UtteranceError(Reason.EMPTY_TRANSCRIPT, "has no sentence")
            except UtteranceError as wrong:
                yield reject(utterance_id, source, wrong.reason, f"{where}: {wrong.message}")
                continue
            speaker = self._share(nfc(row["client_id"]) or DEFAULT_SPEAKER)
            locale = row.get(LOCALE, "")
            voice = self._share(voice_of(locale)) if locale else self._voice
            self.nameless += not voice
            yield Utterance(
                id=utterance_id,
                source=source,
                text=row["sentence"],
                speaker=speaker,
                language=voice,
                split=splits.get(speaker, split),
            )

    def _clip(self, path: str) -> tuple[str, bool]:
        """Find a clip by its name; a clip that was converted has another suffix."""
        source, there = self._lookup.file(f"{self._prefix}{CLIPS}/{path}")
        if not there:
            converted, there = self._lookup.audio(f"{self._prefix}{CLIPS}/{_id(path)}")
            source = converted if there else source
        return source, there

    def _share(self, text: str) -> str:
        """The same object for equal strings: a `client_id` has 128 characters and many rows."""
        return self._shared.setdefault(text, text)

    def _table(self, name: str) -> Iterator[tuple[int, dict[str, str], UtteranceError | None]]:
        """Rows as (line number, fields, error or None); none if the table does not exist."""
        table = self._root / self._prefix / name
        if not table.is_file():
            return
        lines = table_lines(table)
        _, first = next(lines, (1, b""))
        header = [column.strip() for column in first.decode("utf-8", "replace").split("\t")]
        missing = [named for named in self._columns.values() if named not in header]
        header = [_ours(column, self._columns) for column in header]
        missing += [column for column in COLUMNS if column not in header]
        if missing:
            raise UserError(
                f"{table}: the first line must name the columns, but it lacks "
                f"{' and '.join(missing)}"
            )
        for number, line in lines:
            error = None
            try:
                decoded = decode(line, "the line")
            except UtteranceError as wrong:
                # Its other fields may still name the clip.
                decoded, error = line.decode("utf-8", "backslashreplace"), wrong
            fields = [field.strip() for field in decoded.split("\t")]
            if not error and len(fields) != len(header):
                message = f"{len(fields)} fields, but the first line names {len(header)}"
                error = UtteranceError(Reason.BAD_ROW, message)
            yield number, dict(zip(header, fields, strict=False)), error


def _columns(fields: Fields) -> dict[str, str]:
    """By the name of a column of Common Voice, the one that is read in its place.

    Raises:
        OptionError: a field is not one of a table of Common Voice, or its column has no name.
    """
    ours = {"speaker": "client_id", "audio": "path", "text": "sentence", "language": LOCALE}
    wrong = [
        name for name, c in fields.columns.items() if name not in ours or not c or is_number(c)
    ]
    if wrong:
        raise OptionError(
            f"--fields {wrong[0]}={fields.columns[wrong[0]]}: in tables of Common Voice it names "
            f"the columns of {', '.join(ours)}, as in text=sentence"
        )
    return {ours[name]: column for name, column in fields.columns.items()}


def _ours(column: str, columns: Mapping[str, str]) -> str:
    """The name of a column, which is another's if it is read in that one's place."""
    alone = f"unread {column}" if column in columns else column
    return next((ours for ours, named in columns.items() if named == column), alone)


def _id(path: str) -> str:
    stem, suffix = split_suffix(nfc(path))
    return stem if suffix in AUDIO_SUFFIXES else nfc(path)
