"""Pipes, devices, folders and links in place of a dataset's files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.hostile.kinds import Place, kind

_WHERE = {
    "a tar": "mel-*/00000-*.tar",
    "a marker": "f0-*/00000-*.parquet",
    "SHA256SUMS": "SHA256SUMS",
    "the card": "dataset.json",
    "the index": "index.parquet",
    "the ledger": "rejected.parquet",
    "the phoneme table": "assets/phonemes-*.json",
    "the codebooks": "assets/codebooks-*.safetensors",
}


def _path(place: Place, pattern: str) -> Path:
    return next(place.dataset.glob(pattern))


def _instead(name: str, pattern: str) -> None:
    @kind(f"a pipe in place of {name}", in_ci=name in ("a tar", "a marker"))
    def pipe(place: Place) -> None:
        path = _path(place, pattern)
        path.unlink()
        os.mkfifo(path)

    @kind(f"an endless device in place of {name}")
    def device(place: Place) -> None:
        path = _path(place, pattern)
        path.unlink()
        path.symlink_to("/dev/zero")

    @kind(f"a folder in place of {name}")
    def folder(place: Place) -> None:
        path = _path(place, pattern)
        path.unlink()
        path.mkdir()

    @kind(f"another's file in place of {name}")
    def other(place: Place) -> None:
        path = _path(place, pattern)
        path.unlink()
        path.symlink_to(place.victim / "secret.json")


for _name, _pattern in _WHERE.items():
    _instead(_name, _pattern)


@kind("the folder of what runs remember is another's", found=False, in_ci=True)
def linked_state(place: Place) -> None:
    (place.dataset / ".state").symlink_to(place.victim)


@kind("the folder of assets is another's", found=False)
def linked_assets(place: Place) -> None:
    _move(place, place.dataset / "assets")


@kind("the folder of a column is another's", found=False)
def linked_column(place: Place) -> None:
    _move(place, _path(place, "mel-*"))


def _move(place: Place, folder: Path) -> None:
    shutil.move(folder, place.victim / "moved")
    (place.victim / "moved" / ".tmp-1-mine.tar").write_text("mine")
    folder.symlink_to(place.victim / "moved")


@kind("temporary files are another's", found=False)
def linked_temporary(place: Place) -> None:
    for folder in (place.dataset, _path(place, "mel-*")):
        (folder / ".tmp-1-00000.tar").symlink_to(place.victim / "secret.tar")
        (folder / f".tmp-{os.getpid()}-index.parquet").symlink_to(place.victim / "secret.json")
