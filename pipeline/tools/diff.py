"""`ns2 diff`: what differs between two datasets.

Cards, indexes and ledgers are read, and no tar: an array is the same if the size, shape and CRC-32
in the indexes are. So they are taken at their word; `ns2 verify` tells whether they keep it.
Utterances are matched by key. Where they lie (shard, tar, offset) is no difference.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.card import open_card, sealed
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.layout import ASSETS, CARD, INDEX, REJECTED

MOST_KEYS = 1000
"""Keys that are told of a difference; their count is always exact."""
EXAMPLES = 3
"""Values, or rows of the ledger, that are told of a difference."""

FIELDS = tuple(n for n in index_schema([]).names if n not in ("key", "shard", "row_crc"))
"""Fields of the index that tell something of an utterance."""

_NOT_FOUND = "not found"
_PLACEMENT = ("tars", "bytes")  # of a column in the card: these depend on the shards' size
_LONG_LIST = 8
_CUT = 60  # characters of a value that are shown


def diff(a: Path, b: Path) -> dict[str, Any]:
    """What differs between two datasets, as JSON values.

    Returns:
        `equal`, and what is not equal:
        `a`, `b`: path, digest, utterances and hours of each;
        `configuration`, `counts`, `statistics`: differences of the cards, each with its `path`
        and the values `a` and `b` (left out where there is none; long lists of numbers tell their
        length and the `largest` difference instead);
        `utterances`: how many are in `both`, `only_a` and `only_b` (count, keys, and why the
        other one has them not: a reason of its ledger, or "not found"), `changed` (count, keys),
        and how many have `moved` to another shard, which is no difference;
        `columns`: names `only_a` and `only_b` have, and `changed` by name: count, keys, and how
        many of them have another shape (`reshaped`);
        `fields`: the index's fields by name: count, keys, and some values;
        `rejected`: rows that are `only_a`'s and `only_b`'s: count, reasons, some rows.
        Lists of keys end after `MOST_KEYS`.

    Raises:
        UserError: one of them is no complete dataset, or its card or index is damaged.
    """
    first, second = _Side(a), _Side(b)
    told: dict[str, Any] = {"equal": False, "a": first.about(), "b": second.about()}
    told |= _cards(first, second)
    told |= _Rows(first, second).compare()
    told["rejected"] = _ledgers(first, second)
    told["equal"] = not (
        any(told[section] for section in ("configuration", "counts", "statistics", "fields"))
        or any(told["utterances"][part]["count"] for part in ("only_a", "only_b", "changed"))
        or any(told["columns"].values())
        or any(part["count"] for part in told["rejected"].values())
    )
    return told


class _Side:
    """One of the two datasets."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.card = open_card(self.root)
        if sealed(self.card)["digest"] != self.card.digest:
            raise UserError(f"{self.root / CARD} is damaged; `ns2 verify` tells more")

    def about(self) -> dict[str, Any]:
        """What identifies it."""
        return {
            "path": str(self.root),
            "digest": self.card.digest,
            "utterances": self.card.counts.written,
            "hours": self.card.counts.hours,
        }

    def column(self, name: str) -> pa.ChunkedArray:
        """One field of the index."""
        return self._table(INDEX, [name])[name]

    @cached_property
    def ledger(self) -> pa.Table:
        """All of `rejected.parquet`."""
        return self._table(REJECTED, None)

    def _table(self, name: str, columns: list[str] | None) -> pa.Table:
        try:
            return pq.read_table(self.root / name, columns=columns, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{self.root / name} can't be read: {error}; `ns2 verify` tells more"
            ) from error

    def assets(self) -> dict[str, str]:
        """Fingerprint of each asset."""
        stems = [Path(name).stem for name in self.card.assets]
        return dict(stem.rsplit("-", 1) for stem in stems)

    def aligner(self) -> dict[str, Any]:
        """What the aligner was trained on."""
        path = self.root / ASSETS / f"aligner-{self.assets()['aligner']}.json"
        try:
            return dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} can't be read: {error}; `ns2 verify` tells more") from error


def _cards(a: _Side, b: _Side) -> dict[str, list[dict[str, Any]]]:
    """Differences of the cards, and of what the aligners were trained on, by section."""
    sections: dict[str, list[dict[str, Any]]] = {
        "configuration": [], "counts": [], "statistics": [],
    }  # fmt: skip
    for one in _differences(_told(a), _told(b)):
        section = one["path"].partition(".")[0]
        counted = section in ("counts", "statistics")
        if counted and _nearly(one.get("a"), one.get("b")):
            continue  # sums in another order round otherwise
        sections[section if counted else "configuration"].append(one)
    fingerprints = a.assets().get("aligner"), b.assets().get("aligner")
    if None not in fingerprints and fingerprints[0] != fingerprints[1]:
        sections["configuration"] += _aligners(a.aligner(), b.aligner())
    return sections


