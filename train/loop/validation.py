"""The losses of the averaged weights on utterances that are not trained on.

Every validation takes the same utterances, with the same prompts, times and noise, so that two
losses differ by the weights alone. Utterances are read once and kept. No random number of the
training is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ns2.model.tts.batch import Batch
from ns2.train.data.epochs import mixed
from ns2.train.data.prefetch import Fetched
from ns2.train.data.selection import Data
from ns2.train.loop.session import Session
from ns2.train.step.later import by_name
from ns2.train.step.tally import tally

_SEED = 0x5EED
"""Not the run's own seed: runs of all seeds are validated with the same random numbers."""
_LOOKS = 32
"""Few utterances are taken several times, with other random numbers, until there are so many."""


class Validation:
    """A validation set, and the losses on it.

    Attributes:
        skipped: messages on utterances that were left out as damaged.
    """

    def __init__(self, session: Session, data: Data) -> None:
        """Choose utterances, as many as `validate_frames` allows, and read them.

        Raises:
            DamageError: an utterance is damaged, and damage is not skipped.
        """
        trainer, config = session.trainer, session.trainer.config
        self._trainer = trainer
        data = chosen(data, config.validate_frames)
        frames = int(data.frames.sum())
        rounds = min(-(-_LOOKS // len(data)), config.validate_frames // frames)
        self.skipped: list[str] = []
        self._batches: list[Batch] = []
        reader = session.reader(
            data,
            lambda fetched: trainer.batches(_drawn(fetched)),
            seed=_SEED,
            global_frames=max(config.global_frames, int(data.frames.max())),
            epochs=max(1, rounds),
        )
        with reader:
            for step in reader:
                self.skipped += step.skipped
                self._batches += step.batch or []
        self._counts = trainer.total(tally(self._batches)).counts(trainer.ranks.device)

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """The named losses of all processes together, and their total `loss`."""
        ranks = self._trainer.ranks
        with ranks.alone():
            summed = self._own()
        ranks.meet()
        return by_name(self._trainer.summed(summed))

    def _own(self) -> dict[str, Tensor]:
        """The losses of this process's share."""
        trainer = self._trainer
        model, device = trainer.averaged, trainer.ranks.device
        summed: dict[str, Tensor] = {}
        for batch in self._batches:
            there = batch.to(device)
            with trainer.autocast():
                losses = model(there, model.draw(batch, self_condition=False).to(device),
                               self._counts)  # fmt: skip
            for name, loss in losses.items():
                summed[name] = summed.get(name, 0) + loss
        return summed


def _drawn(fetched: Sequence[Fetched]) -> list[Fetched]:
    """Utterances whose prompts have lengths that are drawn: they don't depend on any plan."""
    return [replace(one, share=None) for one in fetched]


def chosen(data: Data, frames: int) -> Data:
    """Utterances that have at most so many frames together, drawn evenly; at least one."""
    order = np.argsort(mixed(_SEED, np.arange(len(data))), kind="stable")
    fits = np.cumsum(data.frames[order], dtype=np.int64) <= frames
    return data.only(order[: max(1, int(fits.sum()))])
