"""`ns2 train`: its command; every heavy import is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from ns2.pipeline.command_line import DATASET, FILE, FOLDER, clear_errors


@click.command()
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True, type=DATASET)
@click.option("-o", "--out", type=FOLDER, required=True, help="The run's folder.")
@click.option(
    "--preset", "name", default="base", show_default=True, help="paper, base, small, tiny or seed."
)
@click.option("--config", "file", type=FILE, help="Settings in YAML or JSON, over the preset.")
@click.option(
    "--set", "settings", multiple=True, metavar="A.B=C", help="One setting; may be repeated."
)
@click.option("--steps", type=click.IntRange(1), help="In all; short for --set steps=N.")
@click.option("--where", default="", help='On the index, such as "seconds < 12".')
@click.option("--split", default="train", show_default=True, help="To learn from; '' for all.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
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
@click.option("--dry-run", is_flag=True, help="Print the plan of an epoch, and train nothing.")
@clear_errors
def train(
    datasets: tuple[Path, ...],
    out: Path,
    name: str,
    file: Path | None,
    settings: tuple[str, ...],
    steps: int | None,
    where: str,
    split: str,
    device: str,
    compiled: bool,
    fresh: bool,
    on_damage: Literal["raise", "skip"],
    codec: str | None,
    codec_weights: Path | None,
    dry_run: bool,
) -> None:
    """Train NaturalSpeech 2 on datasets of `ns2 preprocess`.

    A run whose folder is there goes on where it stopped. Under torchrun all processes share each
    step. SIGTERM and Ctrl-C finish the step, save, and end.
    """
    from ns2.pipeline.progress import Progress, display
    from ns2.train.data import open_data
    from ns2.train.settings import choose

    config = choose(name, file, settings, steps)
    data = open_data(datasets, split=split, where=where)
    if dry_run:
        click.echo(_plan(config, data))
        return
    import os

    from ns2.train.loop import train as run

    quiet = int(os.environ.get("RANK", 0)) > 0
    with Progress() if quiet else display() as progress:
        done = run(
            config,
            data,
            out,
            progress,
            device=device,
            compiled=compiled,
            fresh=fresh,
            on_damage=on_damage,
            codec=codec,
            codec_weights=codec_weights,
        )
    if not quiet:
        click.echo(f"{out}: {'done' if done else 'stopped; the same command goes on'}")


def _plan(config: Any, data: Any) -> str:
    from ns2.model.parameters import count_parts
    from ns2.train.build import sizes_of

    plan = data.plan(seed=config.seed, epoch=0, global_frames=config.global_frames)
    parts = count_parts(config.model, sizes_of(data.datasets[0]))
    parameters = sum(part.parameters for part in parts)
    hours = plan.total_frames / data.grid.frame_rate / 3600
    return "\n".join(
        (
            f"utterances    {len(data)} ({hours:.2f} h)",
            f"an epoch      {len(plan)} steps of at most {config.global_frames:,} frames",
            f"padding       {plan.padding(1, config.frame_multiple):.1%} of frames on one device",
            f"epochs        {config.steps / len(plan):,.1f} in {config.steps:,} steps",
            f"parameters    {parameters / 1e6:.1f} M",
            f"memory        {20 * parameters / 2**30:.2f} GiB for weights, averages, gradients and "
            "optimiser; activations come on top",
        )
    )
