"""The output folder: whose it is, and who works in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import read_card
from ns2.pipeline.dataset.layout import OURS, plan_file
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import Shard, load_plan, plan_shards
from ns2.pipeline.preprocess.plan.sources import Source


def place(
    sources: Sequence[Source], out: Path, options: Options
) -> tuple[tuple[Shard, ...], Mapping[str, int]]:
    """Shards of all sources, and where every key was before.

    Raises:
        UserError: the folder holds a dataset of other utterances, or with shards of another size.
    """
    if not any(out.glob("*-*/*.parquet")):
        return plan_shards(sources, {}, options.shard_utterances), {}
    previous, size = load_plan(plan_file(out), out / layout.INDEX)
    if size is None:
        size = card.options.get("shard_utterances") if (card := read_card(out)) else None
    if previous and size not in (None, options.shard_utterances):
        raise UserError(
            f"{out} has shards of {size} utterances, and a dataset keeps its shards: add "
            f"--shard-utterances {size}, or name another output folder."
        )
    if previous and not sources:
        raise UserError(
            f"no audio of this corpus can be read, and {out} holds a dataset of "
            f"{len(previous)} utterances: is the corpus's disk there?"
        )
    if previous and not any(source.key in previous for source in sources):
        raise UserError(
            f"{out} holds a dataset of other utterances: none of its {len(previous)} "
            "keys is in this corpus. Name another output folder."
        )
    return plan_shards(sources, previous, options.shard_utterances), previous


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
    if card is not None and card.format != layout.FORMAT:
        raise UserError(
            f"{out / layout.CARD} was not written by ns2, and a dataset would take its place; name "
            "another folder"
        )
    if card is not None and card.grid != grid:
        raise UserError(
            f"{out} holds a dataset on another frame grid: {card.grid.sample_rate} Hz with a "
            f"hop length of {card.grid.hop_length}, not {grid.sample_rate} Hz with "
            f"{grid.hop_length}; name another folder"
        )
