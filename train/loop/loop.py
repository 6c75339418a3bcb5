"""The training of NaturalSpeech 2, step after step, and the files that a run writes on the way.

A run goes on from a checkpoint as if nothing had happened, also with another number of processes:
see `Trainer` for why. Validation, samples and statistics only observe: they touch no random number
that a step depends on.

A step goes through these phases, in all processes alike:

    fetch -> learn -> log -> validate -> save, where it is due -> stop, where it was asked for
          -> samples, where they are due
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

import click

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress, duration
from ns2.train.data.prefetch import Reader, Step
from ns2.train.data.selection import Data
from ns2.train.loop.about import about
from ns2.train.loop.collector import frozen
from ns2.train.loop.sample_figures import PhoneJudge
from ns2.train.loop.session import Session
from ns2.train.loop.utilisation import peak
from ns2.train.loop.watch import Watch
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import METRICS
from ns2.train.run.saver import Saver
from ns2.train.run.settings import TrainConfig
from ns2.train.run.signals import StopRequest, stop_request
from ns2.train.run.train_options import TrainOptions
from ns2.train.speak.facts import facts_of, keep_speech, open_codec_of
from ns2.train.step.ranks import Ranks, peak_memory
from ns2.train.step.trainer import Trainer

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
) -> bool:
    """Begin a run in a folder, or go on with the run that is there.

    Args:
        options: of these the device, `compile`, `fresh`, `on_damage` and the codec's.
        open_judge: opens what counts wrong phones in samples; None counts none.

    Returns:
        whether all steps are done; False where a signal stopped the run.

    Raises:
        UserError: the folder is another run's, the data is damaged or was changed, or steps that
            were not finite ended the run.
    """
    with Ranks(options.device) as ranks:
        if options.device == "auto":
            progress.note(f"computes on {ranks.device_name}")
        folder = RunFolder(out)
        trainer = Trainer(config, data, ranks, compiled=options.compile)
        if _open_together(folder, trainer, fresh=options.fresh):
            progress.note(f"{out}: goes on after step {trainer.step}")
            if (told := _prolonged(folder.steps_before, trainer)) is not None:
                progress.note(told)
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
        return run(session) is Outcome.DONE


def _prolonged(before: int | None, trainer: Trainer) -> str | None:
    """What another number of steps changes of the learning rate; None where it changes nothing."""
    config, step = trainer.config, trainer.step
    if before is None or before == config.steps or config.decay != "cosine":
        return None
    was = replace(config, steps=before).learning_rate_at(max(0, step - 1))
    now = config.learning_rate_at(step)
    return (
        f"the cosine decay ends at step {config.steps}, no longer at {before}: the learning rate "
        f"was {was:.2e} before and is {now:.2e} from step {step + 1} on"
    )


def _open_together(folder: RunFolder, trainer: Trainer, *, fresh: bool) -> bool:
    """Open the run's folder in the first process, and load its newest checkpoint in all of them.

    Nothing keeps what was read: a checkpoint is three times as large as the weights.

    Returns:
        whether there is a checkpoint; False where the run begins.
    """
    data, ranks = trainer.data, trainer.ranks
    problem: UserError | None = None
    state: dict[str, Any] = {}
    if ranks.rank == 0:
        try:
            state = folder.open(trainer.config, about(data, ranks), data.identity, fresh=fresh)
            keep_speech(folder.root, data.datasets)
        except UserError as error:
            problem = error
    # the others wait here: the first may have deleted an older run's checkpoints
    if ranks.any(problem is not None):
        raise problem or SystemExit(1)  # the first process shows the message
    if ranks.rank:
        state = folder.newest()
    if state:
        trainer.load(state)
        trainer.check_finite(f"{folder.root}: the newest checkpoint holds")
    return bool(state)


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
    with reader, watch, stop_request() as request, saver, frozen():
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


@dataclass(frozen=True)
class _Learned:
    """A step that is done.

    Attributes:
        row: its line of the metrics.
        work: the floating-point operations of this process.
    """

    row: dict[str, Any]
    losses: dict[str, float]
    statistics: dict[str, float] | None
    stop: bool
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

    def step(self) -> Outcome | None:
        """Do one step, and what is due after it; returns STOPPED where the run is to end."""
        trainer, watch = self._trainer, self._watch
        began, waited = time.perf_counter(), self._reader.meter.waited
        fetched = self._fetch()
        learned = self._learn(fetched, began, waited)
        watch.step(learned.row, learned.statistics)
        self._show(learned)
        best = watch.validate()
        if learned.stop or best or trainer.due(trainer.config.checkpoint_every):
            self._save(best=best)
        if trainer.skips and trainer.skips % SKIPS == 0:
            self._give_up()
        if learned.stop:
            return Outcome.STOPPED  # samples of this step are made when the run goes on
        watch.sample()
        return None

    def finish(self) -> None:
        """Wait for the last checkpoint.

        Raises:
            BaseException: it could not be written.
        """
        problem = self._saver.problem(wait=True)
        if self._trainer.ranks.any(problem is not None):
            raise problem or SystemExit(1)

    def _fetch(self) -> Step:
        """The next step's data.

        Raises:
            UserError: it is damaged, or the dataset was changed; what was learned is saved first.
            BaseException: a checkpoint could not be written.
        """
        problem = unsaved = self._saver.problem()
        if problem is None:
            try:
                step = next(self._reader)
            except UserError as error:
                problem = error
        # of any process: the others would wait for it in the sum of gradients
        if self._trainer.ranks.any(problem is not None):
            if unsaved is None and self._trainer.step > self._first:
                self._save()
            raise problem or SystemExit(1)  # a process with a problem shows the message
        for message in step.skipped:
            self._session.progress.note(f"left out: {message}")
            if not self._session.writes:  # its display is quiet
                click.echo(f"left out: {message}", err=True)
        return step

    def _learn(self, step: Step, began: float, waited: float) -> _Learned:
        """Move the weights, and count the step as done.

        Args:
            began: the time when fetching of this step began.
            waited: seconds that the reader had been waited for until then.
        """
        trainer = self._trainer
        statistics = self._watch.statistics_of_next()
        work = trainer.work(step.batch)
        losses = trainer.learn(step.batch, statistics)
        learning_rate = trainer.config.learning_rate_at(trainer.step)
        trainer.step, trainer.place = trainer.step + 1, step.next
        # one process is signalled, and all of them stop after the same step
        stops, skipped = trainer.ranks.total(self._request.made, len(step.skipped))
        seconds = time.perf_counter() - began
        row: dict[str, Any] = {
            "step": trainer.step,
            **losses,
            "lr": learning_rate,
            "frames": step.global_frames,
            "epoch": step.epoch,
            "skipped": int(skipped),
            "step_skipped": int(trainer.skips > 0),
            "gflop_per_frame": work / 1e9 / max(1, step.frames),
            "data_wait": (self._reader.meter.waited - waited) / seconds,
            "seconds": seconds,
        }
        if self._peak is not None:
            row["mfu"] = work / seconds / self._peak
        if trainer.skips:
            row["utterances"] = trainer.data.keys(step.numbers)
        return _Learned(row, losses, statistics, stops > 0, work)

    def _show(self, learned: _Learned) -> None:
        """The progress line of a step."""
        trainer, row, losses = self._trainer, learned.row, learned.losses
        steps = trainer.config.steps
        pace = (time.monotonic() - self._started) / (trainer.step - self._first)
        named = ", ".join(
            f"{name} {value:.3g}"
            for name, value in losses.items()
            if name not in ("loss", "grad_norm")
        )
        used = f" ({row['mfu']:.0%} of the device)" if "mfu" in row else ""
        more = (
            f" ({named}), lr {row['lr']:.1e}, {row['frames'] / row['seconds']:,.0f} frames/s, "
            f"{row['data_wait']:.1%} waiting, {peak_memory(trainer.ranks.device) / 2**30:.1f} GiB, "
            f"{duration(pace * (steps - trainer.step))} left, "
            f"{learned.work / row['seconds'] / 1e12:.2g} TFLOP/s{used}"
        )
        self._session.progress.training(trainer.step, steps, losses["loss"], more)
        if trainer.skips:
            keys = row["utterances"]
            self._session.progress.note(
                f"step {trainer.step} changed nothing: its loss ({losses['loss']}) or gradient "
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
        # points that TensorBoard shows before the checkpoint are not shown again after it
        self._watch.flush()
        if self._session.writes:
            self._saver.save(self._trainer.state(), best=best)
