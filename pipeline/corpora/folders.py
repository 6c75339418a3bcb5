"""Files of a corpus: walks its folders, finds the files of its tables, reads its transcripts.

Names are compared in Unicode's composed form (NFC), because macOS decomposes the names of files;
a source keeps the name as it is on disk. Names that begin with a dot and folders `__MACOSX` belong
to the file system and are skipped.
"""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.remote.standing import path_named

_COMMON = (".wav", ".flac", ".mp3", ".ogg", ".opus")
UNDECODED = ".m4a"
"""A suffix of audio that is not decoded, and is found so that it is said."""
AUDIO_SUFFIXES = (*_COMMON, ".oga", ".aiff", ".aif", ".caf", ".w64", ".au", UNDECODED)
"""Suffixes of audio; if a name has several of them, the first in this order is taken."""

_DEEPEST = 100
"""The most folders above a folder of a corpus."""
_LONGEST_PATH = 2000
"""The most characters of a path in a table: the system opens none that is much longer."""
_MOST_WAYS = 100
"""The most ways by which links may lead to the same folder: a mesh of links has endlessly many."""


def nfc(text: str) -> str:
    """The text in Unicode's composed form."""
    return normalize("NFC", text)


def split_suffix(name: str) -> tuple[str, str]:
    """Split the name of a file into its stem and its suffix in lower case."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix.lower()) if stem else (name, "")


def escaped(text: str) -> str:
    """The text with backslash escapes for what cannot be written in UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Folder:
    """The entries of a folder.

    Attributes:
        path: relative to the corpus, with forward slashes; "" for the corpus itself.
        files: names on disk of its files, by name in NFC with the suffix in lower case.
        others: names of entries that are neither files nor folders: broken links, pipes.
        folders: names on disk of its folders.
    """

    path: str
    files: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def source(self, name: str) -> str:
        """The path of one of its files, relative to the corpus."""
        return f"{self.path}/{name}" if self.path else name

    def audio(self) -> Iterator[tuple[str, str, bool]]:
        """Its audio as (stem in NFC, name on disk, whether it can be opened), in no fixed order.

        A file of a less common suffix is left out if one of the same stem has another suffix, of
        which it is a copy.
        """
        found = [
            (*split_suffix(name), name, there)
            for names, there in ((self.files.values(), True), (self.others, False))
            for name in names
        ]
        stems = {nfc(stem) for stem, suffix, _, _ in found if suffix in _COMMON}
        for stem, suffix, name, there in found:
            if suffix in _COMMON or (suffix in AUDIO_SUFFIXES and nfc(stem) not in stems):
                yield nfc(stem), name, there

    def find_audio(self, stem: str) -> str | None:
        """The name on disk of the audio with a stem in NFC, or None; see `AUDIO_SUFFIXES`."""
        names = (self.files.get(stem + suffix) for suffix in AUDIO_SUFFIXES)
        return next((name for name in names if name is not None), None)


def list_folder(root: Path, path: str) -> Folder:
    """List one folder of a corpus.

    Raises:
        UserError: it cannot be listed.
    """
    folder = Folder(path)
    odd: list[tuple[str, str]] = []
    try:
        with os.scandir(root / path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot list the folder {root / path}: {error.strerror}") from error
    # Sorted, so that the same names are kept whatever the order of the file system is.
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name == "__MACOSX":
            continue
        kind = _kind(entry)
        if kind == "folder":
            folder.folders.append(name)
        elif kind == "other":
            folder.others.append(name)
        else:
            stem, suffix = split_suffix(nfc(name))
            if stem + suffix == name:
                folder.files[name] = name
            else:
                odd.append((stem + suffix, name))
    for canonical, name in odd:
        # a.wav and a.WAV, or a name in two Unicode forms: both can be found.
        folder.files[name if canonical in folder.files else canonical] = name
    return folder


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"
    except OSError:  # a link to itself, or a folder without permission
        return "other"


def walk(root: Path, start: str = "") -> Iterator[Folder]:
    """A folder of a corpus and all folders below it; links are followed, but not in circles.

    Args:
        root: the folder of the corpus.
        start: the folder to begin with, relative to root, as are the paths of the results.

    Raises:
        UserError: a folder can't be listed, lies too deep, or is reached in too many ways by links.
    """
    ways = Counter[tuple[int, int]]()
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(start, frozenset())]
    while waiting:
        path, above = waiting.pop()
        status = _folder_status(root / path)
        this = (status.st_dev, status.st_ino)
        if this in above:
            continue
        ways[this] += 1
        if len(above) > _DEEPEST or ways[this] > _MOST_WAYS:
            why = "lies too deep" if len(above) > _DEEPEST else "is reached by too many links"
            raise UserError(f"the folder {root / path} {why}; name a folder without such folders")
        folder = list_folder(root, path)
        yield folder
        # the last of the list is taken first
        below = [(folder.source(name), above | {this}) for name in folder.folders]
        waiting += reversed(below)


