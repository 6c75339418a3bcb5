"""The figures of the zero-shot protocol as tables: Markdown, and LaTeX without packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ns2.train.evaluation.zero_shot.prosody import MOMENTS

_EMPTY = "-"


@dataclass(frozen=True)
class Table:
    """A table for people: its title, the titles of its columns, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


_MAIN = (
    ("words wrong", "words_wrong", "{:.1%}"),
    ("phones wrong", "phones_wrong", "{:.1%}"),
    ("similarity", "similarity", "{:.3f}"),
    ("DNSMOS overall", "mos_overall", "{:.2f}"),
    ("signal", "mos_signal", "{:.2f}"),
    ("P.808", "mos_p808", "{:.2f}"),
)
_TITLES = {"mean": "mean", "deviation": "dev.", "skewness": "skew.", "kurtosis": "kurt."}
_PROSODY = tuple(
    (f"{'pitch' if name == 'pitch' else 'duration'} {_TITLES[moment]}", f"{name}_{moment}_to_")
    for name in ("pitch", "durations")
    for moment in MOMENTS
)


def tables(found: dict[str, Any]) -> list[Table]:
    """The tables of what `write` finds: the judges' figures, and those of prosody.

    Args:
        found: the content of zero-shot.json.
    """
    versions = found["versions"]
    made = [_table("speech in voices that the run never heard", versions, _MAIN)]
    for to in ("prompt", "recording"):
        columns = tuple((title, f"{name}{to}", "{:.2f}") for title, name in _PROSODY)
        title = f"distance of prosody to the {to}: pitch in Hz, durations in ms"
        made.append(_table(title, versions, columns))
    return [table for table in made if table.rows]


def _table(title: str, versions: dict[str, Any], columns: Sequence[tuple[str, str, str]]) -> Table:
    """A table of some figures; columns and rows without any are left out."""
    there = [c for c in columns if any(c[1] in one["figures"] for one in versions.values())]
    rows = []
    for one in versions.values():
        cells = [_cell(one["figures"].get(name), form) for _, name, form in there]
        if any(cell != _EMPTY for cell in cells):
            rows.append((one["title"], *cells))
    return Table(title, ("", *(c[0] for c in there)), tuple(rows))


def _cell(figure: dict[str, Any] | None, form: str) -> str:
    """A figure with its interval, where that says something."""
    if figure is None:
        return _EMPTY
    text = form.format(figure["value"])
    if figure["interval"] is None:
        return text
    low, high = (form.format(value).rstrip("%") for value in figure["interval"])
    return f"{text} ({low} to {high})"


def markdown(made: Sequence[Table], notes: Sequence[str]) -> str:
    """The tables in Markdown, with the notes below."""
    return "\n".join(_markdown(made, notes)) + "\n"


def _markdown(made: Sequence[Table], notes: Sequence[str]) -> Iterator[str]:
    for table in made:
        yield f"{table.title[0].upper()}{table.title[1:]} (95 % intervals by resampling speakers):"
        yield ""
        cells = [table.columns, *table.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
        for number, row in enumerate(cells):
            yield _row([cell.ljust(width) for cell, width in zip(row, widths, strict=True)])
            if not number:
                yield _row(["-" * width for width in widths])
        yield ""
    for note in notes:
        yield f"Note: {note}."


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_LATEX = {"\\": r"\textbackslash{}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$"}


def latex(made: Sequence[Table]) -> str:
    """The tables in LaTeX, each a `table` with a caption; no package is needed."""
    return "\n".join(line for table in made for line in _latex(table)) + "\n"


def _latex(table: Table) -> Iterator[str]:
    yield r"\begin{table}"
    yield rf"\caption{{{_escaped(table.title[0].upper() + table.title[1:])}.}}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}"
    yield r"\hline"
    for number, row in enumerate((table.columns, *table.rows)):
        yield " & ".join(_escaped(cell).replace(" to ", "--") for cell in row) + r" \\"
        if not number:
            yield r"\hline"
    yield r"\hline"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
