"""`ns2 demo`: every heavy import is inside the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import FOLDER, clear_errors, config_options
from ns2.pipeline.core.terminal import say
from ns2.train.tour.demo_config import Demo


@click.command()
@click.argument("directory", metavar="DIR", type=FOLDER)
@config_options(
    Demo,
    leave=("root",),
    corpus={"type": click.Path(path_type=Path, exists=True)},
    cores={"type": click.IntRange(1)},
)
@clear_errors
def demo(directory: Path, **options: Any) -> None:
    """Preprocess a corpus, train on it, and let the model speak: all in DIR.

    It needs no network, no GPU and no recordings, since espeak-ng speaks; with --corpus it learns
    from your own recordings. A demo that was stopped goes on with the same command.
    """
    from ns2.train.step.ranks import check_device, chosen_device
    from ns2.train.tour.tour import tour

    chosen = Demo(root=directory, **options)
    chosen = replace(chosen, device="cuda" if chosen_device(chosen.device) == "cuda" else "cpu")
    check_device(chosen.device)
    tour(chosen, say)
