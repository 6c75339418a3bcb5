"""The losses of utterances that are not trained on, by the averaged weights.

The same utterances are taken each time, with the same prompts, times and noise, so that two figures
differ by the weights alone. They are read once and kept. No random number of the training is
touched.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ns2.model.tts.batch import Batch
from ns2.train.data.epochs import mixed
from ns2.train.data.prefetch import OnDamage, Reader
from ns2.train.data.selection import Data
from ns2.train.step.trainer import Trainer, by_name

_SEED = 0x5EED
"""Not the run's own: runs of other seeds are validated by the same numbers."""
_LOOKS = 32
"""Utterances are taken again, with other numbers, until there are so many."""


class Validation:
    """Losses of a validation set."""

    def __init__(self, trainer: Trainer, data: Data, *, check: bool, on_damage: OnDamage) -> None:
        """Choose utterances, as many as `validate_frames` allows, and read them.

        Raises:
            DamageError: one of them is damaged, and damage is not skipped.
        """
        config, ranks = trainer.config, trainer.ranks
        self._trainer = trainer
        data = chosen(data, config.validate_frames)
        frames = int(data.frames.sum())
        rounds = min(-(-_LOOKS // len(data)), config.validate_frames // frames)
        self.skipped: list[str] = []
        self._batches: list[Batch] = []
        reader = Reader(
            data,
            trainer.batches,
            seed=_SEED,
            global_frames=max(config.global_frames, int(data.frames.max())),
            epochs=max(1, rounds),
            rank=ranks.rank,
            ranks=ranks.count,
            check=check,
            on_damage=on_damage,
            other_below=config.model.prompt.whole_below,
        )
        with reader:
            for step in reader:
                self.skipped += step.skipped
                self._batches += step.batch or []
        self._counts = trainer.counts(self._batches)

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """Their total and each, of all processes together."""
        trainer = self._trainer
        model, device = trainer.averaged, trainer.ranks.device
        named: dict[str, Tensor] = {}
        for batch in self._batches:
            there = batch.to(device)
            with trainer.autocast():
                losses = model(there, model.draw(batch, self_condition=False).to(device),
                               self._counts)  # fmt: skip
            for name, loss in losses.items():
                named[name] = named.get(name, 0) + loss
        return by_name(trainer.summed(named))


def chosen(data: Data, frames: int) -> Data:
    """Utterances of so many frames together, drawn evenly; at least one."""
    order = np.argsort(mixed(_SEED, np.arange(len(data))), kind="stable")
    fits = np.cumsum(data.frames[order], dtype=np.int64) <= frames
    return data.only(order[: max(1, int(fits.sum()))])
