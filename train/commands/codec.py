"""`ns2 codec`: its commands; every heavy import is inside its command."""

from __future__ import annotations

from pathlib import Path

import click

from ns2.pipeline.commands.common import FILE, clear_errors


@click.group()
def codec() -> None:
    """Train a codec, measure one, or hear what it does.

    CODEC is encodec_24khz, mini, or a file that `ns2 codec train` made.
    """


CODEC_WEIGHTS = click.option("--codec-weights", type=FILE, help="Of encodec_24khz.")


@codec.command("train")
@click.argument(
    "corpora", metavar="CORPUS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The codec."
)
@click.option("--steps", type=click.IntRange(1), help="In all.  [default: 12000]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Instead of --steps.")
@click.option("--quantizers", type=click.IntRange(1, 64), help="[default: 16]")
@click.option(
    "--init", metavar="CODEC", help="Begin with the weights of mini, or of a file of this command."
)
@click.option("--batch", type=click.IntRange(1), default=12, show_default=True, help="Pieces.")
@click.option("--layout", help="Of the corpora; recognised where it is not given.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--seed", default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on where a training of OUT was stopped.")
@clear_errors
def codec_train(
    corpora: tuple[Path, ...],
    out: Path,
    steps: int | None,
    minutes: float | None,
    quantizers: int | None,
    init: str | None,
    batch: int,
    layout: str | None,
    device: str,
    seed: int,
    resume: bool,
) -> None:
    """Train a codec on the recordings of CORPUS, any that `ns2 preprocess` reads.

    Of several, each gives the same share of what is trained on. OUT.training/ beside it keeps the
    checkpoint, the log and samples to listen to.
    """
    from ns2.pipeline.core.progress import display
    from ns2.train.codec.training import CodecTraining, initial_network, network_sizes, train_codec

    if steps and minutes:
        raise click.UsageError("name --steps or --minutes, not both")
    begin = initial_network(init, quantizers) if init else None
    config = CodecTraining.sized(
        network_sizes(begin, quantizers),
        steps=steps,
        minutes=minutes,
        batch=batch,
        layout=layout,
        seed=seed,
    )
    with display() as progress:
        figure = train_codec(
            corpora, out, config, progress, device=device, init=begin, resume=resume
        )
    click.echo(f"{out}: log-mel distance {figure:.3f} on recordings that were not trained on")


@codec.command("eval")
@click.argument("name", metavar="CODEC")
@click.argument("corpus", type=click.Path(path_type=Path, exists=True))
@click.option("--quantizers", type=click.IntRange(1), help="Only the first.  [default: all]")
@CODEC_WEIGHTS
@click.option("--layout", help="Of the corpus; recognised where it is not given.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N by key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@clear_errors
def codec_eval(
    name: str,
    corpus: Path,
    quantizers: int | None,
    codec_weights: Path | None,
    layout: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Measure what CODEC loses on the recordings of CORPUS, how its entries are used, its speed."""
    import json

    from ns2.pipeline.core.progress import display
    from ns2.train.codec.measure import evaluate, render
    from ns2.train.codec.opened import open_codec

    opened = open_codec(name, codec_weights, quantizers)
    with display() as progress:
        found = evaluate(opened, corpus, progress, layout=layout, limit=limit)
    click.echo(json.dumps(found, indent=2) if as_json else render(found))


@codec.command("copy")
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="OUT.wav", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--codec", "name", default="mini", show_default=True)
@click.option("--quantizers", type=click.IntRange(1), help="Only the first.  [default: all]")
@CODEC_WEIGHTS
@clear_errors
def codec_copy(
    source: Path, target: Path, name: str, quantizers: int | None, codec_weights: Path | None
) -> None:
    """Write what a codec makes of the recording IN to OUT.wav."""
    from ns2.train.codec.measure import copy_recording
    from ns2.train.codec.opened import open_codec

    done = copy_recording(open_codec(name, codec_weights, quantizers), source, target)
    click.echo(f"{target}: {done['seconds']:.1f} s at {done['bit_rate'] / 1000:g} kbit/s")
