"""`ns2 evaluate`: its command; every heavy import is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FOLDER, clear_errors
from ns2.train.commands.speaking_options import choices_of, speaking_options


@click.command()
@click.argument("run", type=DATASET)
@click.argument("dataset", type=DATASET)
@click.option("-o", "--out", type=FOLDER, help="Of the results.  [default: RUN/evaluation]")
@click.option("--split", default="val", show_default=True, help="Of the dataset.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N")
@click.option("--seed", default=0, show_default=True, help="Of choice, prompts and noise.")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path, exists=True),
    help="What DATASET was made from, to measure recordings too: it holds no audio itself.",
)
@click.option(
    "--wer",
    "recogniser",
    is_flag=False,
    flag_value="pocketsphinx",
    default="",
    metavar="[MODEL]",
    help="Count wrong words by pocketsphinx, or by a model of transformers. For real voices.",
)
@click.option(
    "--speaker-model",
    default="",
    metavar="MODEL",
    help="Compare voices by x-vectors, such as microsoft/wavlm-base-plus-sv.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@speaking_options
@clear_errors
def evaluate(
    run: Path,
    dataset: Path,
    out: Path | None,
    split: str,
    limit: int,
    seed: int,
    corpus: Path | None,
    recogniser: str,
    speaker_model: str,
    as_json: bool,
    codec: str | None,
    codec_weights: Path | None,
    device: str,
    **sampling: Any,
) -> None:
    """Measure how well RUN speaks utterances of DATASET that it has not learned from.

    Recordings, codec copies, speech with true durations and pitch, and speech from text and prompt
    alone, side by side: phones that come out wrong, spectra, pitch, durations. OUT/index.html
    plays and draws all of them.
    """
    import json

    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.evaluator import EvaluateConfig, Evaluator
    from ns2.train.evaluation.figures import render
    from ns2.train.evaluation.report import report
    from ns2.train.run.names import EVALUATION
    from ns2.train.speak.synthesizer import Synthesizer

    evaluator = Evaluator(
        synthesizer=Synthesizer.open(run, device, codec, codec_weights),
        dataset=Dataset(dataset),
        config=EvaluateConfig(
            split=split,
            limit=limit,
            seed=seed,
            corpus=corpus,
            recogniser=recogniser,
            speaker_model=speaker_model,
        ),
        choices=choices_of(**sampling),
    )
    out = out or run / EVALUATION
    with display() as progress:
        found = report(evaluator, run, out, progress)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(render(found["all"]))
    click.echo(f"\nlisten and look: {out / 'index.html'}")
