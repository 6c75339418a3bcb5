"""What looks at a run while it goes on: its logs, validation, samples, and TensorBoard.

All of it only looks: nothing here changes a step, or a random number that a step depends on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ns2.model.codec.interface import Codec
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.train.data.prefetch import OnDamage
from ns2.train.data.selection import Data
from ns2.train.loop.board import Board
from ns2.train.loop.samples import Samples
from ns2.train.loop.validation import Validation
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import METRICS, STATISTICS, VALIDATION
from ns2.train.step.trainer import Trainer


class Watch:
    """The eyes on one run; processes other than the first only help to validate."""

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        progress: Progress,
        *,
        open_codec: Callable[[], Codec],
        check: bool,
        on_damage: OnDamage,
    ) -> None:
        """Choose what is validated and spoken; what can't be is told once.

        Args:
            open_codec: loads what samples are decoded by; may raise UserError.

        Raises:
            DamageError: an utterance of the validation is damaged, and damage is not skipped.
        """
        self._trainer, self._folder, self._progress = trainer, folder, progress
        self._first = trainer.ranks.rank == 0
        held_out = self._held_out()
        self._validation: Validation | None = None
        if held_out is not None and trainer.config.validate_every:
            self._validation = Validation(trainer, held_out, check=check, on_damage=on_damage)
            for message in self._validation.skipped:
                progress.note(f"left out of the validation: {message}")
        self._board = Board(
            folder.root if self._first else None, trainer.step, trainer.config.steps
        )
        self._samples = self._speaker(held_out, open_codec)

    def __enter__(self) -> Watch:
        if self._samples and self._trainer.step and not self._samples.there(self._trainer.step):
            self.sample()  # where the run was stopped before it could
        return self

    def __exit__(self, *exception: object) -> None:
        self._board.__exit__(*exception)

    def wanted(self) -> dict[str, float] | None:
        """Where statistics of the next step go, if it is one that is looked into."""
        every = self._trainer.config.statistics_every
        return {} if self._first and every and (self._trainer.step + 1) % every == 0 else None

    def step(self, row: dict[str, Any], statistics: dict[str, float] | None) -> None:
        """Write down a step, and its statistics where they were wanted."""
        if self._first:
            self._folder.log(METRICS, row)
            left_out = ("step", "frames", "epoch", "skipped", "seconds")
            shown = {name: value for name, value in row.items() if name not in left_out}
            shown["frames_per_second"] = row["frames"] / row["seconds"]
            self._board.curve("train", self._trainer.step, shown)
            if statistics is not None:
                self._folder.log(STATISTICS, {"step": self._trainer.step, **statistics})
                self._board.scalars("statistics", self._trainer.step, statistics)

    def validate(self) -> bool:
        """Validate if it is time to; returns whether the model is the best so far."""
        trainer = self._trainer
        if self._validation is None or not self._due(trainer.config.validate_every):
            return False
        losses = self._validation.losses()
        best = losses["loss"] < (trainer.best[1] if trainer.best else math.inf)  # never where NaN
        if best:
            trainer.best = (trainer.step, losses["loss"])
        if self._first:
            self._folder.log(VALIDATION, {"step": trainer.step, **losses, "best": best})
            self._board.scalars("validation", trainer.step, losses)
            self._progress.note(
                f"step {trainer.step}: validation loss {losses['loss']:.3f}"
                f"{', the best so far' if best else ''}"
            )
        return best

    def sample(self) -> None:
        """Speak if it is time to."""
        if self._samples is None or not self._due(self._trainer.config.sample_every):
            return
        try:
            self._samples.make()
        except (RuntimeError, ValueError) as error:  # no reason to stop training
            self._progress.note(f"step {self._trainer.step}: no samples: {error}")

    def flush(self) -> None:
        """See that files hold all that was shown: a run may go on from here."""
        self._board.flush()

    def _due(self, every: int) -> bool:
        return self._trainer.due(every)

    def _held_out(self) -> Data | None:
        """What is not trained on, as far as it is asked for."""
        config, data = self._trainer.config, self._trainer.data
        if not config.validate_every and not (config.samples and config.sample_every):
            return None
        if data.split != "train":
            self._progress.note(f"no validation: split {data.split!r} is learnt from, not 'train'")
            return None
        found = data.of_split("val")
        if found is None:
            self._progress.note("no validation: there is no utterance in split 'val'")
        return found

    def _speaker(self, held_out: Data | None, open_codec: Callable[[], Codec]) -> Samples | None:
        trainer, config = self._trainer, self._trainer.config
        if not (self._first and config.model.conditional and config.samples):
            return None
        if not config.sample_every:
            return None
        try:
            codec = open_codec()
        except UserError as error:
            self._progress.note(f"no samples: {error}")
            return None
        return Samples(trainer, held_out, codec, self._folder.root, self._board)
