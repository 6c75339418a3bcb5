"""`ns2 inspect`: what a dataset is, and what one utterance of it is.

Only card and index are read, and an utterance's own arrays where one is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset

if TYPE_CHECKING:
    from rich.table import Table


TOP_SPEAKERS = 10


DOUBTFUL = 0.9
"""Starts of which the aligner is less sure are worth a look; few are."""


def summarise(dataset: Dataset) -> dict[str, Any]:
    """What a dataset is, as JSON values.

    Seconds, hours and counts are of the utterances written; `columns` has what the card tells,
    with the fingerprint of each; `speakers.top` those with the most speech.
    """
    card, index = dataset.card, dataset.index
    counts = card.counts
    speakers = _grouped(index, "speaker")
    speakers.sort(key=lambda one: (-one["hours"], one["speaker"]))
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
    """Utterances and hours by a field of the index, sorted by it."""
    groups = index.group_by(field).aggregate([("seconds", "sum"), ("key", "count")])
    return sorted(
        (
            {
                field: one[field],
                "utterances": one["key_count"],
                "hours": one["seconds_sum"] / 3600,
            }
            for one in groups.to_pylist()
        ),
        key=lambda one: one[field],
    )


def _by_name(groups: Iterable[Mapping[str, Any]], field: str) -> dict[str, Any]:
    return {one[field]: {"utterances": one["utterances"], "hours": one["hours"]} for one in groups}


def files(dataset: Dataset, column: str) -> list[str]:
    """Paths of the current tars of a column, in the order of shards.

    Raises:
        UserError: there is no such column.
    """
    return [str(path) for path in dataset.tars(column)]


def find(dataset: Dataset, name: str) -> str:
    """The key that a person means: a key, or the corpus's own id.

    Raises:
        UserError: there is none; names the nearest.
    """
    if name in dataset:
        return name
    where = pc.index(dataset.index["id"], name).as_py()
    if where >= 0:
        return dataset.keys[where]
    near = difflib.get_close_matches(name, dataset.keys[:100_000], n=3)
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise UserError(f"{dataset.root} has no utterance {name!r}{hint}")


def utterance(dataset: Dataset, key: str, *, confidence: bool = False) -> dict[str, Any]:
    """What one utterance is, as JSON values.

    `phonemes` lists its tokens with begin and length in seconds and the length in frames, where
    the dataset has durations; `words` likewise.

    Args:
        key: or id.
        confidence: tell for each token how sure the aligner is of its start; loads the aligner.

    Raises:
        UserError: there is no such utterance, or no confidence to tell.
        ValueError: its arrays are damaged.
    """
    key = find(dataset, key)
    row = dataset.row(key)
    arrays = {name: dataset.read(name, key, check=True) for name in dataset.columns}
    meta = arrays.get("meta", {})
    told: dict[str, Any] = {
        "key": key,
        **{
            name: row[name]
            for name in ("id", "split", "speaker", "language", "text", "seconds", "frames")
        },
        "shard": row["shard"],
        "source": meta.get("source"),
        "samples": meta.get("samples"),
        **{
            name: row[name]
            for name in (
                "audio_hash", "level_db", "voiced_share", "f0_median", "phone_rate", "align_score",
            )
        },
        "shapes": {
            name: list(array.shape)
            for name, array in arrays.items()
            if isinstance(array, np.ndarray)
        },
        "files": {name: row[f"{name}_file"] for name in dataset.columns},
    }  # fmt: skip
    spans = token_spans(dataset, arrays)
    if spans is not None:
        told["phonemes"] = [
            {"token": token, "begin": begin, "seconds": end - begin, "frames": frames}
            for token, begin, end, frames in spans
        ]
        told["words"] = [
            {"word": word, "begin": begin, "seconds": spans[behind - 1][2] - begin}
            for word, first, behind in meta["words"]
            for begin in [spans[first][1]]
        ]
    elif meta:
        told["phonemes"] = [{"token": token} for token in meta["phonemes"]]
    if confidence:
        from ns2.pipeline.tools.border_confidence import border_confidences

        for one, sure in zip(told["phonemes"], border_confidences(dataset, key), strict=True):
            one["confidence"] = round(float(sure), 4)
    return told


def token_spans(
    dataset: Dataset, arrays: Mapping[str, Any]
) -> list[tuple[str, float, float, int]] | None:
    """(token, begin and end in seconds, frames) of each token; None without meta or durations."""
    if "meta" not in arrays or "durations" not in arrays:
        return None
    rate = dataset.grid.frame_rate
    ends = np.cumsum(arrays["durations"], dtype=np.int64)
    return [
        (token, float((end - frames) / rate), float(end / rate), int(frames))
        for token, end, frames in zip(
            arrays["meta"]["phonemes"], ends, arrays["durations"].astype(np.int64), strict=True
        )
    ]


def render(dataset: Dataset, *, width: int = 100) -> str:
    """What a dataset is, for people."""
    told = summarise(dataset)
    grid, seconds = told["grid"], told["seconds"]
    lines = [
        f"{dataset.root}: {_many(told['utterances'], 'utterance')}, {length(told['hours'])}, "
        f"{_many(told['speakers']['count'], 'speaker')}",
        f"  corpus layout {told['corpus']['layout']}; found {told['found']:,}, written "
        f"{told['utterances']:,}, rejected {told['rejected']:,}, filtered {told['filtered']:,}",
    ]
    lines += [f"    {reason}: {number:,}" for reason, number in told["reasons"].items()]
    if seconds["max"] is not None:
        lines.append(
            f"  an utterance has {seconds['min']:.2f} to {seconds['max']:.2f} s, "
            f"median {seconds['median']:.2f} s"
        )
    lines.append(
        f"  frames of {grid['hop_length']} samples at {grid['sample_rate']:,} Hz: "
        f"{grid['frame_rate']:g} a second, {told['frames']:,} in all; {told['phones']:,} phones"
    )
    if told["codec"]:
        codec = told["codec"]
        lines.append(
            f"  codec {codec.get('codec', '?')}, {codec.get('quantizers', '?')} quantizers, "
            f"weights {str(codec.get('weights', '?'))[:12]}"
        )
    lines += [f"  {line}" for line in _statistics_lines(told["statistics"])]
    lines.append(f"  digest {told['digest'][:16]}, written by ns2 {told['ns2']}")
    tables = [
        _columns_table(told["columns"]),
        _shares_table("split", told["splits"], told["hours"]),
        _shares_table("language", told["languages"], told["hours"]),
        _shares_table(
            "speaker", _by_name(told["speakers"]["top"], "speaker"), told["hours"],
            of=told["speakers"]["count"],
        ),
    ]  # fmt: skip
    return _printed(lines, tables, width)


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


def _table(*headers: str, right: Iterable[int] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table, numbers = Table(box=box.SIMPLE), set(right)
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i in numbers else "left", overflow="fold")
    return table


def _columns_table(columns: Mapping[str, Any]) -> Table:
    table = _table("column", "dtype", "dims", "tars", "bytes", "fingerprint", right=(3, 4))
    for name, told in columns.items():
        dims = " x ".join(str(d) for d in told["dims"])
        table.add_row(
            name, told["dtype"], dims, f"{told['tars']:,}", amount(told["bytes"]),
            told["fingerprint"],
        )  # fmt: skip
    total = sum(told["bytes"] for told in columns.values())
    tars = sum(told["tars"] for told in columns.values())
    table.add_row("all", "", "", f"{tars:,}", amount(total), "")
    return table


def _shares_table(
    field: str, shares: Mapping[str, Mapping[str, Any]], hours: float, of: int | None = None
) -> Table:
    from rich.text import Text

    header = field if of is None or of <= len(shares) else f"{field} ({len(shares)} of {of:,})"
    table = _table(header, "utterances", "length", "share", right=(1, 2, 3))
    for name, one in shares.items():
        share = one["hours"] / hours if hours else 0.0
        table.add_row(
            Text(name), f"{one['utterances']:,}", length(one["hours"]), f"{100 * share:.1f}%"
        )
    return table


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


def _printed(lines: Sequence[str], tables: Sequence[Table], width: int) -> str:
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    out.write("\n".join(lines) + "\n")
    for table in tables:
        if table.row_count:
            console.print(table)
    printed: list[str] = []
    for line in out.getvalue().splitlines():
        if line.strip() or printed[-1]:  # one blank line between tables
            printed.append(line.rstrip())
    return "\n".join(printed).rstrip() + "\n"


def render_utterance(
    dataset: Dataset, key: str, *, width: int = 100, confidence: bool = False
) -> str:
    """One utterance, for people: its text, and each token with its length in milliseconds."""
    told = utterance(dataset, key, confidence=confidence)
    lines = [
        f"{told['key']}: {told['text']}",
        f"  {told['seconds']:.2f} s, {told['frames']} frames; speaker {told['speaker']}, "
        f"language {told['language']}, split {told['split']}, shard {told['shard']}",
    ]
    if told["id"] != told["key"] or told["source"]:
        lines.append(
            f"  id {told['id']}" + (f", source {told['source']}" if told["source"] else "")
        )
    facts = [f"level {told['level_db']:.1f} dB"]
    if told["f0_median"]:
        facts.append(
            f"median pitch {told['f0_median']:.1f} Hz over {100 * told['voiced_share']:.0f}% "
            "voiced frames"
        )
    facts.append(f"{told['phone_rate']:.1f} phones a second")
    if told["align_score"] is not None:
        facts.append(f"alignment score {told['align_score']:.2f}")
    lines.append("  " + ", ".join(facts))
    shapes = (f"{name} ({', '.join(map(str, s))})" for name, s in told["shapes"].items())
    lines.append("  " + ", ".join(shapes))
    tokens = [
        f"{one['token']} {1000 * one['seconds']:.0f}" if "seconds" in one else one["token"]
        for one in told.get("phonemes", ())
    ]
    if tokens:
        timed = "seconds" in told["phonemes"][0]
        lines += ["", "  tokens, each with its milliseconds:" if timed else "  tokens:"]
        lines += _wrapped(tokens, width)
    doubtful = [one for one in told.get("phonemes", ()) if one.get("confidence", 1.0) < DOUBTFUL]
    if confidence:
        lines += ["", "  starts in doubt, each with its second and the aligner's confidence:"]
        lines += _wrapped(
            (f"{one['token']} {one['begin']:.2f} s {one['confidence']:.2f}" for one in doubtful),
            width,
        )
    return "\n".join(lines) + "\n"


def _wrapped(words: Iterable[str], width: int) -> list[str]:
    """Words in lines, two spaces apart."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += f"  {word}" if lines[-1] else f"    {word}"
    return lines
