"""The mean loss of each utterance in a training, corrected for its diffusion times.

The error of the denoiser depends on the diffusion time far more than on the utterance, and falls in
the course of a training. So the logarithm of each error is compared with the running mean of errors
at like times: an utterance of the loss 1.2 has had errors that were 20 % above those of the others
at the same times. Only errors in the noisier half of the times count, where the model depends on
what it is told of text and pitch, and not those of utterances that learn without content in a step.

Letters for shapes: n utterances of the data, B of a batch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ns2.model.tts.draws import Draws
from ns2.model.tts.ns2 import NS2
from ns2.train.data.selection import Data
from ns2.train.step.ranks import Ranks

_BINS = 20
"""Times are alike that lie in the same twentieth."""
_LEAST = 0.5
"""The place in the range of times from which errors count."""
_RATE = 0.05
"""The weight of a new error in the running mean of its twentieth."""


class UtteranceLosses:
    """Sums over the steps of a training; nothing in it waits for the device.

    Attributes:
        sums: (n,) of the corrected logarithms of errors, of this process.
        counts: (n,) how many there are.
        usual: (bins,) the running means of logarithms.
        seen: (bins,) whether there is one.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.sums, self.counts = (torch.zeros(count, device=device) for _ in range(2))
        self.usual, self.seen = (torch.zeros(_BINS, device=device) for _ in range(2))

    @torch.no_grad()
    def add(self, numbers: Tensor, uniform: Tensor, errors: Tensor, counted: Tensor) -> None:
        """Add the errors of a batch.

        Args:
            numbers: (B,) int64 of the utterances.
            uniform: (B,) in [0, 1), their places in the range of times.
            errors: (B,) the mean squared errors of their latents.
            counted: (B,) bool, those that count.
        """
        logs = errors.float().clamp(min=1e-12).log()
        use = (counted & (uniform >= _LEAST) & logs.isfinite()).float()
        bins = (uniform * _BINS).long().clamp(max=_BINS - 1)
        logs = torch.where(use > 0, logs, 0.0)
        here = torch.zeros_like(self.usual).index_add_(0, bins, use)
        mean = torch.zeros_like(self.usual).index_add_(0, bins, logs) / here.clamp(min=1)
        first = (self.seen == 0) & (here > 0)
        self.usual = torch.where(first, mean, self.usual)
        self.seen = self.seen.maximum((here > 0).float())
        self.sums.index_add_(0, numbers, use * (logs - self.usual[bins]))
        self.counts.index_add_(0, numbers, use)
        weight = 1 - (1 - _RATE) ** here
        self.usual = self.usual + weight * (mean - self.usual)

    def state(self, ranks: Ranks) -> dict[str, Any]:
        """What all processes together know, for a checkpoint; all of them have to call it."""
        sums, counts = self.sums.clone(), self.counts.clone()
        ranks.sum([sums, counts])
        return {"sums": sums, "counts": counts, "usual": self.usual, "seen": self.seen}

    def load(self, state: dict[str, Any], ranks: Ranks) -> None:
        """Go on from a checkpoint; the first process keeps what all had summed."""
        if ranks.rank == 0:
            self.sums.copy_(state["sums"])
            self.counts.copy_(state["counts"])
        self.usual.copy_(state["usual"])
        self.seen.copy_(state["seen"])


@contextmanager
def observed(
    losses: UtteranceLosses | None, model: NS2, numbers: Tensor | None, draws: Draws
) -> Iterator[None]:
    """Have a pass of a model add the errors of its utterances to their losses, if there are any.

    Args:
        numbers: (B,) of the utterances; None where they are not known.
        draws: the random numbers of the pass, on the model's device.
    """
    if losses is None or numbers is None:
        yield
        return
    here = numbers.to(draws.uniform.device)
    model.observe = lambda errors: losses.add(here, draws.uniform, errors, ~draws.drop_content)
    try:
        yield
    finally:
        model.observe = None


def loss_table(data: Data, state: dict[str, Any]) -> bytes:
    """The losses as a parquet file: `dataset` (its card's checksum), key, utterance_loss, times.

    `times` is how often an utterance was counted; those that never were have no row.
    """
    counts = state["counts"].cpu().numpy()
    there = np.flatnonzero(counts)
    sums = state["sums"].cpu().numpy()[there].astype(np.float64)
    # running means lag behind what falls: 1 is to be the mean of all that was counted
    usual = sums.sum() / max(counts.sum(), 1)
    means = np.exp(sums / counts[there] - usual)
    cards = [dataset.card.sha256sums for dataset in data.datasets]
    table = pa.table(
        {
            "dataset": pa.DictionaryArray.from_arrays(
                pa.array(data.dataset_of[there].astype(np.int32)), pa.array(cards)
            ),
            "key": data.keys(there),
            "utterance_loss": means,
            "times": counts[there].astype(np.int32),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", write_page_checksum=True)
    return out.getvalue()
