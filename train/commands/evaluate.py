"""`ns2 evaluate`: every heavy import is inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import FOLDER, clear_errors, config_options
from ns2.pipeline.commands.places import PLACE, cache_options
from ns2.pipeline.core.terminal import say
from ns2.train.commands.speaking_options import SHARED, speaking_options
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.judges.whisper_base import WHISPER_BASE


@click.command()
@click.argument("run", type=PLACE)
@click.argument("dataset", type=PLACE)
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    help="The folder of the figures, the page and its files.  [default: RUN/evaluation]",
)
@config_options(
    EvaluateConfig,
    leave=SHARED,
    limit={"type": click.IntRange(1), "metavar": "N"},
    corpus={"type": click.Path(path_type=Path, exists=True)},
    recogniser={
        "flags": ("--wer",),
        "is_flag": False,
        "flag_value": WHISPER_BASE,
        "metavar": "[MODEL]",
        "show_default": False,
    },
    speaker_model={"metavar": "MODEL", "show_default": False},
)
@click.option(
    "--json", "as_json", is_flag=True, help="The figures are printed as JSON, not as a table."
)
@speaking_options
@cache_options
@clear_errors
def evaluate(
    run: str | Path,
    dataset: str | Path,
    out: Path | None,
    as_json: bool,
    device: str,
    codec_weights: Path | None,
    **options: Any,
) -> None:
    """Measure how well RUN speaks utterances of DATASET that it was not trained on.

    Recordings, codec copies, speech with true durations and pitch, and speech from text and prompt
    alone are compared: their wrong phones, spectra, pitch and durations. OUT/index.html plays and
    draws all of them.
    """
    import json

    from ns2.pipeline.core.atomic import member_folder
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.evaluator import Evaluator
    from ns2.train.evaluation.figures import render
    from ns2.train.evaluation.report import report
    from ns2.train.run.copied import run_folder
    from ns2.train.run.names import EVALUATION
    from ns2.train.speak.synthesizer import Synthesizer

    config = EvaluateConfig(**options)
    if out is None and not isinstance(run, Path):
        raise click.UsageError("a run in a bucket is not written to: name a folder with -o")
    run = run_folder(run, checkpoints=config.weights is not None)
    evaluator = Evaluator(
        synthesizer=Synthesizer.open(
            run,
            device,
            config.codec,
            codec_weights,
            config.weights,
            config.precision,
            config.compile,
        ),
        dataset=Dataset(dataset),
        config=config,
    )
    out = out or member_folder(run, EVALUATION)
    with display() as progress:
        found = report(evaluator, run, out, progress)
    if as_json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
        return
    say(render(found["all"]))
    say(f"\nlisten and look: {out / 'index.html'}")
