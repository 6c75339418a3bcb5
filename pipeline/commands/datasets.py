"""Commands about finished datasets."""

from __future__ import annotations

from pathlib import Path

import click

from ns2.pipeline.commands.common import DATASET, FILE, FOLDER, clear_errors


@click.command()
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

    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools import inspection as look

    if confidence and key is None:
        raise click.UsageError("--confidence is for --key")
    opened = Dataset(dataset)
    if files is not None:
        listed = look.files(opened, files)
        click.echo(json.dumps(listed, indent=2) if as_json else "\n".join(listed))
        return
    chosen = look.find(opened, key) if key is not None else None
    if plot is not None:
        from ns2.pipeline.tools.plot import plot_utterance

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


@click.command()
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
    from ns2.pipeline.tools.verify.check import verify as check

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


@click.command()
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
    from ns2.pipeline.tools.export import export as write

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


@click.command()
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
    from ns2.pipeline.tools.textgrids import write_textgrids

    names = None if keys is None else [n.strip() for n in keys.split(",") if n.strip()]
    with display() as progress:
        progress.phase("writing TextGrids")
        count = write_textgrids(
            Dataset(dataset), out, keys=names, limit=limit, short=short, progress=progress.reach
        )
    click.echo(f"{out}: {count} TextGrids with the tiers words and phones")


@click.command()
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
    from ns2.pipeline.tools.collect import collect

    removed = collect(dataset, dry_run=dry_run)
    for place, (files, size) in removed.places.items():
        click.echo(f"  {place:<28} {files:>8} files {size / 1e6:>10.1f} MB")
    for name in removed.foreign:
        click.echo(f"  {click.format_filename(name)} is not of the dataset and is left alone")
    click.echo(
        f"{dataset}: {'would remove' if dry_run else 'removed'} {removed.files} files and "
        f"{removed.folders} folders, {removed.bytes / 1e6:.1f} MB"
    )


@click.command()
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

    from ns2.pipeline.tools.diff import diff as compare
    from ns2.pipeline.tools.diff import render

    told = compare(a, b)
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else render(told))
    if not told["equal"]:
        raise click.exceptions.Exit(1)


@click.command("align-eval")
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

    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools.align_eval import evaluate, render

    found = evaluate(Dataset(dataset), truth)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else render(found))
    for warning in found["warnings"]:
        click.echo(f"warning: {warning}", err=True)
