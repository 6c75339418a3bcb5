"""`ns2 gc`: remove from a dataset the files that are no longer current.

Current files are those that SHA256SUMS lists, whose checksum the card holds, so nothing is removed
from a dataset whose small files do not verify. Of the others only those are removed whose names
are of ns2's patterns (see `layout`); links are never followed, since they may lead into another
dataset.
"""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import is_temporary, member_folder, refuse_link, sync_folder
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import Card, open_card
from ns2.pipeline.dataset.layout import (
    ASSET_FILE,
    COLUMN_FOLDER,
    SCREEN_FILE,
    SCREEN_FOLDER,
    TARGET,
    TARGET_FILE,
    lock,
)
from ns2.pipeline.stages.catalogue import stage_classes
from ns2.pipeline.tools.verify.fault import Fault
from ns2.pipeline.tools.verify.small_files import SmallFiles

_TOP = {layout.CARD, layout.INDEX, layout.REJECTED, layout.SUMS, layout.README}


@dataclass(kw_only=True)
class Removed:
    """What was removed, or would be.

    Attributes:
        files, bytes, folders: the numbers of files and folders, and the size of the files.
        places: number of files and their size by folder, relative to the dataset.
        foreign: paths in the dataset that ns2 did not write and leaves alone, relative to it.
    """

    files: int = 0
    bytes: int = 0
    folders: int = 0
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def render(self, root: str | Path, *, dry_run: bool) -> str:
        """A line for each folder and each foreign path, and the sum, for people."""
        lines = [
            f"  {place:<28} {files:>8} files {size / 1e6:>10.1f} MB"
            for place, (files, size) in self.places.items()
        ]
        lines += [
            # a name may hold bytes that are not UTF-8
            f"  {os.fsencode(name).decode(errors='replace')} is not of the dataset and is left "
            "alone"
            for name in self.foreign
        ]
        verb = "would remove" if dry_run else "removed"
        total = f"{self.files} files and {self.folders} folders, {self.bytes / 1e6:.1f} MB"
        return "\n".join([*lines, f"{root}: {verb} {total}"])


def collect(root: Path, *, dry_run: bool = False) -> Removed:
    """Remove from a complete dataset the files that are no longer current.

    These are tars and markers that its index does not name, columns under other fingerprints,
    assets that the card does not list, screenings of other options, and temporary files. The
    dataset's lock is held meanwhile.

    If it is killed at any moment, no current file is gone, and the next call removes the rest.

    Args:
        root: the dataset's folder.
        dry_run: only find out what would be removed.

    Returns:
        what was removed, or would be.

    Raises:
        UserError: it is not a complete and sound dataset, a run is at work in it, or the file
            system refuses; the message says what to do.
    """
    root = Path(root)
    open_card(root)  # refuses a folder that is not a dataset before anything is made in it
    state = root / layout.STATE
    refuse_link(state)
    try:
        if not dry_run:
            member_folder(root, layout.STATE)
        with lock(root / layout.LOCK, root) if state.is_dir() else nullcontext():
            stale = _Stale(root, *_current(root))
            if not dry_run:
                stale.remove()
    except OSError as error:
        raise UserError(f"can't collect {root}: {error}") from error
    return stale.removed


def _current(root: Path) -> tuple[Card, frozenset[str]]:
    """The card, and the names of all files that SHA256SUMS lists.

    Raises:
        UserError: a file is missing, or a small file is not what was written.
    """
    faults: list[Fault] = []
    files = SmallFiles(root, faults)
    files.check()
    if not faults:
        faults += _target_faults(root, files)
    if faults or files.card is None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(
            f"{root} does not verify, so nothing is removed from it: {faults[0]}{more}. "
            "`ns2 verify` names everything that is wrong; `ns2 preprocess` with the dataset's "
            "options makes the missing files anew. Run `ns2 gc` when it verifies."
        )
    return files.card, frozenset(files.listed)


