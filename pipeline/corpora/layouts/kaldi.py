"""Data folders of Kaldi: wav.scp, text, and if there segments, utt2spk and utt2lang."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.corpus import Corpus, Find, check_rows, settle, split_of
from ns2.pipeline.corpora.entries import Entry, without_lone_train
from ns2.pipeline.corpora.folders import Lookup, id_and_text, list_folder, nfc, table_lines
from ns2.pipeline.corpora.origins import Origins
from ns2.pipeline.corpora.rows import bad_row

SCP, TEXT, SEGMENTS = "wav.scp", "text", "segments"
_SPEAKERS, _LANGUAGES = "utt2spk", "utt2lang"


class Kaldi:
    """Reader of a data folder, or of a folder with such folders, one for each split.

    An utterance is a line of `segments`, or where there is none a line of `wav.scp`. Commands in
    `wav.scp` (lines that end with `|`) are never run: their utterances are rejected. Paths are
    absolute, or relative to the data folder or a folder above it.
    """

    name = "kaldi"
    looks_like = "wav.scp and text, perhaps with segments, utt2spk and utt2lang, of Kaldi"

    def matches(self, root: Path) -> bool:
        """Whether the path has both tables, or folders in it have them."""
        return bool(_folders(root))

    def read(self, root: Path) -> Corpus:
        """Find all utterances.

        Raises:
            UserError: there is no such folder, or none of the rows of `wav.scp` can be read.
        """
        folders = _folders(root)
        if not folders:
            raise UserError(f"{root} does not have the layout of Kaldi ({self.looks_like})")
        lookup = Lookup(root)
        finds: list[Find] = []
        for folder in folders:
            data = _Data.read(root, folder, Origins(lookup, folder))
            finds += data.finds(split_of(folder) or "" if folder else "")
        check_rows(finds, root / folders[0] / SCP, "recording path")
        return settle(self.name, root, without_lone_train(finds), [])


def _folders(root: Path) -> list[str]:
    """Data folders: the root itself as "", or folders in it."""
    if not root.is_dir():
        return []
    if _is_data(root):
        return [""]
    return [name for name in sorted(list_folder(root, "").folders) if _is_data(root / name)]


def _is_data(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (SCP, TEXT))


class _Cut(NamedTuple):
    """A line of `segments`, or of `wav.scp` where there are none."""

    where: str
    recording: str
    piece: Piece | None = None
    fault: UtteranceError | None = None


@dataclass
class _Table:
    """A table of names and values.

    Attributes:
        lines: number and name of each line.
        values: by name; of lines with the same name that of the first.
    """

    lines: list[tuple[int, str]] = field(default_factory=list)
    values: dict[str, str | UtteranceError] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> _Table:
        """Read a table; one that is not there is empty."""
        table = _Table()
        for number, line in table_lines(path) if path.is_file() else ():
            name, value = id_and_text(line, f"{path.name}:{number}", None)
            table.lines.append((number, name))
            table.values.setdefault(name, value)
        return table


@dataclass
class _Data:
    """The tables of a data folder, by the names of their lines."""

    folder: str
    origins: Origins
    recordings: _Table
    texts: _Table
    speakers: _Table
    languages: _Table
    cuts: list[tuple[str, _Cut]]

    @staticmethod
    def read(root: Path, folder: str, origins: Origins) -> _Data:
        """Read the tables of a folder.

        Raises:
            UserError: one of them can't be read.
        """
        place = root / folder
        recordings = _Table.read(place / SCP)
        if (place / SEGMENTS).is_file():
            cuts = list(_segments(place / SEGMENTS))
        else:
            cuts = [(name, _Cut(f"{SCP}:{n}", name)) for n, name in recordings.lines]
        return _Data(
            folder=folder,
            origins=origins,
            recordings=recordings,
            texts=_Table.read(place / TEXT),
            speakers=_Table.read(place / _SPEAKERS),
            languages=_Table.read(place / _LANGUAGES),
            cuts=cuts,
        )

    def finds(self, split: str) -> Iterator[Find]:
        """What the lines are, and the texts that have no audio."""
        known = set()
        for name, cut in self.cuts:
            known.add(name)
            yield self._entry(name, cut, split).find(self._where(cut.where))
        lost = UtteranceError(Reason.AUDIO_MISSING, f"neither {SEGMENTS} nor {SCP} has this id")
        for number, name in self.texts.lines:
            if name not in known:
                yield Entry(id=name, source="", fault=lost).find(self._where(f"{TEXT}:{number}"))

    def _where(self, place: str) -> str:
        return f"{self.folder}/{place}" if self.folder else place

    def _entry(self, name: str, cut: _Cut, split: str) -> Entry:
        source, fault = "", cut.fault
        try:
            source = self._source(cut.recording) if fault is None else ""
        except UtteranceError as error:
            fault = error
        text = self.texts.values.get(name)
        return Entry(
            id=name,
            source=source,
            text=text,
            speaker=self.speakers.values.get(name),
            language=self.languages.values.get(name),
            split=split,
            piece=cut.piece,
            fault=fault,
        )

    def _source(self, recording: str) -> str:
        """The file of a recording.

        Raises:
            UtteranceError: it is none, or is not there.
        """
        if recording not in self.recordings.values:
            message = f"{SCP} has no recording {recording}"
            raise UtteranceError(Reason.AUDIO_MISSING, message)
        written = self.recordings.values[recording]
        if isinstance(written, UtteranceError):
            raise written
        if written.endswith("|") or written.startswith("|"):
            message = (
                f"{SCP} has a command for it, which ns2 never runs: write its output into a file, "
                "and the path of that file into the table"
            )
            raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
        if not written:
            raise bad_row(f"{SCP} has no path for it")
        source, there = self.origins.find(written)
        archive, _, offset = written.rpartition(":")
        if not there and archive and offset.isdigit():
            message = f"{SCP} names a place in an archive, {written[-60:]}; only files are read"
            raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
        if not there:
            raise UtteranceError(Reason.AUDIO_MISSING, f"no file {source}")
        return source


def _segments(path: Path) -> Iterator[tuple[str, _Cut]]:
    """The lines of `segments`."""
    for number, line in table_lines(path):
        where = f"{SEGMENTS}:{number}"
        name, rest = id_and_text(line, where, None)
        if isinstance(rest, UtteranceError):
            yield name, _Cut(where, "", fault=rest)
            continue
        try:
            recording, begins, ends, *_ = rest.split()
            start, end = float(begins), float(ends)
        except ValueError:
            fault = bad_row("expected the name of an utterance, of a recording, start and end")
            yield name, _Cut(where, "", fault=fault)
            continue
        open_end = end == -1
        if not 0 <= start < 1e7 or not (open_end or start < end < 1e7):
            fault = bad_row(f"it lasts from {begins} to {ends} s")
            yield name, _Cut(where, nfc(recording), fault=fault)
            continue
        lasts = None if open_end else round(end - start, 9)
        yield name, _Cut(where, nfc(recording), Piece(offset=start, duration=lasts))
