"""`ns2 preprocess`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, NAME_LIST, clear_errors, config_options
from ns2.pipeline.commands.places import PlaceType, cache_options
from ns2.pipeline.core.terminal import quiet_libraries, say
from ns2.pipeline.preprocess.options import Options

TOO_MANY_REJECTED = 3


@click.command()
@click.argument("corpus", type=PlaceType(exists=True))
@click.option(
    "-o",
    "--out",
    type=PlaceType(file_okay=False),
    required=True,
    help="The dataset's folder, or its URL in a bucket; it is made, or brought up to date.",
)
@config_options(
    Options,
    limit={"type": click.IntRange(1), "metavar": "N"},
    columns=NAME_LIST,
    stage={
        "type": str,
        "multiple": True,
        "default": (),
        "metavar": "MODULE:CLASS",
        "show_default": False,
    },
    g2p=NAME_LIST,
    min_align_score={"metavar": "S"},
    max_border_error={"metavar": "X"},
    min_confidence={"metavar": "C"},
    quantizers={"type": click.IntRange(1, 32)},
    shard_utterances={"type": click.IntRange(1)},
    textgrids={"type": DATASET},
)
@click.option(
    "--executor",
    type=click.Choice(["ray", "inline"]),
    default="ray",
    show_default=True,
    help="Where the work is done: by Ray's workers, or in this process alone; the bytes that are "
    "written are the same.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="The number of Ray's workers on CPUs.  [default: all cores]",
)
@click.option(
    "--gpus",
    type=click.IntRange(0),
    help="The number of GPUs that encode the codes; 0 leaves them alone.  [default: all that "
    "there are]",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="The address of a running Ray cluster that is to do the work.",
)
@click.option(
    "--plan",
    is_flag=True,
    help="What would be made, why, and how large it would be is printed, and nothing is made.",
)
@click.option(
    "--trial-seconds",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="The seconds for which --plan really makes some utterances, in a temporary folder, to "
    "tell the time and size of a run; 0 makes none.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="The plan is printed as JSON; only with --plan."
)
@cache_options
@clear_errors
def preprocess(
    corpus: str | Path,
    out: str | Path,
    executor: str,
    workers: int | None,
    gpus: int | None,
    ray_address: str | None,
    plan: bool,
    trial_seconds: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn CORPUS into a dataset in OUT, or bring that dataset up to date.

    CORPUS is a folder of recordings with transcripts (LJSpeech, LibriTTS, LibriSpeech, VCTK, MLS,
    Common Voice, or pairs of x.wav and x.txt), or a manifest (JSON lines or CSV with audio and
    text), or the URL of one in a bucket, or of a manifest on a web server. Whatever is there
    already is found and left alone: change an option and only what depends on it is made.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.corpora.in_bucket import corpus_path
    from ns2.pipeline.preprocess.executors.opening import open_executor
    from ns2.pipeline.preprocess.run import preprocess as run

    chosen = Options(**options)
    if executor == "inline" and (workers or gpus or ray_address):
        raise click.UsageError("--workers, --gpus and --ray-address are for --executor ray")
    if as_json and not plan:
        raise click.UsageError("--json is for --plan")
    if plan:
        import json

        from ns2.pipeline.preprocess.preview import preview, render

        with quiet_libraries():
            found = preview(
                corpus_path(corpus, chosen.fields), _looked_at(out), chosen, trial_seconds
            )
        say(json.dumps(found.to_json(), indent=2) if as_json else render(found))
        return
    with (
        quiet_libraries() if executor == "inline" else nullcontext(),
        display() as progress,
        _held(out) as folder,
        open_executor(executor, workers, ray_address, gpus) as crew,
    ):
        summary = run(corpus_path(corpus, chosen.fields), folder, chosen, crew, progress)
    say(summary.render(out))
    if summary.rejected_share > chosen.max_rejected:
        say(
            f"{summary.rejected_share:.1%} of the utterances were rejected, more than "
            f"--max-rejected {chosen.max_rejected:g}; {out}/rejected.parquet says why.",
            err=True,
        )
        raise click.exceptions.Exit(TOO_MANY_REJECTED)


@contextmanager
def _held(out: str | Path) -> Iterator[Path]:
    """The folder that a run writes to; for a URL one that stands for it, and is nobody else's."""
    if isinstance(out, Path):
        yield out
        return
    from ns2.pipeline.dataset.bucket.staging import Staging

    with Staging(out).held() as staging:
        yield staging.root


def _looked_at(out: str | Path) -> Path:
    """The folder that a plan looks at."""
    if isinstance(out, Path):
        return out
    from ns2.pipeline.dataset.bucket.staging import Staging

    return Staging.looked_at(out)
