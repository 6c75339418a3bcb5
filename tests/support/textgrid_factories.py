"""TextGrids as Praat itself makes and reads them, through parselmouth."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parselmouth.praat import call, run

Spans = Sequence[tuple[float, float, str]]
FORMS = {
    "long": ("Save as text file", "UTF-8"),
    "short": ("Save as short text file", "UTF-8"),
    "long-utf16": ("Save as text file", "UTF-16"),
    "short-utf16": ("Save as short text file", "UTF-16"),
    "chronological": ("Save as chronological text file", "UTF-8"),
    "binary": ("Save as binary file", "UTF-8"),
}


def praat_textgrid(end: float, tiers: Mapping[str, Spans], points: Sequence[str] = ()) -> Any:
    """A TextGrid in Praat, whose intervals cover all of it.

    Args:
        tiers: by name; what no span covers is an interval without a label.
        points: names of tiers of points, one point each.
    """
    names = [f"tier{i}" for i in range(len(tiers))] + [f"points{i}" for i in range(len(points))]
    made = call("Create TextGrid", 0.0, end, " ".join(names), " ".join(names[len(tiers) :]))
    for number, (name, spans) in enumerate(tiers.items(), 1):
        call(made, "Set tier name", number, name)
        edges = sorted({edge for start, behind, _ in spans for edge in (start, behind)})
        for edge in edges:
            if 0 < edge < end:
                call(made, "Insert boundary", number, edge)
        for start, behind, label in spans:
            where = call(made, "Get interval at time", number, (start + behind) / 2)
            call(made, "Set interval text", number, where, label)
    for number, name in enumerate(points, len(tiers) + 1):
        call(made, "Set tier name", number, name)
        call(made, "Insert point", number, end / 2, "x")
    return made


def praat_save(textgrid: Any, path: Path, form: str = "long") -> Path:
    """Let Praat write a file in one of its `FORMS`."""
    command, encoding = FORMS[form]
    run(f'Text writing preferences: "{encoding}"')
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        call(textgrid, command, str(path))
    finally:
        run('Text writing preferences: "try ASCII, then UTF-16"')
    return path


def praat_read(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """All interval tiers of a file as Praat sees them."""
    read = call("Read from file", str(path))
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for number in range(1, call(read, "Get number of tiers") + 1):
        if call(read, "Is interval tier", number):
            tiers[call(read, "Get tier name", number)] = [
                (
                    call(read, "Get start time of interval", number, i),
                    call(read, "Get end time of interval", number, i),
                    call(read, "Get label of interval", number, i),
                )
                for i in range(1, call(read, "Get number of intervals", number) + 1)
            ]
    return tiers


def spans(*parts: tuple[float, str], start: float = 0.0) -> list[tuple[float, float, str]]:
    """Intervals one behind the other, of (seconds, label)."""
    ends = list(itertools.accumulate((seconds for seconds, _ in parts), initial=start))
    ends = [round(end, 9) for end in ends]
    return [
        (first, end, label)
        for first, end, (_, label) in zip(ends[:-1], ends[1:], parts, strict=True)
    ]
