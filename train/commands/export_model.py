"""`ns2 export-model`: every heavy import is inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FOLDER, clear_errors, config_options
from ns2.pipeline.core.terminal import say
from ns2.pipeline.preprocess.options import Options
from ns2.train.speak.speaking import SpeakingOptions


@click.command("export-model")
@click.argument("run", type=DATASET)
@click.argument("out", type=FOLDER)
@config_options(
    SpeakingOptions,
    leave=("sampler", "guidance", "rescale", "precision", "compile"),
    weights={"metavar": "last|best|STEP"},
)
@config_options(Options, "codec_weights")
@clear_errors
def export_model(run: Path, out: Path, codec_weights: Path | None, **options: Any) -> None:
    """Write the model of RUN as programs that speak without ns2.

    OUT gets a program of torch.export for each part of the model and of its codec's decoder, and
    model.json, which says how to call them.
    """
    from ns2.train.speak.export_model import export_model as write
    from ns2.train.speak.synthesizer import Synthesizer

    chosen = SpeakingOptions(**options)
    sampler = chosen.choices().sampler
    voice = Synthesizer.open(run, "cpu", chosen.codec, codec_weights, chosen.weights, plain=True)
    files = write(voice, out, sampler, lambda name: say(f"exporting {name} ..."))
    size = sum(file.stat().st_size for file in files)
    say(f"{out}: {len(files)} files, {size / 1e6:.0f} MB; docs/export.md says how to call them")
