"""Differences between the cards of two datasets, and between their aligners' training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ns2.pipeline.tools.diff.side import Side

_PLACEMENT = ("tars", "bytes")
"""Fields of a column in the card that depend on the size of shards, not on what they hold."""
_LONG_LIST = 8
"""Longer lists of numbers are shown by their length and their largest difference."""


def compare_cards(a: Side, b: Side) -> dict[str, list[dict[str, Any]]]:
    """The sections `configuration`, `counts` and `statistics` of `diff`."""
    sections: dict[str, list[dict[str, Any]]] = {
        "configuration": [], "counts": [], "statistics": [],
    }  # fmt: skip
    for difference in _differences(_content(a), _content(b)):
        section = difference["path"].partition(".")[0]
        is_number = section in ("counts", "statistics")
        if is_number and _nearly_equal(difference.get("a"), difference.get("b")):
            continue  # sums that are added in another order are rounded differently
        sections[section if is_number else "configuration"].append(difference)
    fingerprints = a.assets().get("aligner"), b.assets().get("aligner")
    if None not in fingerprints and fingerprints[0] != fingerprints[1]:
        sections["configuration"] += _compare_aligners(a.aligner(), b.aligner())
    return sections


def _content(side: Side) -> dict[str, Any]:
    """The values of a card that concern content and configuration, not where the bytes lie."""
    card = {k: v for k, v in side.card.items() if k not in ("digest", "sha256sums")}
    columns = {
        name: {k: v for k, v in column.items() if k not in _PLACEMENT}
        for name, column in card["columns"].items()
    }
    return {**card, "columns": columns, "assets": side.assets()}


def _compare_aligners(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in ("config", "inputs"):
        for difference in _differences(a[part], b[part]):
            yield {**difference, "path": f"aligner.{part}.{difference['path']}"}
    samples = [{tuple(pair) for pair in side["sample"]} for side in (a, b)]
    if samples[0] != samples[1]:
        common = len(samples[0] & samples[1])
        words = [f"{len(s)} utterances, {len(s) - common} of its own" for s in samples]
        yield {"path": "aligner.sample", "a": words[0], "b": words[1]}


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Leaves of two trees of JSON values that are not the same, sorted by path."""
    leaves = dict(_leaves(a)), dict(_leaves(b))
    found = []
    for path in sorted(leaves[0].keys() | leaves[1].keys()):
        values = {side: leaf[path] for side, leaf in zip("ab", leaves, strict=True) if path in leaf}
        if len(values) == 1 or values["a"] != values["b"]:
            found.append({"path": path, **_shortened(values)})
    return found


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all values of a tree that are not trees themselves."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _shortened(values: dict[str, Any]) -> dict[str, Any]:
    """Values of both sides; long lists of numbers become their length and largest difference."""
    if not any(isinstance(v, list) and len(v) > _LONG_LIST for v in values.values()):
        return values
    short: dict[str, Any] = {
        side: f"{len(v)} values" if isinstance(v, list) else v for side, v in values.items()
    }
    if short.get("a") == short.get("b"):
        short["largest"] = float(np.abs(np.subtract(values["a"], values["b"])).max())
    return short


def _nearly_equal(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9)
