"""The output folder: whose it is, and who works in it."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ns2.pipeline import index as ix
from ns2.pipeline.files import TEMPORARY
from ns2.pipeline.schema import COLUMNS, FrameGrid, UserError

_OURS = re.compile(
    r"dataset\.json|index\.parquet|rejected\.parquet|SHA256SUMS|assets|\.state"
    rf"|{re.escape(TEMPORARY)}.*|({'|'.join(COLUMNS)})-[0-9a-f]+"
)


def check_folder(out: Path, grid: FrameGrid) -> None:
    """Refuse an output folder that is not a dataset of ours, or one on another grid.

    Raises:
        UserError: says what was found there.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the dataset")
    if not out.is_dir():
        return
    foreign = sorted(path.name for path in out.iterdir() if not _OURS.fullmatch(path.name))
    if foreign:
        raise UserError(
            f"{out} holds files that are not of a dataset ({', '.join(foreign[:5])}). "
            "Name a new folder, or the folder of a dataset to bring up to date."
        )
    card = ix.read_card(out)
    if card is not None:
        there = card.get("grid", {})
        if (there.get("sample_rate"), there.get("hop_length")) != (
            grid.sample_rate,
            grid.hop_length,
        ):
            raise UserError(
                f"{out} holds a dataset on another frame grid ({there}); name another folder"
            )


@contextmanager
def lock(path: Path, out: Path) -> Iterator[None]:
    """Hold the lock of a dataset's folder: one run at a time."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another ns2 is at work in {out}; wait for it or stop it first"
            ) from error
        yield
