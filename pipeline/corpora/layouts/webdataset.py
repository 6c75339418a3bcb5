"""WebDataset: tars with audio and its text beside it, under one key."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.held import TarMember
from ns2.pipeline.core.reading import open_regular, parse_json
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.corpus import Corpus, Find, settle
from ns2.pipeline.corpora.entries import (
    Entry,
    as_name,
    best_text,
    lost_part,
    named_split,
    split_of_file,
    text_value,
    unread_fields,
    without_lone_train,
)
from ns2.pipeline.corpora.fields import FIELDS, Fields
from ns2.pipeline.corpora.folders import AUDIO_SUFFIXES, decode, escaped, first_names, walk
from ns2.pipeline.corpora.rows import bad_row

SUFFIX = ".tar"
COMPRESSED = {
    ".tar.gz": "gunzip", ".tgz": "gunzip", ".tar.xz": "unxz", ".tar.bz2": "bunzip2",
    ".tar.zst": "unzstd",
}  # fmt: skip
"""Ends of names of compressed tars, and what unpacks them."""

_NAME = re.compile(r"((?:.*/|)[^./]+)\.([^/]+)", re.DOTALL)
"""Key and suffix of a member: the suffix begins at the first dot of the name."""
_TEXTS = ("txt", "normalized.txt", "lab")
"""Suffixes of a text, best first."""
_LARGEST_TEXT = 1 << 20
_MAGIC = {
    b"\x1f\x8b": ".tar.gz",
    b"\xfd7zXZ": ".tar.xz",
    b"BZh": ".tar.bz2",
    b"(\xb5/\xfd": ".tar.zst",
}
"""How compressed files begin, whatever their names are."""
_GLANCE, _FIRST_MEMBERS = 20, 50
_BLOCK = 512


class WebDataset:
    """Reader of tars that are not compressed, or of a folder with such tars at any depth.

    Members whose names are the same up to the first dot are one sample, wherever in the tar they
    lie. Its text is that of a member `.txt` (or where there is none `.normalized.txt` or `.lab`),
    or of the field `text` of a member `.json`, which may also tell its id, speaker, language and
    split. Audio is read where it lies. A split that no row tells is that of the tar's name or
    folder; where that is train for all samples, it is open.

    The id of a sample is that of its `.json`, or else its key.
    """

    name = "webdataset"
    looks_like = "tars with x.wav (or .flac, .mp3, .ogg, .opus) and x.txt or x.json in them"

    def matches(self, root: Path) -> bool:
        """Whether the path is such a tar, or a folder with one."""
        if root.is_file():
            return root.name.lower().endswith(SUFFIX)
        return any(_has_audio(root / tar) for tar in islice(_tars(root, _GLANCE), 3))

    def resembles(self, root: Path) -> bool:
        """Whether there are compressed tars alone, which `read` says how to unpack."""
        return bool(_compressed(root, _GLANCE))

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all samples of the tars.

        Args:
            root: the tar or the folder.
            fields: which fields of a `.json` hold what; None takes them by their names.

        Raises:
            UserError: there is no tar, or nothing in them is audio.
        """
        base = root.parent if root.is_file() else root
        packed = _compressed(root)
        tars = [root.name] if root.is_file() and not packed else sorted(_tars(root))
        if not tars:
            raise UserError("; ".join([f"{root} has no tar that can be read", *packed]))
        fields = fields or Fields()
        if fields.numbers:
            raise UserError("--fields: fields of .json have names; give a name, not a number")
        notes = _Notes(fields)
        finds = [find for tar in tars for find in _samples(base, tar, notes)]
        if not notes.audio:
            raise UserError("; ".join([f"{root}: no member of its tars is audio", *packed]))
        if missing := fields.missing(list(notes.names)):
            there = f"fields are {', '.join(notes.names)}" if notes.names else "there is no .json"
            raise UserError(
                f"{root}: no .json has the field {missing[0]} that --fields takes; {there}"
            )
        if not notes.split_named:
            finds = without_lone_train(finds)
        warnings = [*packed, *unread_fields("the tars", list(notes.unread))]
        return settle(self.name, base, finds, warnings)


