"""Known truth about where phones begin: one JSON object a line.

    {"key": "u1", "voice": "anna", "sample_rate": 22050, "samples": 60000,
     "phones": [[0, "<word>"], [0, "h"], [1700, "ə"], [3100, ""], ...]}

`phones` lists starts in samples and IPA, in order: an empty IPA is a pause, "<word>" marks where
a word begins. `voice` and `samples` may be missing. Marks such as "(en)", with which espeak-ng
announces a change of language, are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import parse_json

PAUSE, WORD = "", "<word>"
_LANGUAGE = re.compile(r"\([a-z-]+\)")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known about one utterance.

    Attributes:
        key: the utterance's key or id.
        voice: "" where it is unknown.
        seconds: length of the recording, None where it is unknown.
        phones: P IPA strings, no pauses and no words.
        starts: (P,) ms at which they begin.
        pauses: (K, 2) ms at which each pause between two phones begins and ends.
    """

    key: str
    voice: str
    seconds: float | None
    phones: tuple[str, ...]
    starts: np.ndarray
    pauses: np.ndarray

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Truth:
        """Check the JSON object of a line, and make a truth of it.

        Raises:
            ValueError: naming the field that is missing or wrong, and what was expected.
        """
        for name in ("key", "sample_rate", "phones"):
            if name not in row:
                raise ValueError(f"has no field {name!r}")
        if not isinstance(row["key"], str) or not row["key"]:
            raise ValueError(f"key: expected a name, got {row['key']!r}")
        rate = _number(row["sample_rate"], "sample_rate")
        if rate <= 0:
            raise ValueError(f"sample_rate: expected more than 0 Hz, got {rate:g}")
        samples = None if row.get("samples") is None else _number(row["samples"], "samples")
        voice = row.get("voice")
        starts, names = _phones(row["phones"])
        milliseconds = 1000.0 / rate * starts
        return cls(
            key=row["key"],
            voice=voice if isinstance(voice, str) else "",
            seconds=None if samples is None else samples / rate,
            phones=tuple(name for name in names if name not in (PAUSE, WORD)),
            starts=milliseconds[[name not in (PAUSE, WORD) for name in names]],
            pauses=_pauses(milliseconds.tolist(), names),
        )


def read_truth(path: Path) -> list[Truth]:
    """All rows of a truth file.

    Raises:
        UserError: it is not JSON lines, or a row is malformed; the message names line and field.
    """
    rows: list[Truth] = []
    lines: dict[str, int] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: one JSON object a line is expected") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            value = parse_json(line)
        except ValueError as error:
            raise UserError(f"{place} is not JSON: one object a line is expected") from error
        if not isinstance(value, dict):
            raise UserError(f"{place} is not a JSON object with key, sample_rate and phones")
        try:
            row = Truth.of(value)
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error
        if row.key in lines:
            raise UserError(f"{place}: key {row.key!r} is already in line {lines[row.key]}")
        lines[row.key] = number
        rows.append(row)
    return rows


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return float(value)


def _phones(value: Any) -> tuple[np.ndarray, list[str]]:
    """Starts in samples and IPA of all entries, without marks of a language."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"phones: expected a list of [start sample, IPA], got {value!r:.60}")
    starts, names, last = [], [], 0.0
    for place, entry in enumerate(value):
        what = f"entry {place} of phones"
        if not (isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[1], str)):
            raise ValueError(f"{what}: expected [start sample, IPA], got {entry!r:.60}")
        start = _number(entry[0], what)
        if start < last:
            raise ValueError(f"{what}: starts must not decrease, got {start:g} after {last:g}")
        last = start
        if not _LANGUAGE.fullmatch(entry[1]):
            starts.append(start)
            names.append(entry[1])
    return np.array(starts, np.float64), names


def _pauses(starts: list[float], names: list[str]) -> np.ndarray:
    """(K, 2) begin and end of each pause that has a phone on both sides."""
    found: list[tuple[float, float]] = []
    heard, begin = False, None
    for start, name in zip(starts, names, strict=True):
        if name == WORD:
            continue
        if name == PAUSE:
            begin = start if begin is None else begin
            continue
        if heard and begin is not None:
            found.append((begin, start))
        heard, begin = True, None
    return np.array(found, np.float64).reshape(-1, 2)