def _target_faults(root: Path, files: SmallFiles) -> list[Fault]:
    """The faults of tars and markers that are found without reading a tar."""
    columns = [f"{column}_file" for column in files.specs()]
    index = pq.read_table(root / layout.INDEX, columns=columns)
    named = {str(name) for column in columns for name in index[column].unique().to_pylist()}
    faults = [
        Fault(place=layout.SUMS, message=f"does not list {name}")
        for name in sorted(named - set(files.listed))
    ]
    for name, digest in files.listed.items():
        if not TARGET.fullmatch(name):
            continue  # checked with the small files
        path = root / name
        if not path.is_file():
            faults.append(Fault(place=name, message="is missing"))
        elif path.suffix == ".parquet" and sha256_file(path) != digest:
            faults.append(Fault(place=name, message=f"is not the marker that {layout.SUMS} lists"))
    return faults


def _column_of(folder: str) -> str | None:
    """The column whose folder has this name, or None if ns2 names no folder like it."""
    return folder.partition("-")[0] if COLUMN_FOLDER.fullmatch(folder) else None


class _Stale:
    """Files and folders of a dataset that ns2 wrote and that are no longer current.

    Attributes:
        removed: what `remove` removes.
    """

    def __init__(self, root: Path, card: Card, current: frozenset[str]) -> None:
        self._root, self._current = root, current
        self._files: dict[Path, list[Path]] = {}  # by folder
        self._folders: list[Path] = []
        self.removed = Removed()
        used = {column.folder for column in card.columns.values()}
        columns = {*COLUMNS, *card.columns, *(stage.name for stage in stage_classes())}
        for entry in self._others(root):
            if entry.name in _TOP:
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and entry.name == layout.ASSETS:
                self._folder(root / entry.name, ASSET_FILE)
            elif is_folder and entry.name == layout.STATE:
                self._state(root / entry.name, card.screen or None)
            elif is_folder and _column_of(entry.name) in columns:
                self._folder(root / entry.name, TARGET_FILE, stale=entry.name not in used)
            else:
                self.removed.foreign.append(entry.name)

    def remove(self) -> None:
        """Remove these files, then the folders.

        Markers are removed before their tars, the reverse of a commit: whenever this is
        interrupted, no marker is left whose tar is gone. A tar without its marker is not a target,
        and is removed next time. A sync of each folder keeps that order through a power cut.
        """
        for folder, files in self._files.items():
            markers = [path for path in files if path.suffix == ".parquet"]
            for path in markers:
                path.unlink()
            if markers:
                sync_folder(folder)
            for path in files:
                path.unlink(missing_ok=True)
        for folder in self._folders:
            folder.rmdir()

    def _state(self, state: Path, screen: str | None) -> None:
        """Note screenings of other options; everything else in the folder serves the next run."""
        for entry in self._others(state):
            if entry.is_dir(follow_symlinks=False) and SCREEN_FOLDER.fullmatch(entry.name):
                folder = state / entry.name
                if screen is None or screen == entry.name:  # cards of older versions do not name it
                    self._others(folder)
                else:
                    self._folder(folder, SCREEN_FILE, stale=True)

    def _folder(self, folder: Path, ours: re.Pattern[str], *, stale: bool = False) -> None:
        """Note the stale files of a folder, and a stale folder without foreign files itself."""
        name = self._name(folder)
        foreign = [f"{name}/{entry.name}" for entry in self._others(folder, ours)]
        self.removed.foreign += foreign
        if stale and not foreign:
            self._folders.append(folder)
            self.removed.folders += 1
            self.removed.places.setdefault(name, (0, 0))

    def _others(self, folder: Path, ours: re.Pattern[str] | None = None) -> list[os.DirEntry[str]]:
        """Note a folder's stale files; returns what is neither stale nor current, by name.

        Args:
            folder: the folder.
            ours: the names that ns2 gives to files in it, apart from temporary files.
        """
        others: list[os.DirEntry[str]] = []
        files: list[Path] = []
        size = 0
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda item: item.name):
                path = folder / entry.name
                known = is_temporary(entry.name) or (ours and ours.fullmatch(entry.name))
                if self._name(path) in self._current:
                    continue
                if known and entry.is_file(follow_symlinks=False):
                    files.append(path)
                    size += entry.stat(follow_symlinks=False).st_size
                else:
                    others.append(entry)
        if files:
            self._files[folder] = files
            self.removed.files += len(files)
            self.removed.bytes += size
            self.removed.places[self._name(folder)] = (len(files), size)
        return others

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
