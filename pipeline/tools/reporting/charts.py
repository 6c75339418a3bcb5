"""Histograms as numbers for an SVG drawing; all places are in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.tools.reporting.findings.distributions import Distribution, round_step

WIDTH, HEIGHT = 340, 130
"""Of the drawing."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 332, 16, 108
"""Where the bars are."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar: its left edge and width, its upper end, and that of the part which is kept."""

    x: float
    width: float
    y: float
    kept: float | None
    about: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A histogram: bars on a line at `base`, values below it, and the most utterances in a bar."""

    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]
    base: float
    most: int


def chart(found: Distribution, unit: str) -> Chart:
    """The drawing of a distribution.

    Args:
        unit: of the values; "" for none.
    """
    low, high = found.edges[0], found.edges[-1]
    most = max(max(found.counts), 1)

    def x(value: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (value - low) / (high - low), 1)

    def y(count: int) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * count / most, 1)

    bars = []
    for i, count in enumerate(found.counts):
        if not count:
            continue
        begin, end = found.edges[i], found.edges[i + 1]
        kept = None if found.kept is None else found.kept[i]
        said = f"{number(begin)} to {number(end)} {unit}".strip() + f": {count:,}"
        bars.append(
            Bar(
                x=x(begin),
                width=round(max(x(end) - x(begin) - 0.5, 0.5), 1),
                y=y(count),
                kept=None if kept is None else y(kept),
                about=said if kept is None else f"{said}, {kept:,} kept",
            )
        )
    step = round_step((high - low) / 5)
    marks = step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return Chart(
        bars=bars,
        ticks=[(x(value), number(value)) for value in marks.tolist()],
        base=_BOTTOM,
        most=most,
    )


def number(value: float) -> str:
    """A number with three digits that count, or as many as are whole."""
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{float(text):g}" if "e" not in text else text


def spoken(hours: float) -> str:
    """A length of speech in little room: hours, or minutes below one hour."""
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