def _folder_status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise UserError(f"cannot list the folder {path}: {error.strerror}") from error


def read_transcript(root: Path, folder: Folder, names: Sequence[str]) -> str:
    """The text of the first of several files that exists and is not blank, on one line.

    Args:
        root: the folder of the corpus.
        folder: the folder of the files.
        names: names of files in the folder, in NFC, best first.

    Raises:
        UtteranceError: NO_TRANSCRIPT, EMPTY_TRANSCRIPT or TRANSCRIPT_UNREADABLE.
    """
    present = [folder.files[name] for name in names if name in folder.files]
    if not present:
        raise UtteranceError(
            Reason.NO_TRANSCRIPT, f"no transcript: expected a file {' or '.join(names)}"
        )
    for name in present:
        text = read_text(root / folder.source(name))
        if text:
            return text
    raise UtteranceError(Reason.EMPTY_TRANSCRIPT, f"{' and '.join(present)}: only blanks")


def read_text(path: Path) -> str:
    """The transcript of an utterance from a file, its lines joined with spaces.

    Raises:
        UtteranceError: TRANSCRIPT_UNREADABLE, it cannot be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path.name} cannot be read: {error.strerror}"
        raise UtteranceError(Reason.TRANSCRIPT_UNREADABLE, message) from error
    return one_line(decode(data, path.name))


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8 with or without a byte order mark.

    Args:
        data: the content of a file or a line.
        name: its name, for the message.

    Raises:
        UtteranceError: TRANSCRIPT_UNREADABLE, it is not UTF-8; the message names the first byte
            that is not.
    """
    if is_utf16(data):
        message = f"{name} is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8"
        raise UtteranceError(Reason.TRANSCRIPT_UNREADABLE, message)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = (
            f"{name} is not UTF-8 (byte 0x{data[error.start]:02x} at offset {error.start}); "
            "convert it, for example: iconv -f LATIN1 -t UTF-8"
        )
        raise UtteranceError(Reason.TRANSCRIPT_UNREADABLE, message) from error


