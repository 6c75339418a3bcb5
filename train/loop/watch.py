"""The observers of a run: logs, TensorBoard, validation and samples.

They only observe: nothing here changes a step, or a random number that a step depends on.
"""

from __future__ import annotations

import math
from typing import Any

from ns2.pipeline.core.errors import UserError
from ns2.train.data.selection import Data
from ns2.train.loop.board import Board
from ns2.train.loop.sample_figures import in_words
from ns2.train.loop.samples import Samples
from ns2.train.loop.session import Session
from ns2.train.loop.validation import Validation
from ns2.train.run.names import METRICS, STATISTICS, VALIDATION

_HIDDEN = (
    "step", "frames", "epoch", "skipped", "seconds", "step_skipped", "utterances", "computed"
)  # fmt: skip
"""Fields of the metrics that TensorBoard has no curve of."""


class Watch:
    """The observers of one run; in processes other than the first they only help to validate."""

    def __init__(self, session: Session) -> None:
        """Choose utterances to validate and to speak; notes say why there are none.

        Raises:
            DamageError: an utterance of the validation is damaged, and damage is not skipped.
        """
        trainer = session.trainer
        self._session, self._trainer = session, trainer
        held_out = self._held_out()
        self._validation = self._open_validation(held_out)
        self._board = Board(
            session.folder.root if session.writes else None, trainer.step, trainer.config.steps
        )
        self._samples = self._open_samples(held_out)

    # -- what there is to observe, by the settings -----------------------------------------------

    @property
    def _validates(self) -> bool:
        return self._trainer.config.validate_every > 0

    @property
    def _speaks(self) -> bool:
        config = self._trainer.config
        return config.samples > 0 and config.sample_every > 0

    def _held_out(self) -> Data | None:
        """The val split; None where nobody asks for it, or where there is none."""
        data, note = self._trainer.data, self._session.progress.note
        if not (self._validates or self._speaks):
            return None
        if data.split != "train":
            note(f"no validation: split {data.split!r} is trained on, not 'train'")
            return None
        found = data.of_split("val")
        if found is None:
            note("no validation: there is no utterance in split 'val'")
        return found

    def _open_validation(self, held_out: Data | None) -> Validation | None:
        if held_out is None or not self._validates:
            return None
        validation = Validation(self._session, held_out)
        for message in validation.skipped:
            self._session.progress.note(f"left out of the validation: {message}")
        return validation

    def _open_samples(self, held_out: Data | None) -> Samples | None:
        """Samples of held-out utterances; of those that are trained on where there are none."""
        session, trainer = self._session, self._trainer
        if not (session.writes and self._speaks and trainer.config.model.conditional):
            return None
        try:
            codec = session.open_codec()
        except UserError as error:
            session.progress.note(f"no samples: {error}")
            return None
        judge = session.open_judge() if session.open_judge else None
        return Samples(trainer, held_out, codec, judge, session.folder, self._board)

    # -- before, after and around steps ----------------------------------------------------------

    def __enter__(self) -> Watch:
        """Make the samples of the last step where the run was stopped before it could."""
        step = self._trainer.step
        if self._samples and step and not self._samples.there(step):
            self.sample()
        return self

    def __exit__(self, *exception: object) -> None:
        self._board.__exit__(*exception)

    def statistics_of_next(self) -> dict[str, float] | None:
        """An empty dictionary for statistics of the next step; None where they are not due."""
        every = self._trainer.config.statistics_every
        due = every > 0 and (self._trainer.step + 1) % every == 0
        return {} if self._session.writes and due else None

    def step(self, row: dict[str, Any], statistics: dict[str, float] | None) -> None:
        """Log a step, and its statistics where they were due."""
        if not self._session.writes:
            return
        step = row["step"]
        self._session.folder.log(METRICS).append(row)
        shown = {name: value for name, value in row.items() if name not in _HIDDEN}
        shown["frames_per_second"] = row["frames"] / row["seconds"]
        self._board.curve("train", step, shown)
        if statistics is not None:
            self._session.folder.log(STATISTICS).append({"step": step, **statistics})
            self._board.scalars("statistics", step, statistics)

    def validate(self) -> bool:
        """Validate if that is due; returns whether the loss is the lowest so far."""
        trainer = self._trainer
        if self._validation is None or not trainer.due(trainer.config.validate_every):
            return False
        losses = self._validation.losses()
        lowest = trainer.best[1] if trainer.best else math.inf
        best = math.isfinite(losses["loss"]) and losses["loss"] < lowest
        if best:
            trainer.best = (trainer.step, losses["loss"])
        if self._session.writes:
            row = {"step": trainer.step, **losses, "best": best}
            self._session.folder.log(VALIDATION).append(row)
            self._board.scalars("validation", trainer.step, losses)
            self._session.progress.note(
                f"step {trainer.step}: validation loss {losses['loss']:.3f}"
                f"{', the best so far' if best else ''}"
            )
        return best

    def sample(self) -> None:
        """Make samples if they are due; a failure is noted, and training goes on."""
        if self._samples is None or not self._trainer.due(self._trainer.config.sample_every):
            return
        try:
            with self._trainer.ranks.alone():
                figures = self._samples.make()
        except (RuntimeError, ValueError) as error:
            self._session.progress.note(f"step {self._trainer.step}: no samples: {error}")
            return
        if figures:
            told = in_words(figures)
            self._session.progress.note(f"step {self._trainer.step}: samples: {told}")

    def flush(self) -> None:
        """Write out all that was shown on TensorBoard: a run may go on from here."""
        self._board.flush()
