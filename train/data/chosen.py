"""Choosing the utterances of a dataset by their split and a condition on the index."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.where import parse_where

if TYPE_CHECKING:
    from ns2.pipeline.dataset.reader import Dataset


def chosen_rows(
    dataset: Dataset, split: str, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, shards and frames of the utterances that are chosen, (n,) int32 each.

    Raises:
        UserError: the condition is wrong, or the index has other rows than the card counts.
    """
    condition = parse_where(where, dataset.index_schema) if where.strip() else None
    asked = condition.columns if condition is not None else ()
    columns = dict.fromkeys(("shard", "frames", *(("split",) if split else ()), *asked))
    # dictionary-encoded it is read in half the time, but not every condition can compare it
    codes = ["split"] if split and "split" not in asked else []
    table = dataset.fields(list(columns), codes=codes)
    if table.num_rows != len(dataset):
        raise UserError(
            f"{dataset.root}: the card counts {len(dataset)} utterances, the index has "
            f"{table.num_rows} rows; `ns2 verify` says more"
        )
    table = table.append_column("", pa.array(np.arange(table.num_rows, dtype=np.int32)))
    wanted = [pc.field("split") == split] if split else []
    wanted += [condition.expression] if condition is not None else []
    if wanted:
        table = table.filter(reduce(and_, wanted))
    position, shard, frames = (table[name].to_numpy() for name in ("", "shard", "frames"))
    return position, shard, frames
