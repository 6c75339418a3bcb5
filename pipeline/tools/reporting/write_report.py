"""`ns2 report`: everything that a report shows is found, and its page is written.

The index is read by columns, so that a million utterances take little time and memory.

Letters for shapes: n utterances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.losses import join_losses
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.dataset.where import parse_where
from ns2.pipeline.tools.inspection.one_utterance import worst_word
from ns2.pipeline.tools.inspection.overview import amount, length
from ns2.pipeline.tools.reporting import pictures
from ns2.pipeline.tools.reporting.charts import HEIGHT, WIDTH, chart, number, spoken
from ns2.pipeline.tools.reporting.findings.distributions import distribution
from ns2.pipeline.tools.reporting.findings.groups import groups_by
from ns2.pipeline.tools.reporting.findings.ledger import left_out
from ns2.pipeline.tools.reporting.findings.measures import Measure, measures_of
from ns2.pipeline.tools.reporting.findings.phone_counts import count_phones
from ns2.pipeline.tools.reporting.findings.worst import Outliers, in_turn, outliers
from ns2.pipeline.tools.reporting.pages import render
from ns2.pipeline.tools.reporting.pictures import picture_of
from ns2.pipeline.tools.reporting.players import open_codec, player
from ns2.pipeline.tools.tool_options import ReportOptions

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec

LISTED = 5
"""Utterances at each end of a measure."""
BY_CHANCE = 3
"""Utterances that are drawn by chance, to compare the others with."""
MOST_BYTES = 4_500_000
"""What drawings and players may take together, so that the page stays below 5 MB."""
_LONGEST_TEXT = 300


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """The numbers of all utterances.

    Attributes:
        measures: what is measured.
        values: (n,) of each measure, by its name.
        kept: (n,) bool, what `--where` keeps; None without it.
    """

    measures: Sequence[Measure]
    values: Mapping[str, np.ndarray]
    kept: np.ndarray | None


def write_report(
    dataset: Dataset, out: Path, options: ReportOptions, progress: Progress
) -> list[str]:
    """Write the page of a dataset.

    Args:
        out: the file; replaced if it exists.

    Returns:
        what the page lacks and why, for the user.

    Raises:
        UserError: the condition is wrong, the dataset is damaged, or the file can't be written.
    """
    notes: list[str] = []
    found = _read_numbers(dataset, options, progress)
    listed = [one for m in found.measures for one in outliers(found.values[m.name], m, LISTED)]
    phones = count_phones(dataset, progress)
    chosen = in_turn([_by_chance(len(dataset)), *(one.positions for one in listed)])
    shown = _draw(dataset, chosen, progress, notes)
    room = MOST_BYTES - sum(one["bytes"] for one in shown.values())
    _add_players(dataset, shown, options, room, progress, notes)
    rows = _rows(dataset, chosen)
    text = render(
        __package__,
        "report.html",
        title=f"{dataset.root.resolve().name}: ns2 report",
        card=dataset.card,
        about=_about(dataset),
        where=options.where,
        kept=None if found.kept is None else int(found.kept.sum()),
        seconds=found.values["seconds"],
        groups=[
            groups_by(dataset, field, found.values["seconds"], found.kept)
            for field in ("split", "speaker", "language")
        ],
        distributions=_distributions(found),
        phones=phones,
        ledger=left_out(dataset.root),
        lists=[_listed(one, rows, shown, found) for one in listed],
        utterances=[_utterance(at, rows[at], shown[at], found) for at in chosen if at in shown],
        chart_size=(WIDTH, HEIGHT),
        panels=pictures,
        notes=notes,
        number=number,
        spoken=spoken,
        amount=amount,
    )
    _write(out, text)
    return notes


def _write(out: Path, text: str) -> None:
    try:
        with atomic_write(out) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise UserError(f"can't write {out}: {error.strerror or error}") from error


def _read_numbers(dataset: Dataset, options: ReportOptions, progress: Progress) -> _Numbers:
    """Read the measures of all utterances, and what a condition keeps."""
    if options.run is not None:
        join_losses(dataset, options.run)
    where, measures = options.where, measures_of(dataset)
    condition = parse_where(where, dataset.index_schema) if where.strip() else None
    progress.phase("reading the index", len(measures), unit="columns")
    values = {}
    for measure in measures:
        values[measure.name] = dataset.numbers(measure.name)
        progress.advance(utterances=1)
    kept = None
    if condition is not None:
        table = dataset.fields(condition.columns)
        numbered = table.append_column("", pa.array(np.arange(len(table))))
        kept = np.zeros(len(table), bool)
        kept[numbered.filter(condition.expression)[""].to_numpy()] = True
    return _Numbers(measures=measures, values=values, kept=kept)


def _by_chance(count: int) -> list[int]:
    rng = np.random.default_rng(0)
    return sorted(rng.choice(count, min(BY_CHANCE, count), replace=False).tolist())


def _draw(
    dataset: Dataset, chosen: Sequence[int], progress: Progress, notes: list[str]
) -> dict[int, dict[str, Any]]:
    """Drawings by position, as many as there is room for beside players."""
    progress.phase("drawing", len(chosen))
    frames = dataset.numbers("frames") if chosen else np.zeros(0)
    shown: dict[int, dict[str, Any]] = {}
    room = MOST_BYTES // 2
    for at in chosen:
        picture = picture_of(dataset, at, int(frames[at]))
        size = (
            len(picture.mel or "") + len(picture.f0) + 100 * len(picture.tokens) if picture else 0
        )
        progress.advance(utterances=1)
        if size > room:
            continue
        room -= size
        shown[at] = {"picture": picture, "player": None, "bytes": size}
    if left := len(chosen) - len(shown):
        notes.append(
            f"{left} of the utterances in the lists are not drawn: the page would be large"
        )
    return shown


def _add_players(
    dataset: Dataset,
    shown: Mapping[int, dict[str, Any]],
    options: ReportOptions,
    room: int,
    progress: Progress,
    notes: list[str],
) -> None:
    """Add players to the first of the utterances that are shown, as long as there is room."""
    if not options.audio or not shown:
        return
    try:
        codec: Codec = open_codec(dataset, options.codec, options.codec_weights)
    except UserError as error:
        if options.codec or options.codec_weights:
            raise
        notes.append(f"there is nothing to listen to: {error}")
        return
    wanted = list(shown)[: options.audio]
    progress.phase("making copies", len(wanted))
    for at in wanted:
        made = player(codec, dataset, at)
        progress.advance(utterances=1)
        if len(made) <= room:
            room -= len(made)
            shown[at]["player"] = made
    if without := sum(shown[at]["player"] is None for at in wanted):
        notes.append(f"{without} of the copies are left out: the page would be too large")


def _about(dataset: Dataset) -> dict[str, str]:
    """What the dataset is, by what the page calls it."""
    card, grid = dataset.card, dataset.grid
    counts, codes = card.counts, card.config("codes")
    about = {
        "utterances": f"{counts.written:,}",
        "speech": length(counts.hours),
        "speakers": f"{counts.speakers:,}",
        "phones": f"{counts.phones:,}",
        "found": f"{counts.found:,}, of which {counts.rejected:,} were rejected and "
        f"{counts.filtered:,} filtered",
        "corpus layout": str(card.corpus.get("layout", "")),
        "frames": f"{grid.hop_length} samples at {grid.sample_rate:,} Hz, "
        f"{grid.frame_rate:g} a second",
    }
    if codes:
        about["codec"] = f"{codes.get('codec')}, {codes.get('quantizers')} quantizers"
    if licence := card.options.get("licence"):
        about["licence"] = str(licence)
    return {**about, "digest": card.digest[:16], "written by": f"ns2 {card.ns2}"}


def _distributions(found: _Numbers) -> list[dict[str, Any]]:
    """The measures with their distributions and charts; both None where no value is."""
    shown = []
    for measure in found.measures:
        values = distribution(found.values[measure.name], found.kept)
        drawn = None if values is None else chart(values, measure.unit)
        shown.append({"measure": measure, "found": values, "chart": drawn})
    return shown


def _rows(dataset: Dataset, positions: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What the index says of some utterances in words."""
    names = ["key", "id", "speaker", "language", "split", "text"]
    table = dataset.fields(names).take(pa.array(list(positions), pa.int64()))
    rows = table.to_pylist()
    for row in rows:
        if len(row["text"]) > _LONGEST_TEXT:
            row["text"] = f"{row['text'][:_LONGEST_TEXT]} …"
    words = _worst_words(dataset, positions)
    return {
        at: {**row, "worst": words.get(at, "")} for at, row in zip(positions, rows, strict=True)
    }


