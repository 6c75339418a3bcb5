"""`ns2 preprocess`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import DATASET, FILE, FOLDER, clear_errors

TOO_MANY_REJECTED = 3


def column_list(_: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """`--columns mel,f0` as a tuple; a wrong name is wrong usage."""
    from ns2.pipeline.core.schema import COLUMNS
    from ns2.pipeline.stages.graph import check_columns

    if value is None:
        return tuple(COLUMNS)
    try:
        return check_columns(name.strip() for name in value.split(",") if name.strip())
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o", "--out", type=FOLDER, required=True, help="The dataset's folder, new or to be updated."
)
@click.option("--layout", help="Of the corpus; recognised where it is not given.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Only the first N by key. For a trial take another OUT: its shards and aligner stay.",
)
@click.option(
    "--columns",
    callback=column_list,
    metavar="A,B,...",
    help="Make only these, and what they require.  [default: all]",
)
@click.option("--language", default="en-us", show_default=True, help="An espeak-ng voice.")
@click.option("--trim", is_flag=True, help="Cut silence at both ends.")
@click.option("--min-seconds", default=0.3, show_default=True, help="Shorter ones are filtered.")
@click.option("--max-seconds", default=30.0, show_default=True, help="Longer ones are filtered.")
@click.option(
    "--min-align-score",
    type=float,
    metavar="S",
    help="Those that align worse are filtered; see align_score in the index.",
)
@click.option(
    "--codec",
    default="encodec_24khz",
    show_default=True,
    help="Makes the codes: encodec_24khz, mini (comes with ns2), or a file of `ns2 codec train`.",
)
@click.option(
    "--codec-weights",
    type=FILE,
    help="A file of EnCodec's published layout; else torch hub's cache, or a download.",
)
@click.option("--quantizers", type=click.IntRange(1, 32), default=16, show_default=True)
@click.option(
    "--f0",
    type=click.Choice(["dio", "harvest", "praat"]),
    default="dio",
    show_default=True,
    help="Pitch extractor; dio is refined by StoneMask.",
)
@click.option("--f0-min", default=50.0, show_default=True, help="Hz.")
@click.option("--f0-max", default=1100.0, show_default=True, help="Hz.")
@click.option(
    "--extra-phonemes", type=FILE, help="Symbols appended to the phoneme table, one a line."
)
@click.option(
    "--val-share",
    default=0.02,
    show_default=True,
    help="Share of the validation split, where the corpus has no splits.",
)
@click.option(
    "--val-by",
    type=click.Choice(["utterance", "speaker"]),
    default="utterance",
    show_default=True,
    help="What is drawn for the validation split.",
)
@click.option("--shard-utterances", type=click.IntRange(1), default=512, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the aligner's training.")
@click.option(
    "--max-rejected",
    default=0.05,
    show_default=True,
    help="Exit with 3 where a larger share is rejected; the dataset is finished all the same.",
)
@click.option("--checksum", is_flag=True, help="Hash all audio, whatever size and mtime say.")
@click.option(
    "--retrain-aligner",
    is_flag=True,
    help="Choose the aligner's sample anew among all that is there now; durations are made anew.",
)
@click.option(
    "--aligner",
    type=click.Choice(["builtin", "textgrid"]),
    default="builtin",
    show_default=True,
    help="Where durations come from; textgrid reads them, and the phonemes, from --textgrids.",
)
@click.option(
    "--aligner-init",
    type=click.Choice(["bundled", "none"]),
    default="bundled",
    show_default=True,
    help="The builtin aligner starts with the network of the package, or from the corpus alone.",
)
@click.option("--textgrids", type=DATASET, help="A folder of TextGrids that were made elsewhere.")
@click.option("--phone-tier", default="phones", show_default=True, help="Of the TextGrids.")
@click.option("--word-tier", default="words", show_default=True, help="Likewise; need not exist.")
@click.option(
    "--executor",
    type=click.Choice(["ray", "inline"]),
    default="ray",
    show_default=True,
    help="Where the work is done: on Ray's workers, or in this process. The bytes are the same.",
)
@click.option("--workers", type=click.IntRange(1), help="Ray's workers.  [default: all cores]")
@click.option(
    "--gpus", type=click.IntRange(0), help="For the codes.  [default: all that there are]"
)
@click.option("--ray-address", metavar="HOST:PORT", help="Of a running Ray cluster to work on.")
@click.option(
    "--plan", is_flag=True, help="Say what would be made, why, and its size; make nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --plan: print JSON.")
@clear_errors
def preprocess(
    corpus: Path,
    out: Path,
    executor: str,
    workers: int | None,
    gpus: int | None,
    ray_address: str | None,
    plan: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn CORPUS into a dataset in OUT, or bring that dataset up to date.

    CORPUS is a folder of recordings with transcripts (LJSpeech, LibriTTS, LibriSpeech, VCTK, MLS,
    Common Voice, or pairs of x.wav and x.txt), or a manifest (JSON lines or CSV with audio and
    text). Whatever is there already is found and left alone: change an option and only what
    depends on it is made.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.preprocess.executors.opening import open_executor
    from ns2.pipeline.preprocess.options import Options
    from ns2.pipeline.preprocess.run import preprocess as run

    chosen = Options(**options)
    if executor == "inline" and (workers or gpus or ray_address):
        raise click.UsageError("--workers, --gpus and --ray-address are for --executor ray")
    if as_json and not plan:
        raise click.UsageError("--json is for --plan")
    if plan:
        import json

        from ns2.pipeline.preprocess.preview import preview, render

        found = preview(corpus, out, chosen)
        click.echo(json.dumps(found.to_json(), indent=2) if as_json else render(found))
        return
    with display() as progress, open_executor(executor, workers, ray_address, gpus) as crew:
        summary = run(corpus, out, chosen, crew, progress)
    click.echo(summary.render(out))
    if summary.rejected_share > chosen.max_rejected:
        click.echo(
            f"{summary.rejected_share:.1%} of the utterances were rejected, more than "
            f"--max-rejected {chosen.max_rejected:g}; {out / 'rejected.parquet'} says why.",
            err=True,
        )
        raise click.exceptions.Exit(TOO_MANY_REJECTED)
