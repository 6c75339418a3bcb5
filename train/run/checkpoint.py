"""Checkpoints of a run: each is whole or absent, and the newest ones are kept.

    run/checkpoints/00001000.pt
    run/checkpoints/best.pt      the one with the lowest validation loss, whatever its age

They hold only tensors, numbers and text, and are read with `weights_only=True`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ns2.pipeline.core.atomic import (
    atomic_write,
    member_folder,
    put_in_place,
    remove_temporaries,
    temporary_path,
)
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import open_regular
from ns2.train.run.names import BEST, CHECKPOINTS

_NAME = re.compile(r"[0-9]{8,12}\.pt")


def save_checkpoint(
    run: Path, step: int, state: Mapping[str, Any], keep: int, *, best: bool = False
) -> Path:
    """Write the checkpoint of a step, then remove all but the newest `keep`.

    Args:
        best: its validation loss is the lowest so far, and it becomes best.pt too. That file is
            written first: a run that goes on from this state does not validate it once more.
    """
    folder = member_folder(run, CHECKPOINTS)
    path = folder / f"{step:08d}.pt"
    write_state(state, *((folder / BEST, path) if best else (path,)))
    for old in checkpoints(run)[:-keep]:
        old.unlink()
    remove_temporaries(folder)
    return path


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first; best.pt is not among them."""
    found = (run / CHECKPOINTS).glob("[0-9]*.pt")
    return sorted(path for path in found if _NAME.fullmatch(path.name) and not path.is_dir())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a run's checkpoint, its tensors on the CPU.

    Raises:
        UserError: the file is damaged.
    """
    return read_state(path, "delete it, and the run goes on from the checkpoint before it")


def write_state(state: Mapping[str, Any], *paths: Path) -> None:
    """Write the same state to one or more files, one after the other, each atomically.

    It is written once, and the other files are hard links to the first where the disk has these.

    Raises:
        OSError: the disk is full, or the file can't be written for another reason.
    """
    first, *others = paths
    try:
        with atomic_write(first) as file:
            torch.save(dict(state), file)
    except RuntimeError as error:  # by which torch hides why it could not write
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    for path in others:
        _write_again(first, path)


def _write_again(written: Path, path: Path) -> None:
    """Give a file that was written another name beside it."""
    temporary = temporary_path(path)
    try:
        os.link(written, temporary, follow_symlinks=False)
    except OSError:  # some disks have no hard links
        with atomic_write(path) as file, written.open("rb") as same:
            shutil.copyfileobj(same, file)
        return
    put_in_place(temporary, path)


def read_state(path: Path, advice: str) -> dict[str, Any]:
    """The state that `write_state` wrote, its tensors on the CPU.

    Args:
        advice: what to do where the file is damaged; the end of the message.

    Raises:
        UserError: it is damaged.
    """
    try:
        with open_regular(path) as file:  # opening a pipe would wait for ever
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path} can't be read ({error}); {advice}") from error
    return state