def table_lines(table: Path) -> Iterator[tuple[int, bytes]]:
    """Lines of a table that are not blank, with their numbers from 1, without byte order mark.

    Raises:
        UserError: the table cannot be read, or is in UTF-16.
    """
    try:
        with table.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if number == 1 and is_utf16(line):
                    raise UserError(f"{table} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
                bare = line.removeprefix(BOM_UTF8) if number == 1 else line
                if bare.strip():
                    yield number, bare.rstrip(b"\r\n")
    except OSError as error:
        raise UserError(f"cannot read {table}: {error.strerror}") from error


def id_and_text(line: bytes, where: str, separator: str | None) -> tuple[str, str | UtteranceError]:
    """Split a row of a table into an id, in NFC, and a text, both without blanks around them.

    If the line is not UTF-8, the error stands in place of the text, and the id is given as far as
    it can be read.

    Args:
        line: the line of the table.
        where: the name of the line, for the message.
        separator: what stands between the two, None for blanks; without it the whole line is the
            id.
    """
    try:
        head, *rest = decode(line, where).split(separator, 1) or [""]
    except UtteranceError as error:
        raw_id = line.split(separator.encode() if separator else None, 1)[0]
        return nfc(raw_id.decode("utf-8", "backslashreplace").strip()), error
    return nfc(head.strip()), "".join(rest).strip()


def is_utf16(data: bytes) -> bool:
    """Whether bytes begin with the byte order mark of UTF-16."""
    return data[:2] in (b"\xff\xfe", b"\xfe\xff")


def one_line(text: str) -> str:
    """The text on one line, without blanks around it."""
    bare = text.strip()
    if "\n" not in bare and "\r" not in bare:
        return bare
    return re.sub(r"\s*[\r\n]+\s*", " ", bare)


class Lookup:
    """Finds the files that a table names; lists each folder once, not each file by itself."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._absolute = root.absolute()
        self._real = root.resolve()
        self._folders: dict[str, Folder] = {}
        self._used: dict[str, set[str]] = {}

    def file(self, path: str) -> tuple[str, bool]:
        """Find a file by its path as the table has it: (source, whether the file exists)."""
        folder, name = self._folder_and_name(path)
        stem, suffix = split_suffix(nfc(name))
        # The name exactly as written, its NFC form, then the form with a lower-case suffix.
        for candidate in (name, nfc(name), stem + suffix):
            actual = folder.files.get(candidate)
            if actual is not None:
                return self._use(folder, actual), True
        return folder.source(name), False

    def audio(self, path: str) -> tuple[str, bool]:
        """Find audio by its path without a suffix: (source, whether the file exists)."""
        folder, name = self._folder_and_name(path)
        actual = folder.find_audio(nfc(name))
        if actual is not None:
            return self._use(folder, actual), True
        return folder.source(name + AUDIO_SUFFIXES[0]), False

    def unused(self) -> list[str]:
        """Sources of the audio in all folders that were searched that was not looked up."""
        names: set[str] = set()
        for folder in self._folders.values():
            stems = {nfc(split_suffix(name)[0]) for name in self._used.get(folder.path, ())}
            names |= {folder.source(name) for stem, name, _ in folder.audio() if stem not in stems}
        return sorted(names)

    def _use(self, folder: Folder, name: str) -> str:
        self._used.setdefault(folder.path, set()).add(name)
        return folder.source(name)

    def _folder_and_name(self, path: str) -> tuple[Folder, str]:
        path = path_named(self._absolute, path)
        name = path.rpartition("/")[2]
        written = path[: len(path) - len(name)]
        folder = self._folders.get(written)
        if len(path) > _LONGEST_PATH:
            return Folder(""), name[:100]  # no file system has it
        if folder is None:
            try:
                folder = self._folder(written)
            except OSError:  # a part is too long, or its folder is not ours to read
                folder = Folder("")
            self._folders[written] = folder
        return folder, name

    def _folder(self, written: str) -> Folder:
        relative = self._relative(self._on_disk(Path(written)))
        there = (self._root / relative).is_dir()
        return list_folder(self._root, relative) if there else Folder(relative)

    def _on_disk(self, written: Path) -> Path:
        """The absolute path of a folder with each part spelled as it is on disk."""
        start = self._absolute / written
        if start.is_dir():
            return start
        here = Path("/") if written.is_absolute() else self._absolute
        for part in written.parts:
            below = here / part
            if not below.is_dir() and here.is_dir():
                same = sorted(entry for entry in here.iterdir() if nfc(entry.name) == nfc(part))
                below = same[0] if same else below
            here = below
        return here

    def _relative(self, folder: Path) -> str:
        """The path of a folder relative to root, because a dataset must not hold absolute paths.

        Outside of root the path begins with `..`, from one real path to the other, because the
        system takes `..` from where a link leads.
        """
        inside = (
            folder.relative_to(self._absolute) if folder.is_relative_to(self._absolute) else None
        )
        if inside is None or ".." in inside.parts:
            path = os.path.relpath(folder.resolve(), self._real)
        else:
            path = inside.as_posix()
        return "" if path == "." else path


def first_names(names: Sequence[str]) -> str:
    """The number of names and the first three, for a message."""
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} ({', '.join(names[:3])}{more})"
