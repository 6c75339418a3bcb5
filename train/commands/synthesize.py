"""`ns2 synthesize`: every heavy import is inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FILE, clear_errors, config_options
from ns2.pipeline.core.terminal import say
from ns2.train.commands.speaking_options import SHARED, speaking_options
from ns2.train.speak.speaking import SynthesizeOptions

_LITTLE_VOICE = 1.0
"""Seconds of voice below which a prompt tells little."""


@click.command()
@click.argument("run", type=DATASET)
@click.argument("words", metavar="[TEXT]", required=False)
@config_options(
    SynthesizeOptions,
    leave=(*SHARED, "text"),
    out={"flags": ("-o", "--out"), "type": click.Path(path_type=Path)},
    prompt={"type": FILE, "multiple": True},
    save_voice={"type": click.Path(path_type=Path)},
    pitch={"metavar": "SEMITONES"},
    durations_from={"metavar": "KEY"},
    dataset={"type": DATASET},
)
@speaking_options
@clear_errors
def synthesize(
    run: Path, words: str | None, device: str, codec_weights: Path | None, **options: Any
) -> None:
    """Speak TEXT by the model of RUN in the voice of --prompt.

    Long texts are cut at sentences. Phones within [[ ]] are spoken as they are. The same seed gives
    the same speech again.
    """
    chosen = SynthesizeOptions(text=words, **options)

    from ns2.pipeline.core.errors import UserError
    from ns2.train.speak.jobs import jobs_of, speak_jobs
    from ns2.train.speak.synthesizer import Synthesizer
    from ns2.train.speak.voice_file import save_voice

    # All that can be wrong is found before anything is spoken.
    choices = chosen.choices()
    voice = Synthesizer.open(run, device, chosen.codec, codec_weights, chosen.weights)
    prompt = voice.prompt_of(*chosen.prompt) if chosen.prompt else None
    if prompt is not None:
        _check_voice(prompt.voiced_seconds)
    jobs, refused = jobs_of(voice, chosen, None if prompt is None else prompt.codes)
    for message in refused:
        say(message, err=True)
    if not jobs:
        raise UserError(f"{chosen.text_file} has no line that can be spoken")

    if prompt is not None and chosen.save_voice is not None:
        save_voice(chosen.save_voice, prompt.codes, voice.facts.codec_digest)
        say(f"{chosen.save_voice}: the voice, to be given as --prompt")

    timing = speak_jobs(voice, jobs, choices, plot=chosen.plot)
    say(
        f"{chosen.out}: {timing.seconds:.1f} s of speech in {timing.took:.1f} s, real-time factor "
        f"{timing.took / timing.seconds:.2f}{_of_step(voice.step)}"
    )

    # The other lines are there, but whoever calls this in a script has to know.
    if refused:
        raise UserError(f"{len(refused)} lines could not be spoken; see above")


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
