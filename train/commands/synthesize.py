"""`ns2 synthesize`: every heavy import is inside the command."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ns2.pipeline.commands.common import DATASET, FILE, clear_errors, config_options
from ns2.pipeline.commands.places import PLACE, cache_options
from ns2.pipeline.core.terminal import say
from ns2.train.commands.speaking_options import SHARED, speaking_options
from ns2.train.speak.speaking import STANDARD, SynthesizeOptions

if TYPE_CHECKING:
    from ns2.train.speak.jobs import Job, Timing

_LITTLE_VOICE = 1.0
"""Seconds of voice below which a prompt tells little."""


@click.command()
@click.argument("run", type=PLACE)
@click.argument("words", metavar="[TEXT]", required=False)
@config_options(
    SynthesizeOptions,
    leave=(*SHARED, "text"),
    out={"flags": ("-o", "--out"), "type": click.Path(path_type=Path, allow_dash=True)},
    text_file={"type": click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)},
    prompt={"type": FILE, "multiple": True},
    save_voice={"type": click.Path(path_type=Path)},
    pitch={"metavar": "SEMITONES"},
    durations_from={"metavar": "KEY"},
    dataset={"type": DATASET},
)
@speaking_options
@cache_options
@clear_errors
def synthesize(
    run: str | Path, words: str | None, device: str, codec_weights: Path | None, **options: Any
) -> None:
    """Speak TEXT by the model of RUN in the voice of --prompt.

    Long texts are cut at sentences. Phones within [[ ]] are spoken as they are. The same seed gives
    the same speech again.
    """
    chosen = SynthesizeOptions(text=words, **options)

    from ns2.pipeline.core.errors import UserError
    from ns2.train.run.copied import run_folder
    from ns2.train.speak.jobs import jobs_of, speak_as_they_come, speak_jobs
    from ns2.train.speak.synthesizer import Synthesizer
    from ns2.train.speak.voice_file import save_voice

    # All that can be wrong is found before anything is spoken.
    choices = chosen.choices()
    began = time.perf_counter()
    folder = run_folder(run, checkpoints=chosen.weights is not None)
    voice = Synthesizer.open(
        folder,
        device,
        chosen.codec,
        codec_weights,
        chosen.weights,
        chosen.precision,
        chosen.compile,
    )
    loading = time.perf_counter() - began
    prompt = voice.prompt_of(*chosen.prompt) if chosen.prompt else None
    if prompt is not None:
        _check_voice(prompt.voiced_seconds)
    heard = replace(prompt, pitch=None) if prompt is not None and chosen.as_predicted else prompt
    refused: list[str] = []

    def refuse(message: str) -> None:
        say(message, err=True)
        refused.append(message)

    jobs: list[Job] = []
    if not chosen.as_it_comes:
        jobs, wrong = jobs_of(voice, chosen, heard)
        for message in wrong:
            refuse(message)
        if not jobs:
            raise UserError(f"{chosen.text_file} has no line that can be spoken")
    if prompt is not None and chosen.save_voice is not None:
        chosen.save_voice.parent.mkdir(parents=True, exist_ok=True)
        save_voice(chosen.save_voice, prompt.codes, voice.facts.codec_digest, prompt.pitch)
        say(f"{chosen.save_voice}: the voice, to be given as --prompt", err=chosen.as_it_comes)

    if chosen.as_it_comes:
        timing = speak_as_they_come(voice, chosen, heard, refuse)
    else:
        timing = speak_jobs(voice, jobs, chosen, choices)
    if not timing.seconds:
        raise UserError("there was no line that could be spoken")
    _report(chosen, timing, loading, voice.step)

    # The other lines are there, but whoever calls this in a script has to know.
    if refused:
        lines = "1 line" if len(refused) == 1 else f"{len(refused)} lines"
        raise UserError(f"{lines} could not be spoken; see above")


def _report(chosen: SynthesizeOptions, timing: Timing, loading: float, step: int | None) -> None:
    """Say what was written and how long it took; not where the speech itself is written."""
    to_stream = chosen.out == STANDARD
    say(
        f"{'standard output' if to_stream else chosen.out}: {timing.seconds:.1f} s of speech in "
        f"{timing.took:.1f} s, real-time factor {timing.took / timing.seconds:.2f}; the model was "
        f"loaded in {loading:.1f} s{_of_step(step)}",
        err=to_stream,
    )
    if timing.down:
        say(
            f"Speech was louder than full scale, and was brought down by {timing.down:.1f} dB.",
            err=True,
        )


def _check_voice(seconds: float | None) -> None:
    """Warn of a prompt that tells little of its voice."""
    if seconds is not None and seconds < _LITTLE_VOICE:
        say(
            f"Warning: the prompt has only {seconds:.1f} s of voice, and a model hears little in "
            "that: give a longer recording, or several with --prompt",
            err=True,
        )


def _of_step(step: int | None) -> str:
    return "" if step is None else f", by the weights of step {step:,}"
