"""`ns2 synthesize`: its command; every heavy import is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FILE, clear_errors
from ns2.train.commands.speaking_options import choices_of, speaking_options


@click.command()
@click.argument("run", type=DATASET)
@click.argument("text", required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out.wav"),
    show_default=True,
    help="A wav file; a folder with --text-file.",
)
@click.option("--prompt", type=FILE, help="A recording of the voice; without one it is by chance.")
@click.option("--text-file", type=FILE, help="Speak each of its lines into a file of its own.")
@click.option("--phonemes", is_flag=True, help="TEXT is phonemes with spaces between them.")
@click.option("--language", help="Of the text.  [default: most of the dataset's]")
@click.option("--seed", default=0, show_default=True, help="Another one reads otherwise.")
@click.option("--speed", default=1.0, show_default=True, help="2 is twice as fast.")
@click.option("--pitch", default=0.0, show_default=True, metavar="SEMITONES", help="Up or down.")
@click.option(
    "--durations-from",
    metavar="KEY",
    help="Take phonemes, durations and pitch of an utterance of --dataset.",
)
@click.option("--dataset", type=DATASET, help="For --durations-from.")
@click.option("--plot", is_flag=True, help="Draw mel and pitch into a PNG beside each wav.")
@speaking_options
@clear_errors
def synthesize(
    run: Path,
    text: str | None,
    out: Path,
    prompt: Path | None,
    text_file: Path | None,
    phonemes: bool,
    language: str | None,
    seed: int,
    speed: float,
    pitch: float,
    durations_from: str | None,
    dataset: Path | None,
    plot: bool,
    device: str,
    codec: str | None,
    codec_weights: Path | None,
    **sampling: Any,
) -> None:
    """Speak TEXT by the model of RUN in the voice of --prompt.

    Long texts are cut at sentences. The same seed gives the same speech again.
    """
    from ns2.pipeline.core.errors import UserError
    from ns2.train.speak.jobs import Job, jobs_of, of_dataset, read_lines, speak_jobs
    from ns2.train.speak.synthesizer import Synthesizer

    if (text is not None) + (text_file is not None) + (durations_from is not None) != 1:
        raise click.UsageError("give one of TEXT, --text-file and --durations-from")
    if durations_from is not None and dataset is None:
        raise click.UsageError("--durations-from needs the --dataset that KEY is in")
    if durations_from is not None and speed != 1:
        raise click.UsageError("--speed can't change the durations of --durations-from")
    if text_file is None and out.suffix.lower() != ".wav":
        raise click.UsageError(f"{out}: speech is written as wav; give a name that ends with .wav")
    if text_file is not None and out.suffix.lower() == ".wav":
        raise click.UsageError("--text-file makes a file a line: name a folder for them with -o")
    if dataset is not None and durations_from is None:
        raise click.UsageError("--dataset is for --durations-from")
    if phonemes and (durations_from is not None or language is not None):
        raise click.UsageError("--phonemes takes neither --durations-from nor --language")
    choices = choices_of(**sampling, speed=speed, semitones=pitch)
    voice = Synthesizer.open(run, device, codec, codec_weights)
    given = None if prompt is None else voice.read_prompt(prompt)
    jobs: list[Job]
    refused: list[str] = []
    if durations_from is not None:
        assert dataset is not None
        jobs = [of_dataset(voice, dataset, durations_from, out, prompt=given, seed=seed)]
    else:
        lines = [text or ""] if text_file is None else read_lines(text_file)
        jobs, refused = jobs_of(
            voice,
            lines,
            out,
            numbered=text_file is not None,
            tokens=phonemes,
            language=language,
            prompt=given,
            seed=seed,
        )
        if text_file is None and refused:
            raise UserError(refused[0])
        for message in refused:
            click.echo(message, err=True)
        if not jobs:
            raise UserError(f"{text_file} holds nothing that can be spoken")
    done = speak_jobs(voice, jobs, choices, plot=plot)
    click.echo(
        f"{out}: {done.seconds:.1f} s of speech in {done.took:.1f} s, real-time factor "
        f"{done.took / done.seconds:.2f}"
    )
    if refused:
        raise UserError(f"{len(refused)} lines could not be spoken; see above")
