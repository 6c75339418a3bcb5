"""The options of commands that let a model speak: how its latents are sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import click

from ns2.pipeline.commands.common import FILE

if TYPE_CHECKING:
    from ns2.model.tts.generation import Choices


SAMPLERS = ("euler", "ddim", "ddpm", "dpm++")


def speaking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them; `choices_of` takes their values."""
    options = (
        click.option("--sampler", type=click.Choice(SAMPLERS), default="dpm++", show_default=True),
        click.option(
            "--steps", type=click.IntRange(1), default=20, show_default=True, help="Of the sampler."
        ),
        click.option("--guidance", default=1.0, show_default=True, help="1 for none."),
        click.option("--rescale", default=0.0, show_default=True, help="Of the guided, 0 to 1."),
        click.option("--temperature", default=1.2, show_default=True, help="More varies less."),
        click.option("--codec", help="That decodes.  [default: the run's]"),
        click.option("--codec-weights", type=FILE, help="Of encodec_24khz."),
        click.option(
            "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choices_of(
    *,
    sampler: str,
    steps: int,
    guidance: float,
    rescale: float,
    temperature: float,
    speed: float = 1.0,
    semitones: float = 0.0,
) -> Choices:
    """What the options say.

    Raises:
        OptionError: a value is out of range.
    """
    from ns2.model.diffusion.samplers import SamplerConfig, SamplerKind
    from ns2.model.tts.generation import Choices
    from ns2.pipeline.core.errors import OptionError

    assert set(SAMPLERS) == set(get_args(SamplerKind))
    how: dict[str, Any] = {"kind": sampler, "steps": steps, "temperature": temperature}
    try:
        return Choices(
            sampler=SamplerConfig(**how),
            guidance=guidance,
            rescale=rescale,
            speed=speed,
            semitones=semitones,
        )
    except ValueError as error:
        raise OptionError(str(error)) from error
