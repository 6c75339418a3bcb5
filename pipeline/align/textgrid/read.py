"""Reads Praat's TextGrids: long and short text forms, UTF-8 or UTF-16, through praatio.

praatio reads leniently: it drops the minus of a time, knows no exponents, and stops without a word
where a file is cut off. So the text is brought into plain form before, and held against the
numbers of tiers and entries that it declares after.
"""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason

_HEADER = re.compile(
    r'\s*File type\s*=\s*"ooTextFile(?: short)?"\s+(?:Object class\s*=\s*)?"([^"]*)"'
)
_CANONICAL = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
_AS_TEXT = "open it in Praat and choose Save > Save as text file"
_TIME_LINE = re.compile(r"(?m)^[ \t]*(xmin|xmax|number|time)[ \t]*=[ \t]*(\S+)[ \t]*$")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_LONG_COUNTS = re.compile(r"(?m)^\s*(?:intervals|points)\s*:\s*size\s*=\s*(\d+)\s*$")
_SHORT_COUNTS = re.compile(
    r'(?m)^\s*"(?:IntervalTier|TextTier)"\s*\n\s*"(?:[^"]|"")*"\s*\n\s*\S+\s*\n\s*\S+\s*\n\s*(\d+)\s*$'
)
_LONG_TIERS = re.compile(r"(?m)^\s*size\s*=\s*(\d+)\s*$")
_SHORT_TIERS = re.compile(r"(?m)^\s*<exists>\s*\n\s*(\d+)\s*$")
_NO_TIERS = re.compile(r"(?m)^\s*(?:tiers\?\s*)?<absent>\s*$")
_UNDEFINED = "--undefined--"  # Praat's NaN


@dataclass(frozen=True, slots=True)
class Interval:
    """What one interval says: times in seconds, and a label without outer blanks."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier: its intervals as they stand in the file, or None where it is one of points."""

    name: str
    intervals: tuple[Interval, ...] | None


@dataclass(frozen=True, slots=True)
class TextGrid:
    """A TextGrid as it stands in its file; times are finite and not negative, no more is checked.

    Attributes:
        start, end: of the whole, in seconds.
    """

    start: float
    end: float
    tiers: tuple[Tier, ...]


def read_textgrid(path: Path) -> TextGrid:
    """Read a file.

    Raises:
        UtteranceError: TEXTGRID_UNREADABLE if it is something else, TEXTGRID_DAMAGED if it is not
            whole, TEXTGRID_BAD_TIMES for negative times and what is no number.
        OSError: it can't be read.
    """
    return parse_textgrid(path.read_bytes(), path.name)


def parse_textgrid(data: bytes, name: str) -> TextGrid:
    """Parse a file's content.

    Args:
        name: of the file, for messages.

    Raises:
        UtteranceError: as `read_textgrid` does.
    """
    from praatio.utilities.errors import PraatioException
    from praatio.utilities.textgrid_io import parseTextgridStr

    body = _body(data, name)
    is_long = re.search(r"(?m)^\s*item ?\[", body) is not None
    try:
        body = _plain_long(body) if is_long else _plain_short(body)
    except ValueError as error:
        raise UtteranceError(Reason.TEXTGRID_BAD_TIMES, f"{name}: {error}") from error
    declared = [int(count) for count in (_LONG_COUNTS if is_long else _SHORT_COUNTS).findall(body)]
    tiers = (_LONG_TIERS if is_long else _SHORT_TIERS).search(body)
    if _NO_TIERS.search(body) or (tiers is not None and int(tiers[1]) == 0):
        raise UtteranceError(Reason.TEXTGRID_NO_TIER, f"{name} has no tiers at all")
    try:
        found = parseTextgridStr(_CANONICAL + body, includeEmptyIntervals=True)
        grid = _as_textgrid(found)
    except (PraatioException, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise UtteranceError(
            Reason.TEXTGRID_DAMAGED, f"{name} is damaged or cut short: it can't be taken apart"
        ) from error
    counts = [len(tier["entries"]) for tier in found["tiers"]]
    if tiers is None or int(tiers[1]) != len(counts) or declared != counts:
        said = _told(tiers and int(tiers[1]), declared)
        raise UtteranceError(
            Reason.TEXTGRID_DAMAGED,
            f"{name} is damaged or cut short: it declares {said} and holds "
            f"{_told(len(counts), counts)}",
        )
    return grid


def _body(data: bytes, name: str) -> str:
    """The text behind the header, without blank lines."""

    def refuse(message: str) -> UtteranceError:
        return UtteranceError(Reason.TEXTGRID_UNREADABLE, f"{name} {message}")

    if not data.strip(b"\0 \t\r\n"):
        raise refuse("is empty")
    if data.startswith(b"ooBinaryFile"):
        raise refuse(f"has Praat's binary form; {_AS_TEXT}")
    utf16 = data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if b"ooTextFile" not in data[:200] and not utf16:
            raise refuse("is no TextGrid: it is not even text") from error
        raise refuse(f"is neither whole UTF-8 nor UTF-16; {_AS_TEXT}") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().startswith('"Praat chronological TextGrid'):
        raise refuse(f"has Praat's chronological form; {_AS_TEXT}")
    header = _HEADER.match(text)
    if header is None:
        raise refuse("is no TextGrid: it does not begin with Praat's header")
    if header[1] != "TextGrid":
        raise refuse(f"holds a Praat object of class {header[1]!r}, not a TextGrid")
    lines = text[header.end() :].split("\n")
    return "\n".join(line for line in lines if line.strip()) + "\n"


def _seconds(text: str) -> float:
    """A time.

    Raises:
        ValueError: it is no number, not finite, or negative.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a time")
    if value < 0:
        raise ValueError(f"{text} s is a negative time")
    return abs(value)  # -0 is met in the wild


def _plain(text: str) -> str:
    """A time in digits alone: praatio knows no exponents."""
    return text if _PLAIN.fullmatch(text) else format(Decimal(repr(_seconds(text))), "f")


def _plain_long(body: str) -> str:
    """The long form with every time plain, and its items spelled as praatio asks for them."""
    return _TIME_LINE.sub(_long_time, re.sub(r"(?m)^(\s*)item\[", r"\1item [", body))


def _long_time(found: re.Match[str]) -> str:
    name = "number" if found[1] == "time" else found[1]  # older Praats call a point's time so
    return f"{name} = {_plain(found[2])}"


def _plain_short(body: str) -> str:
    """The short form with every number plain; all other lines are as they were."""
    lines = body.split("\n")
    for i, line in enumerate(lines):
        text = line.strip()
        if text == _UNDEFINED or _is_number(text):
            lines[i] = _plain(text)
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_textgrid(found: Mapping[str, Any]) -> TextGrid:
    tiers: list[Tier] = []
    for tier in found["tiers"]:
        intervals = None
        if tier["class"] == "IntervalTier":
            intervals = tuple(
                Interval(float(start), float(end), str(label).strip())
                for start, end, label in tier["entries"]
            )
        tiers.append(Tier(str(tier["name"]).strip(), intervals))
    return TextGrid(start=float(found["xmin"]), end=float(found["xmax"]), tiers=tuple(tiers))


def _told(tiers: int | None, counts: Sequence[int]) -> str:
    many = "an unknown number of" if tiers is None else str(tiers)
    return f"{many} tiers with {', '.join(map(str, counts)) or 'no'} entries"
