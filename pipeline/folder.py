"""The output folder: whose it is, and who works in it."""

from __future__ import annotations

from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.card import read_card
from ns2.pipeline.dataset.layout import OURS


def check_folder(out: Path, grid: FrameGrid) -> None:
    """Refuse an output folder that is not a dataset of ours, or one on another grid.

    Raises:
        UserError: says what was found there.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the dataset")
    if not out.is_dir():
        return
    foreign = sorted(path.name for path in out.iterdir() if not OURS.fullmatch(path.name))
    if foreign:
        raise UserError(
            f"{out} holds files that are not of a dataset ({', '.join(foreign[:5])}). "
            "Name a new folder, or the folder of a dataset to bring up to date."
        )
    card = read_card(out)
    if card is not None:
        there = card.get("grid", {})
        if (there.get("sample_rate"), there.get("hop_length")) != (
            grid.sample_rate,
            grid.hop_length,
        ):
            raise UserError(
                f"{out} holds a dataset on another frame grid ({there}); name another folder"
            )
