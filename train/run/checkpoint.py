"""Checkpoints of a run: whole or not at all, the newest ones kept.

    run/checkpoints/00001000.pt
    run/checkpoints/best.pt      the one whose validation was best, under a name of its own

Only tensors, numbers and text: read with `weights_only=True`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from ns2.pipeline.core.atomic import TEMPORARY, atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.train.run.names import BEST, CHECKPOINTS


def save_checkpoint(
    run: Path, step: int, state: dict[str, Any], keep: int, *, best: bool = False
) -> Path:
    """Write the checkpoint of a step, then remove all but the newest `keep`.

    Args:
        best: it is the best so far too. That name comes first: the state knows that it is the best,
            and would not be validated again.
    """
    folder = run / CHECKPOINTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{step:08d}.pt"
    buffer = io.BytesIO()
    torch.save(state, buffer)
    for name in (folder / BEST, path) if best else (path,):
        with atomic_write(name) as file:
            file.write(buffer.getbuffer())
    for old in checkpoints(run)[:-keep]:
        old.unlink()
    for left in folder.glob(f"{TEMPORARY}*"):
        left.unlink()
    return path


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / CHECKPOINTS).glob("[0-9]*.pt"))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that was saved.

    Raises:
        UserError: the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} can't be read ({error}); delete it, and the run goes on from the one before"
        ) from error
    return state
