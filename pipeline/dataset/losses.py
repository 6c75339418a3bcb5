"""What a training says of utterances: the losses that `--set utterance_loss=true` keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.dataset.tables import read_table

LOSS = "utterance_loss"
"""The mean loss of an utterance in a training, which is no field of the index."""
_FILE = f"{LOSS}.parquet"


def join_losses(dataset: Dataset, run: Path) -> None:
    """Have the losses of a run stand in the index, for conditions; only in memory.

    Raises:
        UserError: see `losses_of`.
    """
    dataset.join(LOSS, losses_of(run, dataset))


def losses_of(run: Path, dataset: Dataset) -> np.ndarray:
    """The loss of each utterance of a dataset in a run, (n,); NaN where the run has none.

    Raises:
        UserError: the run kept no losses, or none of this dataset.
    """
    path = run / _FILE
    if not path.is_file():
        raise UserError(
            f"{run} has no {_FILE}: train with --set utterance_loss=true, which may be added to a "
            "run that goes on"
        )
    try:
        table = read_table(path)
        own = table.filter(pc.equal(table["dataset"].cast(pa.string()), dataset.card.sha256sums))
        keys, values = own["key"].to_pylist(), own[LOSS].to_numpy()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    if not keys:
        raise UserError(
            f"{run} has learned from no utterance of {dataset.root} as it is now: was it made "
            "anew since?"
        )
    found = dict(zip(keys, values.tolist(), strict=True))
    return np.array([found.get(key, np.nan) for key in dataset.keys], np.float64)
