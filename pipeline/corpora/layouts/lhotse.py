"""Manifests of lhotse: cuts, or recordings and supervisions."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.reading import open_regular, parse_json
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.corpus import Corpus, Find, check_rows, settle
from ns2.pipeline.corpora.entries import (
    Entry,
    lost_part,
    shown_value,
    split_of_path,
    without_lone_train,
)
from ns2.pipeline.corpora.folders import Lookup, list_folder
from ns2.pipeline.corpora.origins import Origins
from ns2.pipeline.corpora.rows import bad_row

SUFFIXES = (".jsonl", ".jsonl.gz")
CUTS, RECORDINGS, SUPERVISIONS = "cuts", "recordings", "supervisions"
_LONGEST_LINE = 1 << 24
_GLANCE = 10
_TOLERANCE = 0.001
"""Seconds by which a supervision may begin before its cut, or end behind it: they are rounded."""

_FIELDS = {"supervisions", "recording", "recording_id", "sources", "tracks"}
"""Fields of cuts, recordings and supervisions that other manifests do not have."""

Row = tuple[str, dict[str, Any]]
"""Where a row stands, for messages, and its values."""


class Lhotse:
    """Reader of a file of cuts, of a folder with such files, or of recordings and supervisions.

    A file is told by its name, which has `cuts`, or `recordings` and in another file
    `supervisions` in its place: `libritts_cuts_train-clean-100.jsonl.gz`. Each supervision is an
    utterance, with its id: the piece of the recording where it lies in its cut. Paths of audio are
    absolute, or relative to the folder of the manifest or a folder above it.
    """

    name = "lhotse"
    looks_like = "cuts.jsonl.gz, or recordings.jsonl.gz and supervisions.jsonl.gz, of lhotse"

    def matches(self, root: Path) -> bool:
        """Whether the path is a file of cuts, or a folder with one or with such a pair."""
        if root.is_file():
            return is_lhotse(root)
        told = [name for name in _names(root) if _told(name)]
        return bool(_groups(told)) and is_lhotse(root / told[0])

    def read(self, root: Path) -> Corpus:
        """Find all supervisions.

        Raises:
            UserError: there is no such manifest, or none of its rows can be read.
        """
        base = root.parent if root.is_file() else root
        names = _names(base)
        if root.is_file():
            names = [name for name in names if name == root.name or _twin(name, root.name)]
        groups = _groups(names)
        if not groups:
            raise UserError(
                f"{root} has neither cuts nor recordings with supervisions of lhotse; their names "
                f"have {CUTS}, {RECORDINGS} and {SUPERVISIONS} in them, and end with .jsonl.gz"
            )
        reader = _Reader(Origins(Lookup(base)))
        finds = [find for group in groups for find in reader.finds(base, group)]
        check_rows(finds, root, "of a cut or a supervision of lhotse")
        return settle(self.name, base, without_lone_train(finds), [])


def is_lhotse(file: Path) -> bool:
    """Whether a file has the name of a manifest of lhotse, and begins as one."""
    if not _told(file.name):
        return False
    try:
        rows = [row for _, row in islice(_rows(file, []), _GLANCE)]
    except UserError:
        return False
    return any(isinstance(row, dict) and row.keys() & _FIELDS for row in rows)


def _names(folder: Path) -> list[str]:
    return sorted(list_folder(folder, "").files) if folder.is_dir() else []


def _told(name: str) -> str:
    """What a file holds by its name: cuts, recordings, supervisions, or ""."""
    if not name.lower().endswith(SUFFIXES):
        return ""
    kinds = [kind for kind in (CUTS, RECORDINGS, SUPERVISIONS) if kind in _words(name)]
    return kinds[0] if len(kinds) == 1 else ""


def _words(name: str) -> list[str]:
    stem = name.lower()
    for suffix in (".gz", ".jsonl"):
        stem = stem.removesuffix(suffix)
    for mark in "-.":
        stem = stem.replace(mark, "_")
    return stem.split("_")


def _twin(name: str, other: str) -> bool:
    """Whether two names differ in what they hold alone."""
    kinds = {_told(name), _told(other)}
    return kinds == {RECORDINGS, SUPERVISIONS} and _rest(name) == _rest(other)


def _rest(name: str) -> tuple[str, ...]:
    return tuple(word for word in _words(name) if word not in (CUTS, RECORDINGS, SUPERVISIONS))


def _groups(names: Iterable[str]) -> list[dict[str, str]]:
    """Files that belong together, by what they hold: cuts, or recordings and supervisions.

    Where there are cuts of the same name as recordings, the cuts are made of those.
    """
    parts: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        if kind := _told(name):
            parts.setdefault(_rest(name), {}).setdefault(kind, name)
    cuts = [{CUTS: part[CUTS]} for part in parts.values() if CUTS in part]
    pairs = [
        part
        for part in parts.values()
        if CUTS not in part and part.keys() >= {RECORDINGS, SUPERVISIONS}
    ]
    return cuts + pairs


def _rows(file: Path, faults: list[Find]) -> Iterator[Row | tuple[str, UtteranceError]]:
    """Rows of a file of JSON lines, which may be compressed; what is lost of it in `faults`.

    Raises:
        UserError: it can't be opened.
    """
    number = 0
    try:
        with open_regular(file) as raw:
            packed = file.name.lower().endswith(".gz")
            lines = gzip.GzipFile(fileobj=raw) if packed else raw
            while line := lines.readline(_LONGEST_LINE):
                number += 1
                if line.strip():
                    where = f"{file.name}:{number}"
                    try:
                        row = parse_json(line, finite=False)
                    except ValueError as error:
                        yield where, bad_row(f"it is no JSON: {error}")
                        continue
                    told = isinstance(row, dict)
                    yield where, row if told else bad_row("it is no JSON object")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        why = f"the file is cut off or damaged behind its line {number}: {error}"
        faults.append(lost_part(f"{file.name}#{number}", Reason.BAD_ROW, why))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from error


@dataclass
class _Reader:
    """Makes utterances of rows."""

    origins: Origins

    def finds(self, base: Path, group: Mapping[str, str]) -> Iterator[Find]:
        """What the rows of files that belong together are."""
        faults: list[Find] = []
        if CUTS in group:
            split = split_of_path("/".join(_words(group[CUTS])))
            for where, row in _rows(base / group[CUTS], faults):
                yield from self._cut(where, row, split)
        else:
            yield from self._pairs(base, group, faults)
        yield from faults

    def _cut(self, where: str, row: dict[str, Any] | UtteranceError, split: str) -> Iterator[Find]:
        """The utterances of a cut."""
        if isinstance(row, UtteranceError):
            yield Entry(id="", source="", fault=row).find(where)
            return
        supervisions = row.get("supervisions")
        given = supervisions if isinstance(supervisions, list) else []
        said = [one for one in given if isinstance(one, dict)]
        fault = _unknown_cut(row)
        if fault is None and not said:
            fault = UtteranceError(Reason.NO_TRANSCRIPT, "the cut has no supervision")
        if fault is not None:
            yield Entry(id=row.get("id"), source="", fault=fault).find(where)
            return
        for one in said:
            yield self._utterance(where, one, row["recording"], row, split)

    def _pairs(self, base: Path, group: Mapping[str, str], faults: list[Find]) -> Iterator[Find]:
        """The utterances of recordings and supervisions."""
        split = split_of_path("/".join(_words(group[SUPERVISIONS])))
        recordings: dict[Any, dict[str, Any]] = {}
        for where, row in _rows(base / group[RECORDINGS], faults):
            if isinstance(row, UtteranceError):
                yield Entry(id="", source="", fault=row).find(where)
            elif isinstance(row.get("id"), str):
                recordings[row["id"]] = row
        for where, row in _rows(base / group[SUPERVISIONS], faults):
            if isinstance(row, UtteranceError):
                yield Entry(id="", source="", fault=row).find(where)
                continue
            name = row.get("recording_id")
            recording = recordings.get(name) if isinstance(name, str) else None
            if recording is None:
                message = f"there is no recording {shown_value(name)} in {group[RECORDINGS]}"
                lost = UtteranceError(Reason.AUDIO_MISSING, message)
                yield Entry(id=row.get("id"), source="", fault=lost).find(where)
            else:
                yield self._utterance(where, row, recording, None, split)

    def _utterance(
        self,
        where: str,
        said: Mapping[str, Any],
        recording: Mapping[str, Any],
        cut: Mapping[str, Any] | None,
        split: str,
    ) -> Find:
        """What a supervision is.

        Args:
            cut: the cut that has it, None where it is of a recording.
        """
        source, piece, fault = "", None, None
        try:
            source, channel = self._source(recording, _channel(said, cut))
            begins, lasts = _stretch(said, cut)
            piece = Piece(offset=begins, duration=lasts, channel=channel)
        except UtteranceError as error:
            fault = error
        return Entry(
            id=said.get("id"),
            source=source,
            text=said.get("text"),
            speaker=said.get("speaker"),
            language=said.get("language"),
            split=split,
            piece=piece,
            fault=fault,
        ).find(where)

    def _source(self, recording: Mapping[str, Any], channel: int) -> tuple[str, int | None]:
        """The file of a channel of a recording, and the channel's number in it.

        The number is None where the file has no other channel.

        Raises:
            UtteranceError: there is no such file, or the recording is none.
        """
        changed = [
            str(one.get("name")) if isinstance(one, dict) else str(one)
            for one in recording.get("transforms") or ()
        ]
        if others := [name for name in changed if name != "Resample"]:
            message = (
                f"its recording is changed by {others[0][:40]}, which ns2 does not do; save the "
                "cuts as audio first (cuts.save_audios)"
            )
            raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
        for source in recording.get("sources") or ():
            channels = source.get("channels") if isinstance(source, dict) else None
            if isinstance(channels, list) and channel in channels:
                if source.get("type") != "file" or not isinstance(source.get("source"), str):
                    kind = shown_value(source.get("type"))
                    message = (
                        f"its recording is of the type {kind}, and ns2 reads files alone; save the "
                        "cuts as audio first (cuts.save_audios)"
                    )
                    raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
                found, there = self.origins.find(source["source"])
                if not there:
                    raise UtteranceError(Reason.AUDIO_MISSING, f"no file {found}")
                return found, channels.index(channel) if len(channels) > 1 else None
        raise UtteranceError(Reason.AUDIO_MISSING, f"its recording has no channel {channel}")


def _unknown_cut(row: Mapping[str, Any]) -> UtteranceError | None:
    """Why a cut can't be read, if it can't."""
    kind = row.get("type", "MonoCut")
    if kind in ("MonoCut", "MultiCut"):
        if isinstance(row.get("recording"), dict):
            return None
        told = "it has features alone" if row.get("features") else "it has no recording"
        return bad_row(f"the cut has no audio: {told}")
    mixed = "mix it first, and save it as audio (cuts.save_audios)"
    hint = mixed if kind == "MixedCut" else "only MonoCuts and MultiCuts are read"
    return bad_row(f"the cut is a {str(kind)[:40]}: {hint}")


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e7:
        raise bad_row(f"{name} is {shown_value(value)}, expected seconds")
    return float(value)


def _channel(said: Mapping[str, Any], cut: Mapping[str, Any] | None) -> int:
    """The channel of a supervision: in a cut of one channel that of the cut.

    Raises:
        UtteranceError: it has several, or none.
    """
    mono = cut is not None and cut.get("type", "MonoCut") == "MonoCut"
    value = (cut if cut is not None and mono else said).get("channel", 0)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise bad_row(
            f"it has the channels {shown_value(value)}, and an utterance has one: make MonoCuts of "
            "the cut (cut.to_mono())"
        )
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad_row(f"channel is {shown_value(value)}, expected a number from 0")
    return value


def _stretch(said: Mapping[str, Any], cut: Mapping[str, Any] | None) -> tuple[float, float]:
    """Where a supervision begins in its recording, and how long it lasts, in seconds.

    Raises:
        UtteranceError: it is not whole in its cut, or its times are none.
    """
    begins, lasts = _number(said, "start"), _number(said, "duration")
    if cut is not None:
        start, length = _number(cut, "start"), _number(cut, "duration")
        if begins < -_TOLERANCE or begins + lasts > length + _TOLERANCE:
            raise bad_row(
                f"its supervision from {begins:g} to {begins + lasts:g} s is not whole in the cut "
                f"of {length:g} s, so its text is not what is heard"
            )
        begins += start
    if begins < -_TOLERANCE or lasts <= 0:
        raise bad_row(f"it begins at {begins:g} s and lasts {lasts:g} s")
    return round(max(begins, 0.0), 9), round(lasts, 9)
