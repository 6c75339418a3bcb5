"""The training of NaturalSpeech 2, step after step, and what a run writes on the way.

A run goes on from a checkpoint as if nothing had happened, also with another number of processes:
see `Trainer` for why. Validation, samples and statistics only look, and touch no random number that
a step depends on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ns2.model.codec.interface import Codec
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress, duration
from ns2.train.data.prefetch import OnDamage, Reader
from ns2.train.data.selection import Data
from ns2.train.loop.about import about
from ns2.train.loop.watch import Watch
from ns2.train.run.checkpoint import save_checkpoint
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import WEIGHTS
from ns2.train.run.settings import TrainConfig
from ns2.train.speak.facts import facts_of, keep_speech, open_codec_of
from ns2.train.step.ranks import Ranks, peak_memory
from ns2.train.step.trainer import Trainer


def train(
    config: TrainConfig,
    data: Data,
    out: Path,
    progress: Progress,
    *,
    device: str = "cpu",
    compiled: bool = False,
    fresh: bool = False,
    check: bool = True,
    on_damage: OnDamage = "raise",
    codec: str | None = None,
    codec_weights: Path | None = None,
) -> bool:
    """Train, or go on with a run; see `run`.

    Args:
        codec, codec_weights: of samples, where ns2 does not find them by itself.

    Raises:
        UserError: the folder is of another run, or data is damaged or was changed.
    """
    with Ranks(device) as ranks:
        folder = RunFolder(out)
        trainer = Trainer(config, data, ranks, compiled=compiled)
        problem: UserError | None = None
        state: dict[str, Any] = {}
        if ranks.rank == 0:
            try:
                state = folder.open(config, about(data, ranks), fresh=fresh)
                keep_speech(out, data.datasets)
            except UserError as error:
                problem = error
        # the others look once the first has settled what is there
        if ranks.any(problem is not None):
            raise problem or SystemExit(1)  # the first has said why
        if ranks.rank:
            state = folder.newest()
        if state:
            trainer.load(state)
            progress.note(f"{out}: goes on after step {trainer.step}")
        return run(
            trainer,
            folder,
            progress,
            open_codec=lambda: open_codec_of(facts_of(data.datasets), codec, codec_weights),
            check=check,
            on_damage=on_damage,
        )


def run(
    trainer: Trainer,
    folder: RunFolder,
    progress: Progress,
    *,
    open_codec: Callable[[], Codec],
    check: bool,
    on_damage: OnDamage,
) -> bool:
    """Do all steps that are left.

    Returns:
        whether all are done; False where a signal stopped it, after a whole step and a save.
    """
    config, ranks = trainer.config, trainer.ranks
    watch = Watch(
        trainer, folder, progress, open_codec=open_codec, check=check, on_damage=on_damage
    )
    reader = Reader(
        trainer.data,
        trainer.share,
        seed=config.seed,
        global_frames=config.global_frames,
        start=trainer.place,
        rank=ranks.rank,
        ranks=ranks.count,
        check=check,
        on_damage=on_damage,
        other_below=config.model.prompt.whole_below,
        pin=ranks.device.type == "cuda",
    )
    progress.phase("training", config.steps, unit="steps")
    started, first = time.monotonic(), trainer.step
    trainer.model.train()
    with reader, watch, _stop_asked() as stopped:
        while trainer.step < config.steps:
            began, waited = time.perf_counter(), reader.meter.waited
            problem: UserError | None = None
            try:
                step = next(reader)
            except UserError as error:
                problem = error
            if ranks.any(problem is not None):  # of any process: the others would wait for it
                if trainer.step > first:
                    watch.flush()
                    save(trainer, folder)  # it is the data that is wrong: what was learnt stays
                raise problem or SystemExit(1)
            for message in step.skipped:  # of other processes too, whose display is quiet
                progress.note(f"left out: {message}")
                if ranks.rank:
                    click.echo(f"left out: {message}", err=True)
            statistics = watch.wanted()
            found = trainer.learn(step.batch, statistics)
            lr = config.learning_rate_at(trainer.step)
            trainer.step, trainer.place = trainer.step + 1, step.next
            stop, skipped = ranks.total(len(stopped), len(step.skipped))
            seconds = time.perf_counter() - began
            row = {
                "step": trainer.step,
                **found,
                "lr": lr,
                "frames": step.global_frames,
                "epoch": step.epoch,
                "skipped": int(skipped),
                "data_wait": (reader.meter.waited - waited) / seconds,
                "seconds": seconds,
            }
            watch.step(row, statistics)
            pace = (time.monotonic() - started) / (trainer.step - first)
            progress.training(
                trainer.step, config.steps, found["loss"], _more(row, found, pace, trainer)
            )
            best = watch.validate()
            if stop or best or trainer.due(config.checkpoint_every):
                watch.flush()
                save(trainer, folder, best=best)
            if stop:
                break
            watch.sample()
    return trainer.step >= config.steps


def save(trainer: Trainer, folder: RunFolder, *, best: bool = False) -> None:
    """Write a checkpoint, and the averaged weights for use elsewhere."""
    if trainer.ranks.rank:
        return
    from safetensors.torch import save as packed

    save_checkpoint(folder.root, trainer.step, trainer.state(), trainer.config.keep, best=best)
    weights = {name: t.contiguous() for name, t in trainer.averaged.state_dict().items()}
    with atomic_write(folder.root / WEIGHTS) as file:
        file.write(packed(weights))


def _more(row: dict[str, Any], found: dict[str, float], pace: float, trainer: Trainer) -> str:
    """What the progress line says beside step and loss."""
    left, device = pace * (trainer.config.steps - trainer.step), trainer.ranks.device
    named = ", ".join(
        f"{name} {value:.3g}" for name, value in found.items() if name not in ("loss", "grad_norm")
    )
    return (
        f" ({named}), lr {row['lr']:.1e}, {row['frames'] / row['seconds']:,.0f} frames/s, "
        f"{row['data_wait']:.1%} waiting, {peak_memory(device) / 2**30:.1f} GiB, "
        f"{duration(left)} left"
    )


@contextmanager
def _stop_asked() -> Iterator[list[int]]:
    """A list that is no longer empty once SIGTERM or SIGINT came; a second one acts at once."""
    asked: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, _: Any) -> None:
        asked.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
