"""`ns2 segment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import FOLDER, clear_errors, config_options
from ns2.pipeline.core.terminal import say
from ns2.pipeline.tools.tool_options import SegmentOptions

TOO_MUCH_LEFT_OUT = 3


@click.command()
@click.argument("recordings", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    required=True,
    help="The folder of the corpus; it is made, or brought up to date.",
)
@config_options(SegmentOptions)
@clear_errors
def segment(recordings: Path, out: Path, **options: Any) -> None:
    """Cut long RECORDINGS with their texts into a corpus of utterances in OUT.

    RECORDINGS is a recording of minutes to hours with its text beside it (x.mp3 and x.txt), or a
    folder of such. No audio is copied: OUT/manifest.jsonl says which part of which recording each
    utterance is, and `ns2 preprocess OUT` reads it. What is spoken and not written, or written and
    not spoken, is left out; OUT/left_out.parquet says where and why. Recordings that are done are
    not done again.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.tools.segmenting.segment import segment as run

    chosen = SegmentOptions(**options)
    with display() as progress:
        summary = run(recordings, out, chosen, progress)
    say(summary.render(out))
    share = len(summary.whole) / summary.recordings
    if share > chosen.max_left_out:
        say(
            f"{share:.1%} of the recordings were left out as a whole, more than --max-left-out "
            f"{chosen.max_left_out:g}.",
            err=True,
        )
        raise click.exceptions.Exit(TOO_MUCH_LEFT_OUT)
