"""Commands about finished datasets: each parses its arguments, calls a tool, and prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ns2.pipeline.commands.common import (
    DATASET,
    FILE,
    FOLDER,
    NAME_LIST,
    clear_errors,
    config_options,
)
from ns2.pipeline.commands.places import PLACE, cache_options
from ns2.pipeline.core.terminal import say
from ns2.pipeline.tools.tool_options import (
    ExportOptions,
    ReportOptions,
    TextGridOptions,
    VerifyOptions,
)

as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="The output is printed as JSON, for other programs."
)


def _print(
    values: Mapping[str, Any], as_json: bool, render: Callable[[Mapping[str, Any]], str]
) -> None:
    """Print what a tool found: its JSON values as they are, or as text for people."""
    import json

    say(json.dumps(values, indent=2, ensure_ascii=False) if as_json else render(values))


@click.command()
@click.argument("dataset", type=PLACE)
@as_json_option
@click.option(
    "--files",
    metavar="COLUMN",
    help="The paths of a column's current tars are listed, in the order of shards, and nothing "
    "else.",
)
@click.option(
    "--key",
    metavar="K",
    help="One utterance is shown, named by its key or by the corpus's own id, not the dataset.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Mel spectrogram, F0 and phonemes of one utterance (that of --key, else the first) are "
    "drawn into this PNG file.",
)
@click.option(
    "--confidence",
    is_flag=True,
    help="The probability that each phoneme starts within 50 ms of where it seems to is shown; "
    "only with --key.",
)
@cache_options
@clear_errors
def inspect(
    dataset: str | Path,
    as_json: bool,
    files: str | None,
    key: str | None,
    plot: Path | None,
    confidence: bool,
) -> None:
    """Show what is in DATASET, or one utterance of it."""
    from ns2.pipeline.dataset.reader import Dataset

    if confidence and key is None:
        raise click.UsageError("--confidence is for --key: name an utterance")
    opened = Dataset(dataset)
    if files is not None:
        _list_files([opened.shown(path) for path in opened.tars(files)], as_json)
        return
    if plot is not None:
        from ns2.pipeline.tools.inspection.plot import plot_utterance

        drawn = plot_utterance(opened, key, plot)
        say(f"{plot}: {drawn}", err=True)
        if key is None:
            return
    if key is None:
        from ns2.pipeline.tools.inspection.overview import render, summarise

        _print(summarise(opened), as_json, lambda summary: render(summary, opened.place))
    else:
        from ns2.pipeline.tools.inspection.one_utterance import describe, render_utterance

        _print(describe(opened, key, confidence=confidence), as_json, render_utterance)


def _list_files(names: list[str], as_json: bool) -> None:
    import json

    say(json.dumps(names, indent=2) if as_json else "\n".join(names))


@click.command()
@click.argument("dataset", type=PLACE)
@config_options(
    VerifyOptions,
    sample={"type": click.IntRange(1), "metavar": "N"},
    workers={"type": click.IntRange(1)},
)
@as_json_option
@cache_options
@clear_errors
def verify(dataset: str | Path, as_json: bool, **options: Any) -> None:
    """Check all of DATASET: every file, array and index row, the frame contract and the ledger.

    Whatever is wrong is named with its file, column, shard and key, and the exit code is 1.
    """
    from dataclasses import asdict

    from ns2.pipeline.core.progress import display
    from ns2.pipeline.tools.verify.check import verify as check

    chosen = VerifyOptions(**options)
    with display() as progress:
        progress.phase("verifying", unit="shards")
        report = check(dataset, chosen, progress=progress.reach)
    _print({**asdict(report), "ok": report.ok}, as_json, lambda _: report.render(dataset))
    if not report.ok:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("dataset", type=PLACE)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The file of the page; it is replaced if it is there.",
)
@config_options(
    ReportOptions,
    where={"metavar": "CONDITION", "show_default": False},
    run={"type": DATASET},
    audio={"type": click.IntRange(0), "metavar": "N"},
)
@cache_options
@clear_errors
def report(dataset: str | Path, out: Path, **options: Any) -> None:
    """Write a page about DATASET: one HTML file that needs no network and no script.

    It shows hours, distributions of all measures, phones, what was left out and why, and the
    utterances that are far out by any measure, with their mel, phones and pitch, to listen to.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools.reporting.write_report import write_report

    chosen = ReportOptions(**options)
    with display() as progress:
        notes = write_report(Dataset(dataset), out, chosen, progress)
    for note in notes:
        say(f"note: {note}", err=True)
    say(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@click.command()
@click.argument("dataset", type=PLACE)
@click.argument("out", type=FOLDER)
@config_options(ExportOptions, columns=NAME_LIST, shard_utterances={"type": click.IntRange(1)})
@cache_options
@clear_errors
def export(dataset: str | Path, out: Path, **options: Any) -> None:
    """Write DATASET to OUT as WebDataset tars that hold all columns together, for other toolkits.

    Every split has its own tars. Every sample holds all columns of an utterance as plain .npy and
    .json; export.json says what they are. Any WebDataset reader opens them, without ns2.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools.export import export as write

    chosen = ExportOptions(**options)
    with display() as progress:
        progress.phase("exporting")
        tars = write(Dataset(dataset), out, chosen, progress=progress.reach)
    say(f"{out}: {len(tars)} tars, and export.json, which says what is in them")


@click.command()
@click.argument("dataset", type=PLACE)
@click.argument("out", type=FOLDER)
@config_options(TextGridOptions, keys=NAME_LIST, limit={"type": click.IntRange(1), "metavar": "N"})
@cache_options
@clear_errors
def textgrid(dataset: str | Path, out: Path, **options: Any) -> None:
    """Write words and phones of DATASET to OUT as TextGrids for Praat, one file per utterance.

    Silence is left without a label. `ns2 preprocess --aligner textgrid --textgrids OUT` reads them
    back, with whatever was corrected in them, exact to the frame.
    """
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools.textgrids import write_textgrids

    chosen = TextGridOptions(**options)
    with display() as progress:
        progress.phase("writing TextGrids")
        count = write_textgrids(Dataset(dataset), out, chosen, progress=progress.reach)
    say(f"{out}: {count} TextGrids with the tiers words and phones")


@click.command()
@click.argument("dataset", type=PLACE)
@click.option(
    "--dry-run", is_flag=True, help="What would be removed is printed, and nothing is removed."
)
@cache_options
@clear_errors
def gc(dataset: str | Path, dry_run: bool) -> None:
    """Remove from DATASET the files that are no longer current.

    These are files that its card does not name: tars from before a change of the corpus or of
    options, columns and screenings of other options, an aligner that is not in use, and temporary
    files. Files that ns2 did not write are left alone and named. If you go back to those options,
    `ns2 preprocess` makes their columns anew.

    DATASET must be complete and its small files sound. Nothing else may be reading an older state
    of it, such as a training that began before the last change.
    """
    from ns2.pipeline.tools.collect import collect

    if isinstance(dataset, Path):
        removed = collect(dataset, dry_run=dry_run)
    else:
        from ns2.pipeline.dataset.bucket.staging import Staging

        with Staging(dataset).held() as staging:
            removed = collect(staging.root, dry_run=dry_run)
            staging.delete_missing()
    say(removed.render(dataset, dry_run=dry_run))


@click.command()
@click.argument("a", type=PLACE)
@click.argument("b", type=PLACE)
@as_json_option
@cache_options
@clear_errors
def diff(a: str | Path, b: str | Path, as_json: bool) -> None:
    """Show what differs between two datasets, A and B.

    Utterances, columns, configuration, counts and rejections are compared. Like that of diff, the
    exit code is 0 if both hold the same and 1 if they differ. Utterances are matched by key; the
    shard in which they lie makes no difference. Only cards, indexes and ledgers are read, no tar,
    and they are trusted: `ns2 verify` checks them.
    """
    from ns2.pipeline.tools.diff.difference_text import render
    from ns2.pipeline.tools.diff.two_datasets import diff as compare

    differences = compare(a, b)
    _print(differences, as_json, render)
    if not differences["equal"]:
        raise click.exceptions.Exit(1)


@click.command("align-eval")
@click.argument("dataset", type=PLACE)
@click.argument("truth", type=FILE)
@as_json_option
@cache_options
@clear_errors
def align_eval(dataset: str | Path, truth: Path, as_json: bool) -> None:
    """Measure the durations of DATASET by TRUTH, a file that says where phones truly begin.

    TRUTH has one JSON object per line: key, sample_rate, phones as [start in samples, IPA], and
    samples and voice where they are known. An empty IPA is a pause, "<word>" the start of a word.
    Errors are those of the starts of phones, except the first of each utterance; a negative error
    is too early. Utterances whose phones differ in number are skipped and counted.
    """
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools.align_eval.against_truth import evaluate
    from ns2.pipeline.tools.align_eval.error_tables import render

    found = evaluate(Dataset(dataset), truth)
    _print(found, as_json, render)
    for warning in found["warnings"]:
        say(f"warning: {warning}", err=True)