def _told(side: _Side) -> dict[str, Any]:
    """What a card tells of content and configuration, without where the bytes lie."""
    card = {k: v for k, v in side.card.items() if k not in ("digest", "sha256sums")}
    columns = {
        name: {k: v for k, v in told.items() if k not in _PLACEMENT}
        for name, told in card["columns"].items()
    }
    return {**card, "columns": columns, "assets": side.assets()}


def _aligners(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in ("config", "inputs"):
        for one in _differences(a[part], b[part]):
            yield {**one, "path": f"aligner.{part}.{one['path']}"}
    samples = [{tuple(one) for one in side["sample"]} for side in (a, b)]
    if samples[0] != samples[1]:
        common = len(samples[0] & samples[1])
        words = [f"{len(one)} utterances, {len(one) - common} of its own" for one in samples]
        yield {"path": "aligner.sample", "a": words[0], "b": words[1]}


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Leaves of two trees of JSON values that are not the same, sorted by path."""
    leaves = dict(_leaves(a)), dict(_leaves(b))
    found = []
    for path in sorted(leaves[0].keys() | leaves[1].keys()):
        values = {side: leaf[path] for side, leaf in zip("ab", leaves, strict=True) if path in leaf}
        if len(values) == 1 or values["a"] != values["b"]:
            found.append({"path": path, **_brief(values)})
    return found


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _brief(values: dict[str, Any]) -> dict[str, Any]:
    """Values of both sides, long lists of numbers in one number."""
    if not any(isinstance(v, list) and len(v) > _LONG_LIST for v in values.values()):
        return values
    brief: dict[str, Any] = {
        side: f"{len(v)} values" if isinstance(v, list) else v for side, v in values.items()
    }
    if brief.get("a") == brief.get("b"):
        brief["largest"] = float(np.abs(np.subtract(values["a"], values["b"])).max())
    return brief


def _nearly(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9)


class _Rows:
    """The rows of two indexes, matched by key."""

    def __init__(self, a: _Side, b: _Side) -> None:
        self._a, self._b = a, b
        self._keys = a.column("key"), b.column("key")
        place = pc.index_in(self._keys[0], value_set=self._keys[1])
        self._rows_a = pa.array(np.flatnonzero(place.is_valid()))  # of those in both
        self._rows_b = place.drop_null()
        self._common = self._keys[0].take(self._rows_a)

    def compare(self) -> dict[str, Any]:
        """The sections `utterances`, `columns` and `fields` of `diff`."""
        changed = np.zeros(len(self._common), bool)
        there = list(self._a.card.columns), list(self._b.card.columns)
        columns: dict[str, Any] = {}
        for name in [n for n in there[0] if n in there[1]]:
            reshaped = self._reshaped(name)
            other = reshaped | self._unequal(f"{name}_crc32") | self._unequal(f"{name}_size")
            if other.any():
                columns[name] = {**self._those(other), "reshaped": int(reshaped.sum())}
                changed |= other
        fields: dict[str, Any] = {}
        for name in FIELDS:
            other = self._unequal(name)
            if other.any():
                fields[name] = {**self._those(other), "examples": self._examples(name, other)}
                changed |= other
        return {
            "utterances": {
                "both": len(self._common),
                "only_a": self._only(self._keys[0], self._keys[1], self._b),
                "only_b": self._only(self._keys[1], self._keys[0], self._a),
                "changed": self._those(changed),
                "moved": int(self._unequal("shard").sum()),
            },
            "columns": {
                "only_a": [name for name in there[0] if name not in there[1]],
                "only_b": [name for name in there[1] if name not in there[0]],
                "changed": columns,
            },
            "fields": fields,
        }

    def _pair(self, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """One field of the utterances in both, in the order of A's."""
        return (
            self._a.column(name).take(self._rows_a),
            self._b.column(name).take(self._rows_b),
        )

    def _unequal(self, name: str) -> np.ndarray:
        """Which of the utterances in both differ in a field; nothing equals nothing only."""
        a, b = self._pair(name)
        unequal = pc.fill_null(pc.not_equal(a, b), False)
        return np.asarray(pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b))), bool)

    def _reshaped(self, column: str) -> np.ndarray:
        """Which of the utterances in both have another shape in a column."""
        a, b = self._pair(f"{column}_shape")
        lengths = pc.list_value_length(a), pc.list_value_length(b)
        other = np.asarray(pc.not_equal(*lengths), bool)
        # Axes are compared one by one, since lists can't be.
        for axis in range(max((pc.min(length).as_py() or 0) for length in lengths)):
            deep = pc.and_(*(pc.greater(length, axis) for length in lengths))
            rows = np.flatnonzero(deep)
            sizes = [pc.list_element(shape.take(pa.array(rows)), axis) for shape in (a, b)]
            other[rows] |= np.asarray(pc.not_equal(*sizes), bool)
        return other

    def _those(self, which: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(which)
        keys = self._common.take(pa.array(rows[:MOST_KEYS])).to_pylist()
        return {"count": len(rows), "keys": keys}

    def _examples(self, name: str, which: np.ndarray) -> list[dict[str, Any]]:
        rows = pa.array(np.flatnonzero(which)[:EXAMPLES])
        a, b = (values.take(rows).to_pylist() for values in self._pair(name))
        keys = self._common.take(rows).to_pylist()
        return [{"key": k, "a": x, "b": y} for k, x, y in zip(keys, a, b, strict=True)]

    def _only(self, keys: pa.ChunkedArray, others: pa.ChunkedArray, other: _Side) -> dict[str, Any]:
        """The utterances of one side alone, and why the other has them not."""
        only = keys.filter(pc.invert(pc.is_in(keys, value_set=others)))
        ledger = other.ledger
        place = pc.index_in(only, value_set=ledger["key"])
        reasons = Counter(ledger["reason"].take(place.drop_null()).to_pylist())
        reasons[_NOT_FOUND] = place.null_count
        return {
            "count": len(only),
            "keys": only.slice(0, MOST_KEYS).to_pylist(),
            "why": _counted(reasons),
        }


def _ledgers(a: _Side, b: _Side) -> dict[str, Any]:
    """Rows of `rejected.parquet` that one side has and the other has not."""
    names = a.ledger.schema.names
    rows = [
        Counter(zip(*(side.ledger[name].to_pylist() for name in names), strict=True))
        for side in (a, b)
    ]
    found = {}
    for part, only in (("only_a", rows[0] - rows[1]), ("only_b", rows[1] - rows[0])):
        reasons: Counter[str] = Counter()
        for row, count in only.items():
            reasons[row[names.index("reason")]] += count
        examples = [dict(zip(names, row, strict=True)) for row in sorted(only)[:EXAMPLES]]
        found[part] = {"count": only.total(), "reasons": _counted(reasons), "examples": examples}
    return found


def _counted(counter: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counter.items()) if count}


