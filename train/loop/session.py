"""One start of a run, from the first step that it does to the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ns2.model.codec.interface import Codec
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.train.data.prefetch import Fetched, OnDamage, Reader
from ns2.train.data.selection import Data
from ns2.train.loop.sample_figures import PhoneJudge
from ns2.train.run.folder import RunFolder
from ns2.train.step.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Session:
    """What training, validation and samples of one start of a run have in common.

    Attributes:
        trainer: the model in training.
        folder: the run's files.
        progress: shows how far it is, and notes for the user.
        open_codec: opens the codec that samples are decoded with; may raise UserError.
        open_judge: opens what counts wrong phones in samples; None counts none.
        on_damage: whether a damaged utterance stops the run or is left out.
    """

    trainer: Trainer
    folder: RunFolder
    progress: Progress
    open_codec: Callable[[], Codec]
    on_damage: OnDamage
    open_judge: Callable[[], PhoneJudge] | None = None

    @property
    def writes(self) -> bool:
        """Whether this process writes the run's files: the first does, the others only compute."""
        return self.trainer.ranks.rank == 0

    def problem(self, message: str) -> BaseException:
        """What to raise for a problem that all processes meet: the first one shows its message."""
        return UserError(message) if self.writes else SystemExit(1)

    def reader(
        self,
        data: Data,
        collate: Callable[[Sequence[Fetched]], Any],
        *,
        seed: int,
        global_frames: int,
        start: tuple[int, int] = (0, 0),
        epochs: int | None = None,
    ) -> Reader:
        """A reader of this process's share of each step; see `Reader` for the arguments."""
        ranks, config = self.trainer.ranks, self.trainer.config
        return Reader(
            data,
            collate,
            seed=seed,
            global_frames=global_frames,
            start=start,
            epochs=epochs,
            rank=ranks.rank,
            ranks=ranks.count,
            on_damage=self.on_damage,
            other_below=config.model.prompt.whole_below,
            prompts=config.model.prompt if config.plan == 2 else None,
        )
