"""`ns2 evaluate`: every heavy import is inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FOLDER, NUMBERS, clear_errors, config_options
from ns2.pipeline.core.terminal import say
from ns2.train.commands.speaking_options import SHARED, speaking_options
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.judges.whisper_base import WHISPER_BASE


@click.command()
@click.argument("run", type=DATASET)
@click.argument("dataset", type=DATASET)
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
    protocol={"type": click.Choice(["zero-shot"]), "default": None, "show_default": False},
    prompt_seconds=NUMBERS,
)
@click.option(
    "--json", "as_json", is_flag=True, help="The figures are printed as JSON, not as a table."
)
@speaking_options
@clear_errors
def evaluate(
    run: Path,
    dataset: Path,
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
    given = {name: value for name, value in options.items() if value is not None or name == "codec"}
    config = EvaluateConfig(**given)
    if config.protocol:
        _zero_shot(run, dataset, out, config, device, codec_weights, as_json=as_json)
        return
    import json

    from ns2.pipeline.core.atomic import member_folder
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.evaluator import Evaluator
    from ns2.train.evaluation.figures import render
    from ns2.train.evaluation.report import report
    from ns2.train.run.names import EVALUATION
    from ns2.train.speak.synthesizer import Synthesizer

    evaluator = Evaluator(
        synthesizer=Synthesizer.open(run, device, config.codec, codec_weights, config.weights),
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


def _zero_shot(
    run: Path,
    dataset: Path,
    out: Path | None,
    config: EvaluateConfig,
    device: str,
    codec_weights: Path | None,
    *,
    as_json: bool,
) -> None:
    """Follow the zero-shot protocol, and show what it finds."""
    import json

    from ns2.pipeline.core.atomic import member_folder
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.zero_shot.protocol import ZeroShot
    from ns2.train.evaluation.zero_shot.write import follow, shown
    from ns2.train.run.names import ZERO_SHOT
    from ns2.train.speak.synthesizer import Synthesizer

    protocol = ZeroShot(
        run=run,
        synthesizer=Synthesizer.open(run, device, config.codec, codec_weights, config.weights),
        dataset=Dataset(dataset),
        config=config,
    )
    out = out or member_folder(run, ZERO_SHOT)
    with display() as progress:
        found = follow(protocol, out, progress)
    if as_json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
        return
    say(shown(found))
    say(f"tables, figures and wavs: {out}")