def render(told: Mapping[str, Any]) -> str:
    """What `diff` found, for people."""
    lines = [
        f"{side.upper()}  {told[side]['path']}: {told[side]['utterances']} utterances, "
        f"{told[side]['hours']:.2f} h"
        for side in "ab"
    ]
    utterances, columns = told["utterances"], told["columns"]
    if told["equal"]:
        lines.append("They hold the same: utterances, arrays, configuration and ledger.")
    for section in ("configuration", "counts", "statistics"):
        lines += _section(section, [_change(one) for one in told[section]])
    rows = [f"{utterances['both']} in both, {utterances['changed']['count']} of them changed"]
    for side in "ab":
        only = utterances[f"only_{side}"]
        if only["count"]:
            why = ", ".join(f"{n} {reason}" for reason, n in only["why"].items())
            other = "B" if side == "a" else "A"
            rows.append(
                f"{only['count']} only in {side.upper()} (in {other}: {why}): {_some(only)}"
            )
    if not told["equal"]:
        lines += _section("utterances", rows)
    if utterances["moved"]:
        lines += ["", f"{utterances['moved']} utterances lie in another shard."]
    rows = [f"{name:<10} only in {s.upper()}" for s in "ab" for name in columns[f"only_{s}"]]
    rows += [
        f"{name:<10} {one['count']} changed, {one['reshaped']} of them in shape: {_some(one)}"
        for name, one in columns["changed"].items()
    ]
    lines += _section("columns", rows)
    rows = [
        f"{name:<12} {one['count']} changed: {first['key']}: {_arrow(first['a'], first['b'])}"
        f"{', ...' if one['count'] > 1 else ''}"
        for name, one in told["fields"].items()
        for first in one["examples"][:1]
    ]
    lines += _section("index", rows)
    rows = []
    for side in "ab":
        part = told["rejected"][f"only_{side}"]
        if part["count"]:
            why = ", ".join(f"{n} {reason}" for reason, n in part["reasons"].items())
            ids = ", ".join(_value(row["id"]) for row in part["examples"])
            more = ", ..." if part["count"] > len(part["examples"]) else ""
            rows.append(f"{part['count']} rows only in {side.upper()} ({why}): {ids}{more}")
    lines += _section("rejected", rows)
    return "\n".join(lines)


def _section(title: str, rows: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {row}" for row in rows)] if rows else []


def _change(one: Mapping[str, Any]) -> str:
    if "largest" in one:
        return f"{one['path']}: {one['a']}, the largest difference is {one['largest']:.3g}"
    if len(one.keys() & {"a", "b"}) == 1:
        a, b = (_value(one[side]) if side in one else "(none)" for side in "ab")
        return f"{one['path']}: {a} -> {b}"
    return f"{one['path']}: {_arrow(one['a'], one['b'])}"


def _arrow(a: Any, b: Any) -> str:
    """Two values; long texts from a little before they part."""
    if isinstance(a, str) and isinstance(b, str):
        shared = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
        begin = shared - _CUT // 3
        if begin > 0 and max(len(a), len(b)) > _CUT:
            a, b = f"...{a[begin:]}", f"...{b[begin:]}"
    return f"{_value(a)} -> {_value(b)}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _CUT else text[: _CUT - 3] + "..."


def _some(those: Mapping[str, Any], most: int = 5) -> str:
    """The first keys."""
    more = ", ..." if those["count"] > most else ""
    return ", ".join(those["keys"][:most]) + more
