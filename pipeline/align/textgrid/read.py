"""Reads the TextGrids of Praat: the long and the short text form, in UTF-8 or UTF-16.

Intervals are those of the file, in its order. Praat itself would sort them and drop one of two that
begin at the same time, so that an overlap could not be seen, and ignore what is not declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.align.textgrid.praat_text import PraatText
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of a tier: its times in seconds, and its label without blanks around it."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of a TextGrid.

    Attributes:
        name: its name, without blanks around it.
        intervals: in the order of the file, or None for a tier of points.
    """

    name: str
    intervals: tuple[Interval, ...] | None


@dataclass(frozen=True, slots=True)
class TextGrid:
    """A TextGrid as its file has it.

    Its times are finite and not negative; gaps, overlaps and reversed intervals are not checked.

    Attributes:
        start, end: of its time domain, in seconds.
        tiers: in the order of the file, at least one.
    """

    start: float
    end: float
    tiers: tuple[Tier, ...]


def read_textgrid(path: Path) -> TextGrid:
    """Read the TextGrid in a file.

    Raises:
        UtteranceError: TEXTGRID_UNREADABLE if the file is not a TextGrid in a text form,
            TEXTGRID_DAMAGED if it has fewer or more values than it declares, TEXTGRID_BAD_TIMES
            for a time that is negative or not a number, TEXTGRID_NO_TIER if it has no tiers.
        OSError: the file cannot be read.
    """
    return parse_textgrid(path.read_bytes(), path.name)


def parse_textgrid(data: bytes, name: str) -> TextGrid:
    """Parse the content of a TextGrid file.

    Args:
        data: the content of the file.
        name: the name of the file, for error messages.

    Raises:
        UtteranceError: for the same reasons as `read_textgrid`.
    """
    text = PraatText(data, name)
    if text.object_class != "TextGrid":
        message = f"{name} holds a Praat object of class {text.object_class!r}, not a TextGrid"
        raise UtteranceError(Reason.TEXTGRID_UNREADABLE, message)
    start, end = text.time("the TextGrid"), text.time("the TextGrid")
    count = text.count("the TextGrid") if text.exists("the tiers") else 0
    if count == 0:
        raise UtteranceError(Reason.TEXTGRID_NO_TIER, f"{name} has no tiers")
    tiers = tuple(_read_tier(text, f"tier {i} of {count}") for i in range(1, count + 1))
    text.check_end(f"tier {count} of {count}")
    return TextGrid(start=start, end=end, tiers=tiers)


def _read_tier(text: PraatText, where: str) -> Tier:
    tier_class, name = text.string(where), text.string(where).strip()
    where = f"{where}, {name!r}"
    text.time(where)  # the time domain of a tier is the TextGrid's
    text.time(where)
    count = text.count(where)
    intervals: list[Interval] = []
    for i in range(1, count + 1):
        entry = f"{where}, entry {i} of {count}"
        if tier_class == "TextTier":
            text.time(entry)
            text.string(entry)
        else:
            start, end, label = text.time(entry), text.time(entry), text.string(entry)
            intervals.append(Interval(start, end, label.strip()))
    if tier_class not in ("IntervalTier", "TextTier"):
        raise text.damaged(f"{where}: its class {tier_class!r} is unknown")
    return Tier(name, tuple(intervals) if tier_class == "IntervalTier" else None)
