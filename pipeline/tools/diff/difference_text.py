"""What `ns2 diff` found, as text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_MOST_LETTERS = 60
"""Letters of a value that are shown."""
_FIRST_KEYS = 5
"""Keys that are shown of an utterance list."""


def render(found: Mapping[str, Any]) -> str:
    """What `diff` found, for people: a section for each kind of difference."""
    lines = [
        f"{side.upper()}  {found[side]['path']}: {found[side]['utterances']} utterances, "
        f"{found[side]['hours']:.2f} h"
        for side in "ab"
    ]
    if found["equal"]:
        lines.append("They hold the same: utterances, arrays, configuration and ledger.")
    for section in ("configuration", "counts", "statistics"):
        lines += _section(section, [_change(difference) for difference in found[section]])
    utterances = found["utterances"]
    if not found["equal"]:
        lines += _section("utterances", _utterance_rows(utterances))
    if utterances["moved"]:
        lines += ["", f"{utterances['moved']} utterances lie in another shard."]
    lines += _section("columns", _column_rows(found["columns"]))
    lines += _section("index", _field_rows(found["fields"]))
    lines += _section("rejected", _rejected_rows(found["rejected"]))
    return "\n".join(lines)


def _section(title: str, rows: Sequence[str]) -> list[str]:
    """A title and its rows; nothing where there are no rows."""
    return ["", title, *(f"  {row}" for row in rows)] if rows else []


def _utterance_rows(utterances: Mapping[str, Any]) -> list[str]:
    rows = [f"{utterances['both']} in both, {utterances['changed']['count']} of them changed"]
    for side, other in ("ab", "ba"):
        only = utterances[f"only_{side}"]
        if only["count"]:
            rows.append(
                f"{only['count']} only in {side.upper()} (in {other.upper()}: "
                f"{_numbers(only['why'])}): {_first_keys(only)}"
            )
    return rows


def _column_rows(columns: Mapping[str, Any]) -> list[str]:
    rows = [f"{name:<10} only in {s.upper()}" for s in "ab" for name in columns[f"only_{s}"]]
    for name, changed in columns["changed"].items():
        rows.append(
            f"{name:<10} {changed['count']} changed, {changed['reshaped']} of them in shape: "
            f"{_first_keys(changed)}"
        )
    return rows


def _field_rows(fields: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, changed in fields.items():
        example = changed["examples"][0]
        more = ", ..." if changed["count"] > 1 else ""
        rows.append(
            f"{name:<12} {changed['count']} changed: {example['key']}: "
            f"{_arrow(example['a'], example['b'])}{more}"
        )
    return rows


def _rejected_rows(rejected: Mapping[str, Any]) -> list[str]:
    rows = []
    for side in "ab":
        only = rejected[f"only_{side}"]
        if only["count"]:
            ids = ", ".join(_value(row["id"]) for row in only["examples"])
            more = ", ..." if only["count"] > len(only["examples"]) else ""
            rows.append(
                f"{only['count']} rows only in {side.upper()} ({_numbers(only['reasons'])}): "
                f"{ids}{more}"
            )
    return rows


def _numbers(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _first_keys(changed: Mapping[str, Any]) -> str:
    more = ", ..." if changed["count"] > _FIRST_KEYS else ""
    return ", ".join(changed["keys"][:_FIRST_KEYS]) + more


def _change(difference: Mapping[str, Any]) -> str:
    """A difference of the cards in one line."""
    path = difference["path"]
    if "largest" in difference:
        return f"{path}: {difference['a']}, the largest difference is {difference['largest']:.3g}"
    if len(difference.keys() & {"a", "b"}) == 1:
        a, b = (_value(difference[side]) if side in difference else "(none)" for side in "ab")
        return f"{path}: {a} -> {b}"
    return f"{path}: {_arrow(difference['a'], difference['b'])}"


def _arrow(a: Any, b: Any) -> str:
    """Two values; long texts from a little before the first letter that differs."""
    if isinstance(a, str) and isinstance(b, str):
        shared = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
        begin = shared - _MOST_LETTERS // 3
        if begin > 0 and max(len(a), len(b)) > _MOST_LETTERS:
            a, b = f"...{a[begin:]}", f"...{b[begin:]}"
    return f"{_value(a)} -> {_value(b)}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 3] + "..."
