"""The command line of ns2; every heavy import is inside its command.

Exit codes: 0 done, 1 failed check or error, 2 wrong usage, 3 too many utterances rejected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ns2.pipeline.command_line import DATASET, FILE, FOLDER, clear_errors
from ns2.train.codec_commands import codec
from ns2.train.demo_command import demo
from ns2.train.evaluate_command import evaluate as evaluate_run
from ns2.train.model_command import model
from ns2.train.synthesize_command import synthesize
from ns2.train.train_command import train

TOO_MANY_REJECTED = 3


def column_list(_: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """`--columns mel,f0` as a tuple; a wrong name is wrong usage."""
    from ns2.pipeline.core.schema import COLUMNS
    from ns2.pipeline.graph import check_columns

    if value is None:
        return tuple(COLUMNS)
    try:
        return check_columns(name.strip() for name in value.split(",") if name.strip())
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ns2", prog_name="ns2")
def main() -> None:
    """From raw recordings to a trained NaturalSpeech 2 model.

    \b
    ns2 preprocess corpus/ -o shards/    recordings and transcripts to a dataset
    ns2 inspect shards/                  what is in it
    ns2 verify shards/                   is all of it sound
    ns2 export shards/ out/              all-in-one tars for other toolkits
    ns2 diff a/ b/                       what differs between two datasets
    ns2 align-eval shards/ truth.jsonl   how far durations are from known truth
    ns2 textgrid shards/ out/            phones and words as TextGrids for Praat
    ns2 gc shards/                       remove what is no longer current
    ns2 codec train corpus/ -o C         a codec of one's own; also eval and copy
    ns2 train shards/ -o run/            a model; goes on where it stopped
    ns2 synthesize run/ "text" -o a.wav  speech in the voice of --prompt
    ns2 evaluate run/ shards/            how well it speaks, in figures and to hear
    ns2 demo out/                        all of these, from nothing to speech
    ns2 model --preset paper             parameters of a model, part by part
    """


@main.command()
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
    from ns2.pipeline.executors import open_executor
    from ns2.pipeline.options import Options
    from ns2.pipeline.run import preprocess as run

    chosen = Options(**options)
    if executor == "inline" and (workers or gpus or ray_address):
        raise click.UsageError("--workers, --gpus and --ray-address are for --executor ray")
    if as_json and not plan:
        raise click.UsageError("--json is for --plan")
    if plan:
        import json

        from ns2.pipeline.preview import preview, render

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


@main.command()
@click.argument("dataset", type=DATASET)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--files", metavar="COLUMN", help="List the current tars of a column, in order.")
@click.option("--key", metavar="K", help="Show one utterance, by key or by the corpus's own id.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw mel, F0 and phonemes of one utterance (--key, else the first) as a PNG.",
)
@click.option(
    "--confidence", is_flag=True, help="With --key: where the aligner is unsure of its borders."
)
@clear_errors
def inspect(
    dataset: Path,
    as_json: bool,
    files: str | None,
    key: str | None,
    plot: Path | None,
    confidence: bool,
) -> None:
    """Show what is in DATASET, or one utterance of it."""
    import json

    from ns2.pipeline import inspect as look
    from ns2.pipeline.dataset.reader import Dataset

    if confidence and key is None:
        raise click.UsageError("--confidence is for --key")
    opened = Dataset(dataset)
    if files is not None:
        listed = look.files(opened, files)
        click.echo(json.dumps(listed, indent=2) if as_json else "\n".join(listed))
        return
    chosen = look.find(opened, key) if key is not None else None
    if plot is not None:
        from ns2.pipeline.plot import plot_utterance

        if chosen is None and not len(opened):
            raise click.ClickException(f"{dataset} holds no utterance to draw")
        plot_utterance(opened, chosen or opened.keys[0], plot)
        click.echo(f"{plot}: {chosen or opened.keys[0]}", err=True)
        if chosen is None:
            return
    if as_json:
        found = (
            look.utterance(opened, chosen, confidence=confidence)
            if chosen
            else look.summarise(opened)
        )
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo(
            look.render_utterance(opened, chosen, confidence=confidence)
            if chosen
            else look.render(opened)
        )


@main.command()
@click.argument("dataset", type=DATASET)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Read all small files but only N arrays, instead of every tar whole.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@clear_errors
def verify(dataset: Path, sample: int | None, workers: int, as_json: bool) -> None:
    """Check all of DATASET: every file, array, index row, the frame contract and the ledger.

    Names file, column, shard and key of whatever is wrong, and exits with 1.
    """
    import json
    from dataclasses import asdict

    from ns2.pipeline.core.progress import display
    from ns2.pipeline.verify import verify as check

    with display() as progress:
        progress.phase("verifying", unit="shards")
        report = check(dataset, sample=sample, workers=workers, progress=progress.reach)
    if as_json:
        click.echo(json.dumps({**asdict(report), "ok": report.ok}, indent=2, ensure_ascii=False))
    else:
        for fault in report.faults:
            click.echo(str(fault))
        click.echo(f"{dataset}: {report.summary()}")
    if not report.ok:
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("dataset", type=DATASET)
@click.argument("out", type=FOLDER)
@click.option(
    "--columns", metavar="A,B,...", help="Only these.  [default: all that the dataset has]"
)
@click.option(
    "--shard-utterances",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Utterances a tar.",
)
@clear_errors
def export(dataset: Path, out: Path, columns: str | None, shard_utterances: int) -> None:
    """Write DATASET to OUT as all-in-one WebDataset tars, one set a split.

    Every sample holds all columns of an utterance as plain .npy and .json; export.json says what
    they are. Any WebDataset reader opens them, without ns2.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.export import export as write

    names = None if columns is None else [n.strip() for n in columns.split(",") if n.strip()]
    with display() as progress:
        progress.phase("exporting")
        tars = write(
            Dataset(dataset),
            out,
            columns=names,
            shard_utterances=shard_utterances,
            progress=progress.reach,
        )
    click.echo(f"{out}: {len(tars)} tars, and export.json which says what is in them")


