"""`ns2 codec` and its commands: every heavy import is inside its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ns2.model.codec.mini.mini_config import MiniConfig
from ns2.pipeline.commands.common import FILE, clear_errors, config_options
from ns2.pipeline.core.terminal import quiet_libraries, say
from ns2.pipeline.preprocess.options import Options
from ns2.train.codec.training_config import CodecTraining
from ns2.train.run.train_options import TrainOptions


@click.group()
def codec() -> None:
    """Train a codec, measure a codec, or hear its copy of a recording.

    CODEC is encodec_24khz, mini, mini-1 (its first version), a file that `ns2 codec train` made, or
    a codec of your own: package.module:Class, or an entry point of ns2.codecs.
    """


CODEC_WEIGHTS = config_options(Options, "codec_weights")
QUANTIZERS = click.option(
    "--quantizers",
    type=click.IntRange(1),
    help="The number of the codec's quantizers that are used, from the first on.  [default: all]",
)


@codec.command("train")
@click.argument(
    "corpora", metavar="CORPUS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the codec, which is written at the end of the training.",
)
@config_options(
    CodecTraining,
    "steps",
    "minutes",
    "batch",
    "layout",
    "fields",
    "seed",
    steps={"type": click.IntRange(1)},
    minutes={"type": click.FloatRange(0, min_open=True)},
    batch={"type": click.IntRange(1)},
)
@click.option(
    "--quantizers",
    type=click.IntRange(2, 64),
    help="The number of the codec's residual quantizers.  [default: that of --init, or "
    f"{MiniConfig.quantizers}]",
)
@click.option(
    "--init",
    metavar="CODEC",
    help="The codec whose weights the training begins with: mini, or a file of this command.",
)
@config_options(CodecTraining, "decoder_only")
@config_options(TrainOptions, "device", device={"type": str})
@click.option(
    "--resume", is_flag=True, help="A training of OUT that was stopped goes on from its checkpoint."
)
@clear_errors
def codec_train(
    corpora: tuple[Path, ...],
    out: Path,
    quantizers: int | None,
    init: str | None,
    device: str,
    resume: bool,
    **settings: Any,
) -> None:
    """Train a codec on the recordings of CORPUS, any that `ns2 preprocess` reads.

    Of several, each gives the same share of what is trained on. OUT.training/ beside it keeps the
    checkpoint, the log and samples to listen to.
    """
    from ns2.pipeline.core.progress import display
    from ns2.train.codec.training import initial_network, network_sizes, train_codec
    from ns2.train.step.ranks import chosen_device

    given = click.get_current_context().get_parameter_source("steps")
    if settings["minutes"] and given is not ParameterSource.DEFAULT:
        raise click.UsageError("name --steps or --minutes, not both")
    begin = initial_network(init, quantizers) if init else None
    config = CodecTraining(network=network_sizes(begin, quantizers), **settings)
    with quiet_libraries(), display() as progress:
        figure = train_codec(
            corpora, out, config, progress, device=chosen_device(device), init=begin, resume=resume
        )
    say(f"{out}: log-mel distance {figure:.3f} on recordings that were not trained on")


@codec.command("eval")
@click.argument("name", metavar="CODEC")
@click.argument("corpus", type=click.Path(path_type=Path, exists=True))
@QUANTIZERS
@CODEC_WEIGHTS
@config_options(CodecTraining, "layout", "fields")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="The number of recordings, the first by key.  [default: all]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="The figures are printed as JSON, not as text."
)
@clear_errors
def codec_eval(
    name: str,
    corpus: Path,
    quantizers: int | None,
    codec_weights: Path | None,
    layout: str | None,
    fields: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Measure how the copies that CODEC makes of the recordings of CORPUS differ from them.

    How its codebooks' entries are used, and its speed on one core, are measured too.
    """
    import json

    from ns2.pipeline.core.progress import display
    from ns2.train.codec.measure import evaluate, render
    from ns2.train.codec.opened import open_codec

    opened = open_codec(name, codec_weights, quantizers)
    with quiet_libraries(), display() as progress:
        found = evaluate(opened, corpus, progress, layout=layout, fields=fields, limit=limit)
    say(json.dumps(found, indent=2) if as_json else render(found))


@codec.command("copy")
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="OUT.wav", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--codec",
    "name",
    default="mini",
    show_default=True,
    help="The codec: encodec_24khz, mini, mini-1, a file of `ns2 codec train`, or a codec of your "
    "own as package.module:Class.",
)
@QUANTIZERS
@CODEC_WEIGHTS
@clear_errors
def codec_copy(
    source: Path, target: Path, name: str, quantizers: int | None, codec_weights: Path | None
) -> None:
    """Encode and decode the recording IN, and write the codec's copy of it to OUT.wav."""
    from ns2.train.codec.measure import copy_recording
    from ns2.train.codec.opened import open_codec

    done = copy_recording(open_codec(name, codec_weights, quantizers), source, target)
    say(f"{target}: {done['seconds']:.1f} s at {done['bit_rate'] / 1000:g} kbit/s")
