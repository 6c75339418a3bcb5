"""Opening a run in all of its processes: the same settings and data, and the first one's state.

The first process alone reads and writes the folder, so the processes of several machines need none
that they share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from ns2.model.config_values import flat_values
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.train.data.selection import Data
from ns2.train.loop.about import about
from ns2.train.loop.origin import Origin
from ns2.train.loop.planning import within_epochs
from ns2.train.run.checkpoint import save_checkpoint
from ns2.train.run.folder import RunFolder
from ns2.train.run.lock import run_lock
from ns2.train.run.names import INIT
from ns2.train.run.overrides import named
from ns2.train.run.saver import save_weights
from ns2.train.run.settings import TrainConfig
from ns2.train.run.train_options import TrainOptions
from ns2.train.speak.facts import keep_speech
from ns2.train.speak.weights import BEST_OF_RUN
from ns2.train.step.exchange import checksums, from_first, gathered, state_from_first
from ns2.train.step.ranks import Ranks
from ns2.train.step.trainer import Trainer

_BEGINNING = "beginning"
"""The field of a state that holds the weights that a run begins with, and nothing else."""


@contextmanager
def opened(
    config: TrainConfig,
    data: Data,
    folder: RunFolder,
    ranks: Ranks,
    progress: Progress,
    options: TrainOptions,
    origin: Origin | None = None,
) -> Iterator[Trainer]:
    """The trainer of a run that begins or goes on; the block holds the folder's lock.

    Args:
        options: of these `compile` and `fresh`.
        origin: the run whose weights this one begins with; None for random weights.

    Raises:
        UserError: the folder is another run's, another training works in it, or processes have
            other settings, data or weights.
    """
    with ExitStack() as held:
        asked, config = config, _settled(config, folder, ranks, held, options)
        if config.plan == 1:
            progress.note("steps are planned as ns2 0.1 did (plan 1), as when the run began")
        if config.epochs != asked.epochs:
            progress.note(
                f"{folder.root}: epochs stays at {config.epochs:g}, as when the run began; "
                f"--set epochs={asked.epochs:g} changes it"
            )
        config, ended = within_epochs(config, data)
        if ended:
            progress.note(f"{folder.root}: {ended}")
        check_alike(
            ranks,
            {
                **{f"the setting {name}": one for name, one in flat_values(config).items()},
                "data (datasets and their order, --where, --split)": data.digest,
                "--on-damage": options.on_damage,
                "version of ns2": version("ns2"),
                "version of torch": version("torch"),
            },
        )
        table = origin.table(data) if origin else None
        trainer = Trainer(config, data, ranks, compiled=options.compile, table=table)
        if _load_together(folder, trainer, origin, fresh=options.fresh):
            progress.note(f"{folder.root}: goes on after step {trainer.step}")
            if (told := _prolonged(folder.steps_before, trainer)) is not None:
                progress.note(told)
        elif origin is not None:
            progress.note(f"{folder.root}: begins with {_beginning(folder, origin)}")
        check_alike(
            ranks, {f"the weights {n}": str(s) for n, s in checksums(trainer.model).items()}
        )
        yield trainer


def check_alike(ranks: Ranks, values: Mapping[str, str]) -> None:
    """See that all processes have the same values.

    Args:
        values: by their names in the message.

    Raises:
        UserError: one has another value; the message names the value and the process.
    """
    first, *others = gathered(ranks, dict(values))
    for rank, other in enumerate(others, 1):
        names = sorted(n for n in {*first, *other} if first.get(n) != other.get(n))
        if names:
            more = f" (and {len(names) - 3} more)" if len(names) > 3 else ""
            raise UserError(
                f"processes 0 and {rank} of this run don't have the same: "
                f"{', '.join(names[:3])}{more}. All processes need the same command, the same "
                "datasets, and the same versions of ns2 and torch."
            )


def _settled(
    config: TrainConfig, folder: RunFolder, ranks: Ranks, held: ExitStack, options: TrainOptions
) -> TrainConfig:
    """Lock the folder in the first process; the settings, with what stays as its run began."""
    problem: UserError | None = None
    if ranks.rank == 0:
        try:
            folder.make()
            held.enter_context(run_lock(folder.root))
            names = named(options.config, options.set)
            config = folder.settled(config, fresh=options.fresh, named=names)
        except UserError as error:
            problem = error
    _raise_together(ranks, problem)
    plan, epochs = from_first(ranks, (config.plan, config.epochs))
    return replace(config, plan=plan, epochs=epochs)


def _load_together(
    folder: RunFolder, trainer: Trainer, origin: Origin | None, *, fresh: bool
) -> bool:
    """Open the run's folder in the first process, and load its newest checkpoint in all of them.

    Nothing keeps what was read: a checkpoint is three times as large as the weights.

    Returns:
        whether there is a checkpoint; False where the run begins.
    """
    ranks = trainer.ranks
    problem: UserError | None = None
    state: dict[str, Any] = {}
    if ranks.rank == 0:
        try:
            state = _state_in(folder, trainer, origin, fresh=fresh)
        except UserError as error:
            problem = error
    _raise_together(ranks, problem)
    state = state_from_first(ranks, state)
    if _BEGINNING in state:
        trainer.begin_with(state[_BEGINNING])
        with ranks.alone():
            if ranks.rank == 0:  # with which the run goes on, whatever becomes of the other
                save_checkpoint(folder.root, 0, trainer.state(), trainer.config.keep)
                save_weights(folder.root, trainer.averaged.state_dict(), 0)
        return False
    if state:
        trainer.load(state)
        trainer.check_finite(f"{folder.root}: the newest checkpoint holds")
    return bool(state)


def _state_in(
    folder: RunFolder, trainer: Trainer, origin: Origin | None, *, fresh: bool
) -> dict[str, Any]:
    """Open the run's folder: its newest checkpoint, the weights to begin with, or nothing."""
    data, ranks = trainer.data, trainer.ranks
    weights, record = None, None if origin is None else origin.record
    if origin is not None and record is None:
        weights = origin.weights()
        origin.check(data, weights)
        record = origin.recorded(weights)
    state = folder.open(trainer.config, about(data, ranks, record), data.identity, fresh=fresh)
    keep_speech(folder.root, data.datasets, data.positions, origin.learned if origin else None)
    return state if state or weights is None else {_BEGINNING: dict(weights.tensors)}


def _beginning(folder: RunFolder, origin: Origin) -> str:
    """Which weights of another run a run begins with."""
    record = folder.about().get(INIT) or {}
    step = "" if record.get("step") is None else f" of step {record['step']}"
    best = " best" if record.get("weights") == BEST_OF_RUN else ""
    return f"the{best} averaged weights{step} of {origin.root}"


def _raise_together(ranks: Ranks, problem: UserError | None) -> None:
    """Raise a problem of the first process, which shows it, and end the others with it."""
    if ranks.any(problem is not None):
        raise problem or SystemExit(1)


def _prolonged(before: int | None, trainer: Trainer) -> str | None:
    """What another number of steps changes of the learning rate; None where it changes nothing."""
    config, step = trainer.config, trainer.step
    if before in (None, config.steps) or config.decay != "cosine" or step >= config.steps:
        return None
    was = replace(config, steps=before).learning_rate_at(max(0, step - 1))
    now = config.learning_rate_at(step)
    return (
        f"the cosine decay ends at step {config.steps}, no longer at {before}: the learning rate "
        f"was {was:.2e} before and is {now:.2e} from step {step + 1} on"
    )
