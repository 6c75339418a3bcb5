"""`ns2 model`: every heavy import is inside its command."""

from __future__ import annotations

from pathlib import Path

import click

from ns2.pipeline.commands.common import clear_errors
from ns2.pipeline.commands.places import PLACE, cache_options
from ns2.pipeline.core.terminal import say


@click.command()
@click.argument("dataset", type=PLACE, required=False)
@click.option(
    "--preset",
    "name",
    default="paper",
    show_default=True,
    help="The preset of the model: paper, base, small, demo, tiny or seed.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="The counts are printed as JSON, not as a table."
)
@cache_options
@clear_errors
def model(dataset: str | Path | None, name: str, as_json: bool) -> None:
    """Count the parameters of a model, part by part, beside those of the paper.

    The codec and the phoneme table of DATASET decide some sizes; without it they are those of
    EnCodec and of ns2's own table.
    """
    import json
    from dataclasses import asdict

    from ns2.model.tts.parameters import count_parts, render
    from ns2.model.tts.presets import preset
    from ns2.pipeline.core.errors import OptionError
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.step.build import sizes_of, usual_sizes

    try:
        config = preset(name)
    except ValueError as error:
        raise OptionError(str(error)) from error
    parts = count_parts(config, sizes_of(Dataset(dataset)) if dataset else usual_sizes())
    say(json.dumps([asdict(p) for p in parts], indent=2) if as_json else render(parts))
