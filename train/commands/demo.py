"""`ns2 demo`: its command; every heavy import is inside."""

from __future__ import annotations

from pathlib import Path

import click

from ns2.pipeline.commands.common import FOLDER, clear_errors


@click.command()
@click.argument("root", metavar="DIR", type=FOLDER)
@click.option("--minutes", default=12.0, show_default=True, help="Of training.")
@click.option("--utterances", default=1200, show_default=True, help="To learn from.")
@click.option("--seed", default=0, show_default=True)
@click.option("--cores", type=click.IntRange(1), help="That work.  [default: all, 8 at most]")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="To learn on.",
)
@clear_errors
def demo(
    root: Path, minutes: float, utterances: int, seed: int, cores: int | None, device: str
) -> None:
    """Speak a corpus, preprocess it, train on it, and let the model speak: all in DIR.

    Needs no network, no GPU, and no recordings: espeak-ng speaks. Stopped, the same command goes
    on.
    """
    import os

    from ns2.pipeline.core.progress import display
    from ns2.train.step.ranks import check_device
    from ns2.train.tour import (
        Demo,
        begin,
        command,
        finished,
        making_shards,
        speak_corpus,
        speaking,
        steps_in,
        training_run,
    )

    demo = Demo(
        root=root,
        minutes=minutes,
        utterances=utterances,
        seed=seed,
        cores=cores or min(8, len(os.sched_getaffinity(0))),
        device=device,
    )
    check_device(device)
    begin(demo)
    with display() as progress:
        speak_corpus(demo, progress)
    for words in making_shards(demo):
        command(*words, tell=click.echo)
    click.echo("\nHow long a step takes here is tried first.")
    command(*training_run(demo, steps_in(demo)), tell=click.echo)
    if not finished(demo):
        raise click.ClickException("training was stopped; the same `ns2 demo` goes on")
    for words in speaking(demo):
        command(*words, tell=click.echo)
    page = demo.run / "evaluation" / "index.html"
    click.echo(
        f"\nThe model is {minutes:g} minutes old, and reads sentences that it has never seen in a "
        f"voice that it has never heard.\n"
        f"  listen    {root / 'hello.wav'}\n"
        f"  compare   {page} in a browser: recordings, codec, model\n"
        f"  figures   {demo.run / 'evaluation' / 'evaluation.json'}\n"
        f"  curves    tensorboard --logdir {demo.run}\n"
        f'  speak     ns2 synthesize {demo.run} "Your words." --prompt your-voice.wav'
    )
