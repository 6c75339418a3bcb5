"""`ns2 gc`: remove from a dataset what is no longer current.

Current is what SHA256SUMS lists, for which the card vouches, so nothing is removed from a dataset
whose small files do not verify. Of the rest only what carries one of our names goes; links are
never followed, since what they lead to may be another dataset's.
"""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import TEMPORARY, sync_folder
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import sha256_file
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
from ns2.pipeline.tools.verify.fault import Fault
from ns2.pipeline.tools.verify.small_files import SmallFiles

_TOP = {layout.CARD, layout.INDEX, layout.REJECTED, layout.SUMS}


@dataclass(kw_only=True)
class Removed:
    """What was removed, or would be.

    Attributes:
        files, bytes, folders: how much in all.
        places: files and bytes by folder, relative to the dataset.
        foreign: what lies in the dataset and is not ours, relative to it; left alone.
    """

    files: int = 0
    bytes: int = 0
    folders: int = 0
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


def collect(root: Path, *, dry_run: bool = False) -> Removed:
    """Remove from a complete dataset what is no longer current.

    That is: tars and markers that its index does not name, columns under other fingerprints,
    assets that the card does not list, screenings of other options, and temporary files. The
    dataset's lock is held all the while.

    Killed anywhere, it has removed nothing that is current, and the next call removes the rest.

    Args:
        dry_run: only find out what would be removed.

    Raises:
        UserError: it is no complete and sound dataset, a run is at work in it, or the file system
            refuses; says what to do.
    """
    root = Path(root)
    open_card(root)  # where there is none, nothing is made in that folder
    state = root / layout.STATE
    try:
        if not dry_run:
            state.mkdir(exist_ok=True)
        with lock(state / "lock", root) if state.is_dir() else nullcontext():
            stale = _Stale(root, *_current(root))
            if not dry_run:
                stale.remove()
    except OSError as error:
        raise UserError(f"can't collect {root}: {error}") from error
    return stale.removed


def _current(root: Path) -> tuple[Card, frozenset[str]]:
    """The card, and the names of all files that it vouches for.

    Raises:
        UserError: one of them is missing, or is a small one and not what was written.
    """
    faults: list[Fault] = []
    files = SmallFiles(root, faults)
    files.check()
    if not faults:
        faults += _target_faults(root, files)
    if faults or files.card is None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(
            f"{root} does not verify, so nothing of it is removed: {faults[0]}{more}. "
            "`ns2 verify` names all that is wrong; `ns2 preprocess` with the dataset's options "
            "makes anew what is missing. Collect when it verifies."
        )
    return files.card, frozenset(files.listed)


def _target_faults(root: Path, files: SmallFiles) -> list[Fault]:
    """What is wrong with the targets, as far as it can be seen without reading a tar."""
    columns = [f"{column}_file" for column in files.specs()]
    index = pq.read_table(root / layout.INDEX, columns=columns)
    named = {str(name) for column in columns for name in index[column].unique().to_pylist()}
    faults = [
        Fault(place=layout.SUMS, message=f"does not list {name}")
        for name in sorted(named - set(files.listed))
    ]
    for name, digest in files.listed.items():
        if not TARGET.match(name):
            continue  # checked with the small files
        path = root / name
        if not path.is_file():
            faults.append(Fault(place=name, message="is missing"))
        elif path.suffix == ".parquet" and sha256_file(path) != digest:
            faults.append(Fault(place=name, message=f"is not the marker that {layout.SUMS} lists"))
    return faults


class _Stale:
    """Files and folders of a dataset that are ours and no longer current.

    Attributes:
        removed: what `remove` removes.
    """

    def __init__(self, root: Path, card: Card, current: frozenset[str]) -> None:
        self._root, self._current = root, current
        self._files: dict[Path, list[Path]] = {}  # by folder
        self._folders: list[Path] = []
        self.removed = Removed()
        used = {column.folder for column in card.columns.values()}
        for entry in self._others(root):
            if entry.name in _TOP:
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and entry.name == layout.ASSETS:
                self._folder(root / entry.name, ASSET_FILE)
            elif is_folder and entry.name == layout.STATE:
                self._state(root / entry.name, card.screen or None)
            elif is_folder and COLUMN_FOLDER.fullmatch(entry.name):
                self._folder(root / entry.name, TARGET_FILE, stale=entry.name not in used)
            else:
                self.removed.foreign.append(entry.name)

    def remove(self) -> None:
        """Remove them.

        Markers go before their tars, the reverse of a commit: whatever moment this is broken off
        at, no marker stands for a tar that is gone. A tar left without its marker is no target,
        and goes next time. One sync a folder keeps that order through a power cut.
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
        """Screenings of other options; all else in there is a cache of every run."""
        for entry in self._others(state):
            if entry.is_dir(follow_symlinks=False) and SCREEN_FOLDER.fullmatch(entry.name):
                folder = state / entry.name
                if screen is None or screen == entry.name:  # an older card does not name its own
                    self._others(folder)
                else:
                    self._folder(folder, SCREEN_FILE, stale=True)

    def _folder(self, folder: Path, ours: re.Pattern[str], *, stale: bool = False) -> None:
        """A folder that holds files of ours alone; one that is stale goes, if nothing stays."""
        name = self._name(folder)
        foreign = [f"{name}/{entry.name}" for entry in self._others(folder, ours)]
        self.removed.foreign += foreign
        if stale and not foreign:
            self._folders.append(folder)
            self.removed.folders += 1
            self.removed.places.setdefault(name, (0, 0))

    def _others(self, folder: Path, ours: re.Pattern[str] | None = None) -> list[os.DirEntry[str]]:
        """Note a folder's stale files; gives what is neither stale nor current, by name.

        Args:
            ours: names that we give to files here; temporary files are ours everywhere.
        """
        others: list[os.DirEntry[str]] = []
        files: list[Path] = []
        size = 0
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                path = folder / entry.name
                known = entry.name.startswith(TEMPORARY) or (ours and ours.fullmatch(entry.name))
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
