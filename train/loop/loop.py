"""The training of NaturalSpeech 2, step after step, and the files that a run writes on the way.

A run goes on from a checkpoint as if nothing had happened, also with another number of processes:
see `Trainer` for why. Validation, samples and statistics only observe: they touch no random number
that a step depends on.

A step goes through these phases, in all processes alike:

    fetch -> stop, where it was asked for -> learn -> log the step before, or this one where
          something is due -> validate -> save -> samples, where they are due
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.garbage import give_back
from ns2.pipeline.core.progress import Progress, duration
from ns2.pipeline.core.terminal import say
from ns2.pipeline.remote.faults import RemoteError
from ns2.train.data.prefetch import Reader, Step
from ns2.train.data.selection import Data
from ns2.train.loop.collector import TRIM_EVERY, frozen
from ns2.train.loop.opening import opened
from ns2.train.loop.origin import Origin
from ns2.train.loop.sample_figures import PhoneJudge
from ns2.train.loop.session import Session
from ns2.train.loop.utilisation import peak
from ns2.train.loop.watch import Watch
from ns2.train.run.copied import copied_to
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import METRICS
from ns2.train.run.saver import Saver
from ns2.train.run.settings import TrainConfig
from ns2.train.run.signals import StopRequest, stop_request
from ns2.train.run.train_options import TrainOptions
from ns2.train.speak.facts import facts_of, open_codec_of
from ns2.train.step.ranks import Ranks, peak_memory
from ns2.train.step.room import RoomError, enough_room
from ns2.train.step.tally import Tally
from ns2.train.step.utterance_losses import loss_table

SKIPS = 10
"""So many steps in a row that are not finite end a run."""
_NAMED = 5
"""Utterances of such a step that the progress names."""


class Outcome(Enum):
    """How a start of a run ended."""

    DONE = auto()
    """All steps are done."""
    STOPPED = auto()
    """A signal stopped it, after a whole step and a save."""


def train(
    config: TrainConfig,
    data: Data,
    out: Path,
    progress: Progress,
    options: TrainOptions,
    open_judge: Callable[[], PhoneJudge] | None = None,
    origin: Origin | None = None,
) -> bool:
    """Begin a run in a folder, or go on with the run that is there.

    Args:
        origin: the run whose weights a run begins with; None for random weights.
        options: of these the device, `compile`, `fresh`, `on_damage`, `copy_to` and the codec's.
        open_judge: opens what counts wrong phones in samples; None counts none.

    Returns:
        whether all steps are done; False where a signal stopped the run.

    Raises:
        UserError: the folder is another run's, the data is damaged or was changed, or steps that
            were not finite ended the run.
    """
    data = data.mixed_by(config.mix, config.epoch_utterances)
    with Ranks(options.device) as ranks:
        if options.device == "auto":
            progress.note(f"computes on {ranks.device_name}")
        folder, copy_to = RunFolder(out), options.copy_to if ranks.rank == 0 else None
        with (
            copied_to(copy_to, out, progress.note, fresh=options.fresh) as copy,
            opened(config, data, folder, ranks, progress, options, origin) as trainer,
        ):
            copy.begin(data.identity)
            session = Session(
                trainer=trainer,
                folder=folder,
                progress=progress,
                open_codec=lambda: open_codec_of(
                    facts_of(data.datasets), options.codec, options.codec_weights
                ),
                on_damage=options.on_damage,
                open_judge=open_judge,
            )
            done = run(session) is Outcome.DONE
            ranks.meet()  # the first process may still be at work in the folder
        return done


def run(session: Session) -> Outcome:
    """Do all steps that are left.

    Raises:
        UserError: steps were skipped, since their loss or gradient was not finite: several in a
            row, or the last one.
    """
    trainer, config = session.trainer, session.trainer.config
    watch = Watch(session)
    reader = session.reader(
        trainer.data,
        trainer.share,
        seed=config.seed,
        global_frames=config.global_frames,
        start=trainer.place,
    )
    saver = Saver(session.folder.root, config.keep)
    trainer.before_update = saver.settle
    session.progress.phase("training", config.steps, unit="steps")
    trainer.model.train()
    with reader, watch, stop_request() as request, _saving(saver, trainer.ranks), frozen():
        trainer.ranks.meet()  # the first process may have made samples
        reader.stop = lambda: request.made
        loop = _Loop(session, watch, reader, saver, request)
        while trainer.step < config.steps:
            if loop.step() is Outcome.STOPPED:
                break
        loop.finish()
    if trainer.skips:
        left = "" if trainer.step < config.steps else " with more --steps"
        raise session.problem(
            f"step {trainer.step}, the last one, was skipped: its loss or gradient was not finite. "
            f"The same command goes on{left}; a lower learning_rate needs a new run."
        )
    return Outcome.DONE if trainer.step >= config.steps else Outcome.STOPPED


@contextmanager
def _saving(saver: Saver, ranks: Ranks) -> Iterator[None]:
    """At the end of the block the last checkpoint is waited for, however long that takes."""
    with ExitStack() as held, saver:
        try:
            yield
        finally:
            held.enter_context(ranks.alone())


@dataclass(frozen=True)
class _Told:
    """What processes tell each other before a step, added up.

    Attributes:
        problems, stops: processes that have a problem, and that were asked to stop.
        skipped: utterances that were left out.
        tally: what all have in the step.
    """

    problems: int
    stops: int
    skipped: int
    tally: Tally


@dataclass(frozen=True)
class _Begun:
    """A step that was begun: its line of the metrics without losses, and its statistics, if any."""

    row: dict[str, Any]
    numbers: np.ndarray
    statistics: dict[str, float] | None
    work: float


class _Loop:
    """The steps of one start of a run."""

    def __init__(
        self, session: Session, watch: Watch, reader: Reader, saver: Saver, request: StopRequest
    ) -> None:
        self._session, self._trainer = session, session.trainer
        self._watch, self._reader, self._request = watch, reader, request
        self._saver = saver
        self._peak = peak(self._trainer.autocast(), self._trainer.ranks.device)
        self._first, self._started = self._trainer.step, time.monotonic()
        self._begun: _Begun | None = None

    def step(self) -> Outcome | None:
        """Do one step, and what is due after it; returns STOPPED where the run is to end.

        A step is waited for, and logged, when the next one is on its way; or at once, where
        something is due after it.
        """
        trainer, watch, config = self._trainer, self._watch, self._trainer.config
        began, waited = time.perf_counter(), self._reader.meter.waited
        fetched, told = self._fetch()
        if fetched is None:
            return Outcome.STOPPED
        if told.stops and trainer.step > self._first:  # the step before is the last one
            self._log()
            self._save()
            return Outcome.STOPPED
        self._learn(fetched, told, began, waited)
        dues = (config.checkpoint_every, config.validate_every, config.sample_every)
        first, last = trainer.step == self._first + 1, trainer.step == config.steps
        if trainer.skips or first or last or any(map(trainer.due, dues)):
            self._log()
        if first:
            trainer.ranks.settle()
        best = watch.validate()
        if best or trainer.due(config.checkpoint_every):
            self._save(best=best)
        if trainer.skips and trainer.skips % SKIPS == 0:
            self._give_up()
        watch.sample()
        if self._alone_for_long(best):
            trainer.ranks.meet()
        return None

    def _alone_for_long(self, best: bool) -> bool:
        """Whether the first process has worked alone after a step; all know it alike."""
        config, due = self._trainer.config, self._trainer.due
        return best or due(config.checkpoint_every) or due(config.sample_every)

    def finish(self) -> None:
        """Wait for the last checkpoint.

        Raises:
            BaseException: it could not be written.
        """
        ranks = self._trainer.ranks
        with ranks.alone():
            problem = self._saver.problem(wait=True)
        ranks.meet()
        if ranks.any(problem is not None):
            raise problem or SystemExit(1)

    def _fetch(self) -> tuple[Step | None, _Told]:
        """The next step's data, and what all processes know of it.

        Where the run is to stop, and the data can't be reached, there are none, and what was
        learned is saved.

        Raises:
            UserError: it is damaged, or the dataset was changed; what was learned is saved first.
            BaseException: a checkpoint could not be written.
        """
        problem = unsaved = self._saver.problem()
        step: Step | None = None
        if problem is None:
            try:
                step = next(self._reader)
            except UserError as error:
                problem = error
        told = self._tell(step)
        # of any process: the others would wait for it in the sum of gradients
        if step is None or told.problems:
            self._log()
            if unsaved is None and self._trainer.step > self._first:
                self._save()
            if told.stops and unsaved is None and isinstance(problem, RemoteError | None):
                return None, told
            raise problem or SystemExit(1)  # a process with a problem shows the message
        for message in step.skipped:
            self._session.progress.note(f"left out: {message}")
            if not self._session.writes:  # its display is quiet
                say(f"left out: {message}", err=True)
        return step, told

    def _tell(self, step: Step | None) -> _Told:
        """Tell the other processes what there is to know of a step, None for a problem."""
        share = step.batch if step else None
        problems, stops, skipped, *counts = self._trainer.ranks.total(
            step is None,
            # one process is signalled, and all of them stop after the same step
            self._request.made,
            len(step.skipped) if step else 0,
            *(share.counted if share else Tally()),
        )
        return _Told(int(problems), int(stops), int(skipped), Tally(*counts))

    def _learn(self, step: Step, told: _Told, began: float, waited: float) -> None:
        """Have the weights moved, count the step as done, and log the one before.

        Args:
            began: the time when fetching of this step began.
            waited: seconds that the reader had been waited for until then.
        """
        trainer = self._trainer
        statistics = self._watch.statistics_of_next()
        work = trainer.work(step.batch)
        try:
            with enough_room(trainer, step.batch):
                before = trainer.begin(step.batch, statistics, told.tally)
        except RoomError:
            self._log()
            if trainer.step > self._first:  # nothing has moved since
                self._save()
            raise
        if before is not None:
            self._log(before)
        learning_rate = trainer.config.learning_rate_at(trainer.step)
        trainer.step, trainer.place = trainer.step + 1, step.next
        seconds = time.perf_counter() - began
        computed = told.tally.computed
        row = {
            "step": trainer.step,
            "lr": learning_rate,
            "frames": step.global_frames,
            "computed": int(computed),
            "padding": 1 - told.tally.work / computed if computed else 0.0,
            "epoch": step.epoch,
            "skipped": told.skipped,
            "gflop_per_frame": work / 1e9 / max(1, step.frames),
            "data_wait": (self._reader.meter.waited - waited) / seconds,
            "seconds": seconds,
        }
        if self._peak is not None:
            row["mfu"] = work / seconds / self._peak
        self._begun = _Begun(row, step.numbers, statistics, work)

    def _log(self, losses: dict[str, float] | None = None) -> None:
        """Log and show the step that was begun last, if it was not logged yet.

        Args:
            losses: its losses; None waits for them.
        """
        begun, self._begun = self._begun, None
        if begun is None:
            return
        trainer = self._trainer
        if losses is None and trainer.busy:
            losses = trainer.finish()
        if losses is None:  # it ended in an error after all
            return
        step, *others = begun.row.items()
        row = dict([step, *losses.items(), *others, ("step_skipped", int(trainer.skips > 0))])
        if trainer.skips:
            row["utterances"] = trainer.data.keys(begun.numbers)
        if step[1] % TRIM_EVERY == 0:
            give_back()
        self._watch.step(row, begun.statistics)
        self._show(row, losses, begun.work)

    def _show(self, row: dict[str, Any], losses: dict[str, float], work: float) -> None:
        """The progress line of a step."""
        trainer, step, steps = self._trainer, row["step"], self._trainer.config.steps
        pace = (time.monotonic() - self._started) / (step - self._first)
        named = ", ".join(
            f"{name} {value:.3g}"
            for name, value in losses.items()
            if name not in ("loss", "grad_norm")
        )
        used = f" ({row['mfu']:.0%} of the device)" if "mfu" in row else ""
        more = (
            f" ({named}), lr {row['lr']:.1e}, {row['frames'] / row['seconds']:,.0f} frames/s, "
            f"{row['data_wait']:.1%} waiting, {peak_memory(trainer.ranks.device) / 2**30:.1f} GiB, "
            f"{duration(pace * (steps - step))} left, "
            f"{work / row['seconds'] / 1e12:.2g} TFLOP/s{used}"
        )
        self._session.progress.training(step, steps, losses["loss"], more)
        if trainer.skips:
            keys = row["utterances"]
            self._session.progress.note(
                f"step {step} changed nothing: its loss ({losses['loss']}) or gradient "
                f"({losses['grad_norm']}) is not finite; utterances {', '.join(keys[:_NAMED])}"
                f"{f' and {len(keys) - _NAMED} more' if len(keys) > _NAMED else ''} ({METRICS} "
                "names all)"
            )

    def _give_up(self) -> None:
        """Save, and end the run: hardly anything would be learned from here on."""
        self._save()
        raise self._session.problem(
            f"the last {self._trainer.skips} steps were skipped: loss or gradient were not finite. "
            f"The weights of step {self._trainer.step - self._trainer.skips} are saved. Begin anew "
            "with a lower learning_rate or --set precision=fp32; look at the utterances that "
            f"{METRICS} names if it is always the same ones."
        )

    def _save(self, *, best: bool = False) -> None:
        """Begin to write a checkpoint, and the averaged weights for use elsewhere."""
        self._trainer.ranks.check()
        # points that TensorBoard shows before the checkpoint are not shown again after it
        self._watch.flush()
        trainer, losses = self._trainer, self._trainer.losses
        kept = None if losses is None else losses.state(trainer.ranks)
        if self._session.writes:
            with trainer.ranks.alone():
                more = {} if kept is None else {"utterance_loss": kept}
                self._saver.save({**trainer.state(), **more}, best=best)
                if kept is not None:
                    self._session.folder.keep_losses(loss_table(trainer.data, kept))
