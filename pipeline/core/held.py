"""Where a recording lies: a file of its own, a member of a tar, a cell of a parquet file, or an
object in a bucket, for which a file of this machine stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STANDS_FOR: dict[str, str] = {}
"""How URLs begin that folders of this machine stand for, such as s3://, in this process."""


def url_for(path: Path) -> str:
    """The URL of the object that a file stands for; "" for all other files."""
    if not STANDS_FOR:
        return ""
    whole = os.path.normpath(path)
    for folder, begin in STANDS_FOR.items():
        if whole.startswith(f"{folder}{os.sep}"):
            return begin + whole[len(folder) + 1 :]
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TarMember:
    """A recording inside a tar that is not compressed.

    Attributes:
        file: path of the tar relative to the corpus, with forward slashes.
        offset: where its bytes begin in the tar.
        size: how many bytes it has.
    """

    file: str
    offset: int
    size: int

    @property
    def place(self) -> tuple[int, int]:
        """What orders it among the members of its tar."""
        return self.offset, self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetCell:
    """A recording in a column of bytes of a parquet file.

    Attributes:
        file: path of the parquet file relative to the corpus, with forward slashes.
        column: path of the column in the file's schema, such as "audio.bytes".
        group: number of the row group.
        row: number of the row in its group.
    """

    file: str
    column: str
    group: int
    row: int

    @property
    def place(self) -> tuple[int, int]:
        """What orders it among the cells of its file."""
        return self.group, self.row


Held = TarMember | ParquetCell
"""Where a file holds a recording."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on this machine, or in a bucket.

    Attributes:
        path: of its file, or of the file that holds it, or that stands for it.
        held: where that file holds it; None where the file is the recording.
        suffix: of its name, in lower case, such as ".wav".
        url: of the object that is the recording; "" where it is no object.
        stamp: size and time that the file which stands for the object has to have, for machines
            that do not have that file.
    """

    path: Path
    held: Held | None = None
    suffix: str = ""
    url: str = ""
    stamp: tuple[int, int] | None = None

    @staticmethod
    def of(place: str | Path | Recording) -> Recording:
        """The recording of a path; a recording is given back."""
        if isinstance(place, Recording):
            return place
        path = Path(place)
        return Recording(path, suffix=path.suffix.lower(), url=url_for(path))

    @staticmethod
    def below(root: Path, source: str, held: Held | None) -> Recording:
        """The recording of an utterance.

        Args:
            root: the folder of the corpus.
            source: the utterance's source.
            held: where a file holds it.
        """
        suffix = _suffix(source).lower()
        path = root / (source if held is None else held.file)
        return Recording(path, held, suffix, url_for(path) if held is None else "")

    @property
    def name(self) -> str:
        """A name that no other recording has: the path, and the place in it, or else the URL."""
        if self.held is None:
            return self.url or str(self.path)
        column = self.held.column if isinstance(self.held, ParquetCell) else "tar"
        return f"{self.path}#{column}:{self.held.place[0]}:{self.held.place[1]}"

    @property
    def order(self) -> tuple[str, tuple[int, int]]:
        """The order in which recordings are best read: those of a file as they lie in it."""
        return str(self.path), (0, 0) if self.held is None else self.held.place


def _suffix(path: str) -> str:
    """The suffix of a path's name, as pathlib has it, in a tenth of the time."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""
