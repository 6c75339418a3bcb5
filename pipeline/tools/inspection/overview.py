"""What a dataset is as a whole: as JSON values, and as text for people.

Only card and index are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ns2.pipeline.dataset.reader import Dataset

if TYPE_CHECKING:
    from rich.table import Table

TOP_SPEAKERS = 10
"""The number of speakers, those with the most speech, that are listed."""


def summarise(dataset: Dataset) -> dict[str, Any]:
    """What a dataset is, as JSON values.

    Seconds, hours and counts are those of the utterances written; `columns` has what the card
    says of each, with its fingerprint; `speakers.top` lists those with the most speech.
    """
    card, index = dataset.card, dataset.index
    counts = card.counts
    speakers = _grouped(index, "speaker")
    speakers.sort(key=lambda group: (-group["hours"], group["speaker"]))
    codes = card.columns["codes"].config if "codes" in card.columns else None
    return {
        "digest": card.digest,
        "format_version": card.format_version,
        "ns2": card.ns2,
        "corpus": card.corpus,
        "utterances": counts.written,
        "hours": counts.hours,
        "frames": counts.frames,
        "phones": counts.phones,
        "seconds": _distribution(index["seconds"]),
        "found": counts.found,
        "rejected": counts.rejected,
        "filtered": counts.filtered,
        "reasons": counts.reasons,
        "speakers": {"count": len(speakers), "top": speakers[:TOP_SPEAKERS]},
        "languages": _by_name(_grouped(index, "language"), "language"),
        "splits": _by_name(_grouped(index, "split"), "split"),
        "grid": card["grid"],
        "codec": codes or None,
        "columns": {
            name: {
                "dtype": column.dtype,
                "dims": list(column.dims),
                "tars": column.tars,
                "bytes": column.bytes,
                "fingerprint": column.folder.removeprefix(f"{name}-"),
                "config": column.config,
            }
            for name, column in card.columns.items()
        },
        "statistics": card.statistics,
        "assets": list(card.assets),
    }


def _distribution(seconds: pa.ChunkedArray) -> dict[str, float | None]:
    if not len(seconds):
        return dict.fromkeys(("min", "median", "max", "mean"))
    values = seconds.to_numpy()
    return {
        "min": float(values.min()),
        "median": float(np.median(values)),
        "max": float(values.max()),
        "mean": float(values.mean()),
    }


def _grouped(index: pa.Table, field: str) -> list[dict[str, Any]]:
    """Utterances and hours by the values of a field of the index, sorted by them."""
    groups = index.group_by(field).aggregate([("seconds", "sum"), ("key", "count")])
    return sorted(
        (
            {
                field: group[field],
                "utterances": group["key_count"],
                "hours": group["seconds_sum"] / 3600,
            }
            for group in groups.to_pylist()
        ),
        key=lambda group: group[field],
    )


def _by_name(groups: Iterable[Mapping[str, Any]], field: str) -> dict[str, Any]:
    return {
        group[field]: {"utterances": group["utterances"], "hours": group["hours"]}
        for group in groups
    }


def render(summary: Mapping[str, Any], root: str | Path, *, width: int = 100) -> str:
    """What `summarise` found, for people.

    Args:
        summary: the JSON values of `summarise`.
        root: the dataset's folder, which the first line names.
        width: of the tables, in characters.
    """
    speakers, hours = summary["speakers"], summary["hours"]
    tables = [
        _columns_table(summary["columns"]),
        _shares_table("split", summary["splits"], hours),
        _shares_table("language", summary["languages"], hours),
        _shares_table(
            "speaker", _by_name(speakers["top"], "speaker"), hours, total=speakers["count"]
        ),
    ]
    return _printed(_summary_lines(summary, root), tables, width)


def _summary_lines(summary: Mapping[str, Any], root: str | Path) -> list[str]:
    """The lines above the tables: how much there is, the frame grid, codec and statistics."""
    grid, seconds = summary["grid"], summary["seconds"]
    lines = [
        f"{root}: {_many(summary['utterances'], 'utterance')}, {length(summary['hours'])}, "
        f"{_many(summary['speakers']['count'], 'speaker')}",
        f"  corpus layout {summary['corpus']['layout']}; found {summary['found']:,}, written "
        f"{summary['utterances']:,}, rejected {summary['rejected']:,}, "
        f"filtered {summary['filtered']:,}",
    ]
    lines += [f"    {reason}: {number:,}" for reason, number in summary["reasons"].items()]
    if seconds["max"] is not None:
        lines.append(
            f"  an utterance has {seconds['min']:.2f} to {seconds['max']:.2f} s, "
            f"median {seconds['median']:.2f} s"
        )
    lines.append(
        f"  frames of {grid['hop_length']} samples at {grid['sample_rate']:,} Hz: "
        f"{grid['frame_rate']:g} a second, {summary['frames']:,} in all; "
        f"{summary['phones']:,} phones"
    )
    codec = summary["codec"]
    if codec:
        lines.append(
            f"  codec {codec.get('codec', '?')}, {codec.get('quantizers', '?')} quantizers, "
            f"weights {str(codec.get('weights', '?'))[:12]}"
        )
    lines += [f"  {line}" for line in _statistics_lines(summary["statistics"])]
    lines.append(f"  digest {summary['digest'][:16]}, written by ns2 {summary['ns2']}")
    return lines


def _statistics_lines(statistics: Mapping[str, Any]) -> list[str]:
    lines = []
    f0 = statistics.get("f0")
    if f0 and "log_mean" in f0:
        lines.append(
            f"pitch: {100 * f0['voiced_share']:.0f}% voiced, geometric mean "
            f"{np.exp(f0['log_mean']):.0f} Hz, {f0['min']:.0f} to {f0['max']:.0f} Hz"
        )
    latents = statistics.get("latents")
    if latents:
        lines.append(
            f"latents: {len(latents['mean'])} channels, means {min(latents['mean']):.2f} to "
            f"{max(latents['mean']):.2f}, deviations {min(latents['std']):.2f} to "
            f"{max(latents['std']):.2f}"
        )
    return lines


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def length(hours: float) -> str:
    """A time as people read it: `1.25 hours`, or minutes below one hour."""
    return f"{hours:,.2f} hours" if hours >= 1 else f"{60 * hours:.2f} minutes"


def amount(size: int) -> str:
    """Bytes as people read them: `1.4 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _table(*headers: str, right: Iterable[int] = ()) -> Table:
    """An empty table; `right` are the positions of headers whose column holds numbers."""
    from rich import box
    from rich.table import Table

    table, numbers = Table(box=box.SIMPLE), set(right)
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i in numbers else "left", overflow="fold")
    return table


def _columns_table(columns: Mapping[str, Any]) -> Table:
    table = _table("column", "dtype", "dims", "tars", "bytes", "fingerprint", right=(3, 4))
    for name, column in columns.items():
        table.add_row(
            name, column["dtype"], " x ".join(map(str, column["dims"])), f"{column['tars']:,}",
            amount(column["bytes"]), column["fingerprint"],
        )  # fmt: skip
    tars = sum(column["tars"] for column in columns.values())
    size = sum(column["bytes"] for column in columns.values())
    table.add_row("all", "", "", f"{tars:,}", amount(size), "")
    return table


def _shares_table(
    field: str, groups: Mapping[str, Mapping[str, Any]], hours: float, total: int | None = None
) -> Table:
    """Utterances, length and share of the hours by a field; `total` groups exist in all."""
    from rich.text import Text

    header = field
    if total is not None and total > len(groups):
        header = f"{field} ({len(groups)} of {total:,})"
    table = _table(header, "utterances", "length", "share", right=(1, 2, 3))
    for name, group in groups.items():
        share = group["hours"] / hours if hours else 0.0
        table.add_row(
            Text(name), f"{group['utterances']:,}", length(group["hours"]), f"{100 * share:.1f}%"
        )
    return table


def _printed(lines: Sequence[str], tables: Sequence[Table], width: int) -> str:
    """Lines and tables as one text, with one blank line between tables."""
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    out.write("\n".join(lines) + "\n")
    for table in tables:
        if table.row_count:
            console.print(table)
    printed: list[str] = []
    for line in out.getvalue().splitlines():
        if line.strip() or printed[-1]:
            printed.append(line.rstrip())
    return "\n".join(printed).rstrip()
