"""`ns2 train`: its command; every heavy import is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FILE, FOLDER, clear_errors


@click.command()
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True, type=DATASET)
@click.option("-o", "--out", type=FOLDER, required=True, help="The run's folder.")
@click.option(
    "--preset",
    "name",
    default="base",
    show_default=True,
    help="paper, base, small, demo, tiny or seed.",
)
@click.option("--config", "file", type=FILE, help="Settings in YAML or JSON, over the preset.")
@click.option(
    "--set", "settings", multiple=True, metavar="A.B=C", help="One setting; may be repeated."
)
@click.option("--steps", type=click.IntRange(1), help="In all; short for --set steps=N.")
@click.option("--where", default="", help='On the index, such as "seconds < 12".')
@click.option("--split", default="train", show_default=True, help="To learn from; '' for all.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Compile the step; pays on GPUs.")
@click.option("--fresh", is_flag=True, help="Begin anew, whatever is in OUT.")
@click.option(
    "--on-damage",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="Stop at a damaged utterance, or leave it out and count it.",
)
@click.option("--codec", help="Of samples, where it is a file of `ns2 codec train`.")
@click.option("--codec-weights", type=FILE, help="EnCodec's, where they are not in torch's cache.")
@click.option(
    "--devices",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes, or GPUs, that share each step; torchrun does the same.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan, try a step, and write nothing.")
@clear_errors
def train(devices: int, dry_run: bool, **options: Any) -> None:
    """Train NaturalSpeech 2 on datasets of `ns2 preprocess`.

    A run whose folder is there goes on where it stopped. SIGTERM and Ctrl-C finish the step, save,
    and end.
    """
    if devices > 1:
        from ns2.train.loop.launch import check_devices, run_on

        check_devices(options["device"], devices)
        if not dry_run:
            raise SystemExit(run_on(devices, _one_of_several, options))
    if dry_run:
        _dry_run(devices=devices, **options)
    else:
        _train(**options)


def _one_of_several(options: dict[str, Any]) -> None:
    """The work of one process; what all of them find wrong is told once."""
    import os

    from ns2.train.data.selection import DamageError

    try:
        clear_errors(_train)(**options)
    except click.ClickException as error:
        if os.environ["RANK"] == "0" or isinstance(error.__cause__, DamageError):
            error.show()
        raise SystemExit(error.exit_code) from None


def _train(
    datasets: tuple[Path, ...],
    out: Path,
    name: str,
    file: Path | None,
    settings: tuple[str, ...],
    steps: int | None,
    where: str,
    split: str,
    **options: Any,
) -> None:
    import os

    from ns2.pipeline.core.progress import Progress, display
    from ns2.train.data.selection import open_data
    from ns2.train.loop.loop import train as run
    from ns2.train.run.overrides import choose

    config = choose(name, file, settings, steps)
    data = open_data(datasets, split=split, where=where)
    quiet = int(os.environ.get("RANK", 0)) > 0
    with Progress() if quiet else display() as progress:
        done = run(config, data, out, progress, **options)
    if not quiet:
        click.echo(f"{out}: {'done' if done else 'stopped; the same command goes on'}")


def _dry_run(
    datasets: tuple[Path, ...],
    name: str,
    file: Path | None,
    settings: tuple[str, ...],
    steps: int | None,
    where: str,
    split: str,
    device: str,
    devices: int,
    compiled: bool,
    **_: Any,
) -> None:
    from ns2.train.data.selection import open_data
    from ns2.train.loop.dry_run import dry_run
    from ns2.train.run.overrides import choose

    config = choose(name, file, settings, steps)
    data = open_data(datasets, split=split, where=where)
    click.echo(dry_run(config, data, device=device, devices=devices, compiled=compiled))