def _worst_words(dataset: Dataset, positions: Sequence[int]) -> dict[int, str]:
    """The words whose borders are the least sure, where the dataset tells them."""
    names = ("worst_word", "worst_word_time")
    if not {"meta", "durations"} <= set(dataset.columns) or names[0] not in dataset.card.scalars:
        return {}
    rows = dataset.fields(names).take(pa.array(list(positions), pa.int64())).to_pylist()
    found = {}
    for at, row in zip(positions, rows, strict=True):
        arrays = {name: dataset.read(name, at, check=True) for name in ("meta", "durations")}
        if (worst := worst_word(dataset, row, arrays)) is not None:
            found[at] = f"{worst['word']} at {worst['begin']:.2f} s"
    return found


def _listed(
    one: Outliers, rows: Mapping[int, Any], shown: Mapping[int, Any], found: _Numbers
) -> dict[str, Any]:
    """A list of the page: the utterances at an end of a measure."""
    return {
        "measure": one.measure,
        "end": one.end,
        "rows": [
            {
                "value": number(value),
                "shown": at in shown,
                "kept": None if found.kept is None else bool(found.kept[at]),
                **rows[at],
            }
            for at, value in zip(one.positions, one.values, strict=True)
        ],
    }


def _utterance(
    at: int, row: Mapping[str, Any], shown: Mapping[str, Any], found: _Numbers
) -> dict[str, Any]:
    """An utterance of the page: what the index says of it, its drawing and its player."""
    values = {
        measure: float(found.values[measure.name][at])
        for measure in found.measures
        if np.isfinite(found.values[measure.name][at])
    }
    return {
        **row,
        **shown,
        "values": [(one.title, f"{number(value)} {one.unit}") for one, value in values.items()],
        "kept": None if found.kept is None else bool(found.kept[at]),
    }