@dataclass
class _Notes:
    """What is noticed of all samples.

    Attributes:
        fields: what `--fields` says.
        names: of all fields of `.json` members.
        unread: those that are not read.
        audio: whether there is any audio.
        split_named: whether a `.json` tells a split.
    """

    fields: Fields
    names: dict[str, None] = field(default_factory=dict)
    unread: dict[str, None] = field(default_factory=dict)
    audio: bool = False
    split_named: bool = False

    def value(self, row: Mapping[str, Any], one: str) -> Any:
        """The value of a field of a `.json`; None where it has none."""
        names = self.fields.names(one, tuple(row))
        if one == "text":
            return best_text(row, names)
        return next((row[name] for name in names if row.get(name) is not None), None)

    def note(self, row: Mapping[str, Any]) -> None:
        """Keep the names of a row's fields."""
        new = [name for name in row if name not in self.names]
        if not new:
            return
        self.names.update(dict.fromkeys(new))
        read = {name for one in FIELDS for name in self.fields.names(one, tuple(row))}
        read |= {name for one in FIELDS for name in FIELDS[one] if one not in self.fields.columns}
        self.unread.update((name, None) for name in new if name not in read)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in a tar."""

    key: str
    suffix: str
    name: str
    offset: int
    size: int


def _names(root: Path, most: int | None = None) -> Iterator[str]:
    if root.is_file():
        yield root.name
    for folder in islice(walk(root), most) if root.is_dir() else ():
        yield from (folder.source(name) for name in folder.files.values())


def _tars(root: Path, most: int | None = None) -> Iterator[str]:
    """Tars below a folder, by their paths relative to it; only of the first folders."""
    return (name for name in _names(root, most) if name.lower().endswith(SUFFIX))


def _compressed(root: Path, most: int | None = None) -> list[str]:
    """A sentence on compressed tars below a folder, if there are any in its first folders."""
    ends = {name: end for name in _names(root, most) if (end := _compression(root, name))}
    if not ends:
        return []
    tools = sorted({COMPRESSED[end] for end in ends.values()})
    return [
        f"compressed tars can't be read in place: {first_names(sorted(ends))}; unpack them with "
        f"{' and '.join(tools)}, or with tar where they hold a corpus of another layout"
    ]


def _compression(root: Path, name: str) -> str:
    """The key of `COMPRESSED` for a tar, by its name or by how it begins; "" for other files."""
    lower = name.lower()
    if not lower.endswith(SUFFIX):
        return next((end for end in COMPRESSED if lower.endswith(end)), "")
    try:
        with open_regular(root if root.is_file() else root / name) as file:
            head = file.read(6)
    except OSError:
        return ""
    return next((end for begin, end in _MAGIC.items() if head.startswith(begin)), "")


def _has_audio(tar: Path) -> bool:
    try:
        with tarfile.open(tar, "r:") as opened:
            found = islice(opened, _FIRST_MEMBERS)
            return any(info.name.lower().endswith(AUDIO_SUFFIXES) for info in found)
    except (OSError, tarfile.TarError):
        return False


def _samples(root: Path, tar: str, notes: _Notes) -> Iterator[Find]:
    """What the samples of a tar are, and what became of those that are lost."""
    scan = _Scan(root / tar)
    with scan:
        for key, members in _joined(scan.members()):
            audio = _audio(members)
            notes.audio |= audio is not None
            if audio is None and not {*_TEXTS, "json"} & members.keys():
                continue  # another thing, such as a README
            yield _entry(scan.file, tar, key, members, audio, notes).find(f"{tar}/{key}")
    if scan.fault:
        yield lost_part(f"{tar}#{scan.count}", Reason.AUDIO_TRUNCATED, scan.fault)


def _joined(found: Iterable[_Member]) -> list[tuple[str, dict[str, _Member]]]:
    """Samples in the order of their first members, wherever in the tar the others lie.

    A key that comes again with a suffix that its sample has already begins another sample.
    """
    samples: list[tuple[str, dict[str, _Member]]] = []
    latest: dict[str, dict[str, _Member]] = {}
    before = ""
    for member in found:
        sample = latest.get(member.key)
        if sample is None or (member.suffix in sample and member.key != before):
            sample = latest[member.key] = {}
            samples.append((member.key, sample))
        sample[member.suffix] = member
        before = member.key
    return samples


class _Scan:
    """Walks through the members of a tar.

    Attributes:
        file: the tar.
        count: how many members were found.
        fault: why there may be more that are lost, or "".
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count, self.fault = 0, ""

    def __enter__(self) -> _Scan:
        try:
            self.file: BinaryIO = open_regular(self._path)
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def members(self) -> Iterator[_Member]:
        """The files in it; one that is cut off, too, which ends beyond the tar."""
        size = self._path.stat().st_size
        end = 0
        try:
            with tarfile.open(fileobj=self.file, mode="r:") as opened:
                while (info := opened.next()) is not None:
                    vars(opened)["members"].clear()  # they would be kept
                    end = info.offset_data + -(-info.size // _BLOCK) * _BLOCK
                    named = _NAME.fullmatch(info.name.removeprefix("./"))
                    if not info.isreg() or info.sparse is not None or named is None:
                        continue
                    self.count += 1
                    key, suffix = named[1], named[2].lower()
                    yield _Member(key, suffix, info.name, info.offset_data, info.size)
                    if info.offset_data + info.size > size:
                        break
        except (tarfile.TarError, EOFError, ValueError) as error:
            what = "it is no tar" if not self.count else "it is damaged"
            self.fault = f"{what} behind its member {self.count}: {error}"
        self._check_end(end, size)

    def _check_end(self, end: int, size: int) -> None:
        """A tar ends with blocks of zeros; without them some of it is missing."""
        self.file.seek(min(end, size))
        block = self.file.read(_BLOCK)
        if self.fault:
            return
        if len(block) < _BLOCK or any(block):
            what = "is cut off" if end + _BLOCK > size else "is damaged"
            self.fault = (
                f"the tar {what} behind its member {self.count}: what follows can't be read; get "
                "the tar again"
            )
        elif self._more():
            self.fault = (
                f"more follows behind the end of the tar and its member {self.count}, and is not "
                "read: if tars were joined, part them again, or join them with tar --concatenate"
            )

    def _more(self) -> bool:
        """Whether anything but zeros follows."""
        while block := self.file.read(1 << 16):
            if any(block):
                return True
        return False


def _audio(members: Mapping[str, _Member]) -> _Member | None:
    """The audio of a sample, by the order of `AUDIO_SUFFIXES`."""
    for suffix in AUDIO_SUFFIXES:
        for name, member in members.items():
            if f".{name}".endswith(suffix):
                return member
    return None


def _entry(
    file: BinaryIO,
    tar: str,
    key: str,
    members: Mapping[str, _Member],
    audio: _Member | None,
    notes: _Notes,
) -> Entry:
    """What a sample says."""
    row: Mapping[str, Any] = {}
    fault, split, text = None, split_of_file(tar), None
    try:
        if "json" in members:
            row = _row(file, members["json"])
            notes.note(row)
        text = notes.value(row, "text")
        written = next((suffix for suffix in _TEXTS if suffix in members), None)
        if written and (text is None or "text" not in notes.fields.columns):
            text = decode(_content(file, members[written]), f"its .{written}")
        named = named_split(text_value("split", notes.value(row, "split")))
        notes.split_named |= bool(named)
        split = named or split
        if audio is None:
            raise UtteranceError(Reason.AUDIO_MISSING, "no member of the sample is audio")
        _check(file, audio)
    except UtteranceError as error:
        fault = error
    own = as_name(notes.value(row, "id"))
    return Entry(
        id=own if own not in (None, "") else key,
        source=f"{tar}/{audio.name if audio is not None else key}",
        text=text,
        speaker=notes.value(row, "speaker"),
        language=notes.value(row, "language"),
        split=split,
        held=TarMember(file=tar, offset=audio.offset, size=audio.size) if audio else None,
        fault=fault,
    )


def _check(file: BinaryIO, member: _Member) -> None:
    """Check that a member lies within its tar."""
    size = file.seek(0, 2)
    if member.offset + member.size > size:
        missing = member.offset + member.size - size
        message = f"the tar is cut off: {missing} bytes of {escaped(member.name)} are missing"
        raise UtteranceError(Reason.AUDIO_TRUNCATED, message)


def _content(file: BinaryIO, member: _Member) -> bytes:
    """The bytes of a small member."""
    _check(file, member)
    if member.size > _LARGEST_TEXT:
        raise bad_row(f"{escaped(member.name)} has {member.size} bytes, too many for a text")
    file.seek(member.offset)
    return file.read(member.size)


def _row(file: BinaryIO, member: _Member) -> Mapping[str, Any]:
    """The fields of a `.json`."""
    try:
        row = parse_json(decode(_content(file, member), "its .json"), finite=False)
    except ValueError as error:
        raise bad_row(f"its .json is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise bad_row("its .json is no JSON object")
    return row
