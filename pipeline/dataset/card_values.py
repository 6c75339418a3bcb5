"""What the JSON values of a card may be: a card from anywhere is checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ns2.pipeline.core.names import COLUMN_NAME, SCALAR_NAME, shown
from ns2.pipeline.core.schema import COLUMNS

PLAIN_DTYPES = frozenset(
    (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
)  # fmt: skip
"""The dtypes of arrays, beside "json" for objects."""

_HIGHEST_RATE = 1_000_000
_MOST_AXES = 4
_LARGEST_AXIS = 1 << 20
_LARGEST = 1 << 62
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[a-z][a-z0-9]*-[0-9a-f]{4,64}")
_SCREEN = re.compile(r"(screen-[0-9a-f]{4,64})?")
_ASSET = re.compile(r"assets/[a-z][a-z0-9]*-[0-9a-f]{4,64}\.(json|safetensors)")
_CODEC = re.compile(r"[a-z0-9_-]{1,40}")

Rule = Callable[[Any], bool]


def card_problems(card: Mapping[str, Any]) -> list[str]:
    """What is wrong with the types and names in a card; a field that is not there is not wrong.

    Args:
        card: the JSON values of `dataset.json`.
    """
    found = [*_fields("", card, _CARD)]
    for name in ("grid", "counts"):
        found += _fields(f"{name}.", _object(card, name), _GRID if name == "grid" else _COUNTS)
    for part, rules in (("columns", {**_STAGE, **_COLUMN}), ("stages", _STAGE)):
        for name, entry in _object(card, part).items():
            place = f"{part}.{shown(name)}"
            if not COLUMN_NAME.fullmatch(name):
                found.append(f"{place} is no name of a column: expected lower-case letters")
            elif not isinstance(entry, Mapping):
                found.append(f"{place} is {_what(entry)}, expected an object")
            else:
                found += _fields(f"{place}.", entry, rules)
                found += _column_problems(place, name, entry) if part == "columns" else []
    found += _statistics_problems(_object(card, "statistics"))
    return found


def _fields(place: str, values: Mapping[str, Any], rules: Mapping[str, tuple[Rule, str]]) -> Any:
    for name, (rule, expected) in rules.items():
        if name in values and not rule(values[name]):
            yield f"{place}{name} is {_what(values[name])}, expected {expected}"


def _column_problems(place: str, name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a column's folder, dtype and axes, which must be those of its name."""
    folder, dtype, dims = entry.get("folder"), entry.get("dtype"), entry.get("dims")
    if isinstance(folder, str) and folder.rpartition("-")[0] != name:
        yield f"{place}.folder is {shown(folder)}, expected {name}- and a fingerprint"
    if not isinstance(dtype, str) or not isinstance(dims, list):
        yield f"{place} has no dtype or no dims"
    elif name in COLUMNS and (dtype, len(dims)) != (COLUMNS[name][0], len(COLUMNS[name][1])):
        expected, axes = COLUMNS[name]
        yield f"{place} is {dtype} of {len(dims)} axes, expected {expected} of {len(axes)}"
    config = entry.get("config")
    if name == "codes" and isinstance(config, Mapping):
        yield from _fields(f"{place}.config.", config, _CODES)


def _statistics_problems(statistics: Mapping[str, Any]) -> Iterator[str]:
    for part in ("latents", "f0"):
        if part in statistics and not isinstance(statistics[part], Mapping | None):
            yield f"statistics.{part} is {_what(statistics[part])}, expected an object"
            continue
        for name, value in (statistics.get(part) or {}).items():
            values = value if isinstance(value, list) else [value]
            if not all(one is None or _is_number(one) for one in values):
                yield f"statistics.{part}.{shown(name)} holds what is no number"


def _what(value: Any) -> str:
    return shown(value) if isinstance(value, str | int | float) else type(value).__name__


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = values.get(name)
    return part if isinstance(part, Mapping) else {}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1000


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _whole(low: int = 0, high: int = _LARGEST) -> Rule:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def _named(pattern: re.Pattern[str]) -> Rule:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _each(rule: Rule) -> Rule:
    return lambda values: isinstance(values, list) and all(map(rule, values))


def _counted(values: Any) -> bool:
    return isinstance(values, Mapping) and all(map(_whole(), values.values()))


def _is_axes(dims: Any) -> bool:
    axis, letter = _whole(1, _LARGEST_AXIS), _named(re.compile("[A-Z]"))
    return _each(lambda one: axis(one) or letter(one))(dims) and len(dims) <= _MOST_AXES


_NUMBER = (_whole(), "a whole number of 0 or more")
_TEXT = (_is_text, "a short text")
_OBJECT = (_is_object, "an object")
_CARD: dict[str, tuple[Rule, str]] = {
    "format": _TEXT,
    "format_version": _NUMBER,
    "ns2": _TEXT,
    **dict.fromkeys(
        ("grid", "corpus", "options", "counts", "columns", "stages", "statistics"), _OBJECT
    ),
    "screen": (_named(_SCREEN), "screen- and a fingerprint"),
    "assets": (_each(_named(_ASSET)), "names of files in assets/"),
    "sha256sums": (_named(_SHA256), "64 hex digits"),
    "digest": (_named(_SHA256), "64 hex digits"),
}
_RATE = (_whole(1, _HIGHEST_RATE), f"a whole number of 1 to {_HIGHEST_RATE}")
_GRID = {"sample_rate": _RATE, "hop_length": _RATE}
_COUNTS: dict[str, tuple[Rule, str]] = {
    **dict.fromkeys(("found", "written", "rejected", "filtered"), _NUMBER),
    **dict.fromkeys(("frames", "phones", "speakers"), _NUMBER),
    **dict.fromkeys(("reasons", "splits", "languages"), (_counted, "numbers by name")),
    "hours": (lambda value: _is_number(value) and value >= 0, "a number of 0 or more"),
}
_STAGE: dict[str, tuple[Rule, str]] = {
    "version": _NUMBER,
    "config": _OBJECT,
    "libraries": (_is_object, "versions by name"),
    "requires": (_each(_is_text), "a list of names"),
}
_COLUMN: dict[str, tuple[Rule, str]] = {
    "folder": (_named(_FOLDER), "a column and a fingerprint"),
    "dtype": (lambda value: value == "json" or value in PLAIN_DTYPES, "a dtype such as float32"),
    "dims": (_is_axes, f"at most {_MOST_AXES} letters and sizes"),
    "tars": _NUMBER,
    "bytes": _NUMBER,
    "scalars": (_each(_named(SCALAR_NAME)), "names of fields of the index"),
}
_CODES: dict[str, tuple[Rule, str]] = {
    "codec": (_named(_CODEC), "the name of a codec"),
    "quantizers": (_whole(1, 1024), "a whole number of 1 to 1024"),
    "weights": (_is_text, "a digest"),
}