@main.command()
@click.argument("dataset", type=DATASET)
@click.argument("out", type=FOLDER)
@click.option("--keys", metavar="A,B,...", help="Only these utterances, by key or id.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N.")
@click.option("--short", is_flag=True, help="Write Praat's short text form, not the long one.")
@clear_errors
def textgrid(dataset: Path, out: Path, keys: str | None, limit: int | None, short: bool) -> None:
    """Write words and phones of DATASET to OUT as TextGrids, one file an utterance, for Praat.

    Silence is left without a label. `ns2 preprocess --aligner textgrid --textgrids OUT` reads them
    back, with whatever was corrected in them, exact to the frame.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.textgrid import write_textgrids

    names = None if keys is None else [n.strip() for n in keys.split(",") if n.strip()]
    with display() as progress:
        progress.phase("writing TextGrids")
        count = write_textgrids(
            Dataset(dataset), out, keys=names, limit=limit, short=short, progress=progress.reach
        )
    click.echo(f"{out}: {count} TextGrids with the tiers words and phones")


@main.command()
@click.argument("dataset", type=DATASET)
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@clear_errors
def gc(dataset: Path, dry_run: bool) -> None:
    """Remove from DATASET what is no longer current.

    That is what its card does not name: tars from before a change of corpus or options, columns
    and screenings of other options, an aligner that is not in use, and temporary files. What is
    not ns2's is left alone and named. Going back to those options makes their columns anew.

    DATASET must be complete and its small files sound. Nothing else may be reading an older state
    of it, such as a training that began before the last change.
    """
    from ns2.pipeline.gc import collect

    removed = collect(dataset, dry_run=dry_run)
    for place, (files, size) in removed.places.items():
        click.echo(f"  {place:<28} {files:>8} files {size / 1e6:>10.1f} MB")
    for name in removed.foreign:
        click.echo(f"  {click.format_filename(name)} is not of the dataset and is left alone")
    click.echo(
        f"{dataset}: {'would remove' if dry_run else 'removed'} {removed.files} files and "
        f"{removed.folders} folders, {removed.bytes / 1e6:.1f} MB"
    )


@main.command()
@click.argument("a", type=DATASET)
@click.argument("b", type=DATASET)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@clear_errors
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Show what differs between two datasets, A and B.

    Utterances, columns, configuration, counts and what was left out are compared. Like diff, exits
    with 0 if they hold the same and with 1 if they differ. Utterances are matched by key; in which
    shard they lie is no difference. Only cards, indexes and ledgers are read, no tar, and they are
    believed: `ns2 verify` checks them.
    """
    import json

    from ns2.pipeline.diff import diff as compare
    from ns2.pipeline.diff import render

    told = compare(a, b)
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else render(told))
    if not told["equal"]:
        raise click.exceptions.Exit(1)


@main.command("align-eval")
@click.argument("dataset", type=DATASET)
@click.argument("truth", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@clear_errors
def align_eval(dataset: Path, truth: Path, as_json: bool) -> None:
    """Hold the durations of DATASET against TRUTH, where phones truly begin.

    TRUTH has a JSON object a line: key, sample_rate, phones as [start in samples, IPA], and
    samples and voice where they are known. An empty IPA is a pause, "<word>" the start of a word.
    Errors are those of the starts of phones, the first of each utterance excepted; below 0 is too
    early. Utterances whose phones differ in number are skipped and counted.
    """
    import json

    from ns2.pipeline.align_eval import evaluate, render
    from ns2.pipeline.dataset.reader import Dataset

    found = evaluate(Dataset(dataset), truth)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else render(found))
    for warning in found["warnings"]:
        click.echo(f"warning: {warning}", err=True)


main.add_command(codec)
main.add_command(demo)
main.add_command(evaluate_run, "evaluate")
main.add_command(model)
main.add_command(synthesize)
main.add_command(train)


if __name__ == "__main__":
    main()
