"""`ns2 train`: every heavy import is inside the function that needs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ns2.pipeline.commands.common import DATASET, FOLDER, clear_errors, config_options
from ns2.pipeline.commands.places import PLACE, cache_options
from ns2.pipeline.core.terminal import say
from ns2.train.run.train_options import TrainOptions

if TYPE_CHECKING:
    from ns2.train.data.selection import Data
    from ns2.train.loop.origin import Origin
    from ns2.train.run.settings import TrainConfig


@click.command()
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True, type=PLACE)
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    required=True,
    help="The run's folder; it is made, or the run in it goes on.",
)
@config_options(
    TrainOptions,
    set={"multiple": True, "type": str, "metavar": "A.B=C", "show_default": False},
    steps={"type": click.IntRange(1)},
    where={"show_default": False},
    mix={"multiple": True, "type": str, "metavar": "5:3:1|COLUMN^POWER", "show_default": False},
    preset={"show_default": False},
    init={"type": FOLDER, "metavar": "RUN"},
    losses={"type": DATASET, "metavar": "RUN"},
    devices={"type": click.IntRange(1)},
    copy_to={"metavar": "URL"},
)
@cache_options
@clear_errors
def train(datasets: tuple[str | Path, ...], out: Path, **options: Any) -> None:
    """Train NaturalSpeech 2 on datasets of `ns2 preprocess`.

    A run whose folder is there goes on where it stopped. SIGTERM and Ctrl-C finish the step, save,
    and end.
    """
    chosen = TrainOptions(**options)
    if chosen.devices > 1:
        from ns2.train.loop.launch import check_devices, run_on

        check_devices(chosen.device, chosen.devices)
        if not chosen.dry_run:
            raise SystemExit(run_on(chosen.devices, _in_one_process, datasets, out, chosen))
    if chosen.dry_run:
        _try(datasets, out, chosen)
    else:
        _train(datasets, out, chosen)


def _in_one_process(datasets: Sequence[str | Path], out: Path, options: TrainOptions) -> None:
    """The work of one process; an error that all of them find is shown once."""
    import os

    from ns2.pipeline.core.errors import DamageError
    from ns2.pipeline.remote.traffic import retries_told
    from ns2.train.step.room import RoomError

    try:
        with retries_told(f"process {os.environ['RANK']}: "):
            clear_errors(_train)(datasets, out, options)
    except click.ClickException as error:
        if os.environ["RANK"] == "0" or isinstance(error.__cause__, (DamageError, RoomError)):
            error.show()
        raise SystemExit(error.exit_code) from None


def _train(datasets: Sequence[str | Path], out: Path, options: TrainOptions) -> None:
    import os

    from ns2.pipeline.core.progress import Progress, display
    from ns2.train.evaluation.judges.phones import load_phone_classifier
    from ns2.train.loop.loop import train as run

    config, data, origin = _chosen(datasets, out, options)
    quiet = int(os.environ.get("RANK", 0)) > 0
    with Progress() if quiet else display() as progress:
        done = run(config, data, out, progress, options, load_phone_classifier, origin)
    if not quiet:
        say(f"{out}: {'done' if done else 'stopped; the same command goes on'}")


def _try(datasets: Sequence[str | Path], out: Path, options: TrainOptions) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:  # the index is read while torch is imported
        opening = pool.submit(_opened, datasets, options)
        config, origin = _settings(out, options)
        data = opening.result()
        from ns2.train.loop.dry_run import dry_run
        from ns2.train.run.folder import RunFolder
        from ns2.train.run.overrides import named

        # and so is what reading takes, and torch's compiler, while epochs are planned
        ready = pool.submit(data.prepare, check=True)
        pool.submit(_make_optimizer)
        names = named(options.config, options.set)
        config = RunFolder(out).settled(config, fresh=options.fresh, named=names)
        text = dry_run(config, data, options, origin, ready.result)
    say(text)


def _make_optimizer() -> None:
    """Make some optimiser: torch imports its compiler for the first one, which takes a second."""
    import torch

    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])


def _chosen(
    datasets: Sequence[str | Path], out: Path, options: TrainOptions
) -> tuple[TrainConfig, Data, Origin | None]:
    """The settings, the utterances, and the run to begin with that the options choose."""
    config, origin = _settings(out, options)
    return config, _opened(datasets, options), origin


def _settings(out: Path, options: TrainOptions) -> tuple[TrainConfig, Origin | None]:
    """The settings, and the run to begin with."""
    from ns2.train.loop.origin import open_origin
    from ns2.train.run.overrides import choose

    origin = None
    if options.init is not None:
        origin = open_origin(options.init, out, fresh=options.fresh)
    config = choose(
        options.preset,
        options.config,
        options.set,
        options.steps,
        options.mix,
        None if origin is None else origin.config,
    )
    return config, origin


def _opened(datasets: Sequence[str | Path], options: TrainOptions) -> Data:
    """The utterances."""
    from ns2.train.data.selection import open_data

    return open_data(datasets, split=options.split, where=options.where, losses=options.losses)
