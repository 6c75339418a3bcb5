"""Compare two datasets.

Cards, indexes and ledgers are read, and no tar: an array is the same if its size, shape and CRC-32
in the indexes are. So the indexes are trusted; `ns2 verify` checks them. Utterances are matched by
key. Where they lie (shard, tar, offset) makes no difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ns2.pipeline.tools.diff.card_differences import compare_cards
from ns2.pipeline.tools.diff.row_differences import IndexRows, compare_ledgers
from ns2.pipeline.tools.diff.side import Side


def diff(a: str | Path, b: str | Path) -> dict[str, Any]:
    """What differs between two datasets, as JSON values.

    Returns:
        `equal`, and what is not equal:
        `a`, `b`: path, digest, utterances and hours of each;
        `configuration`, `counts`, `statistics`: differences of the cards, each with its `path`
        and the values `a` and `b` (left out where there is none; long lists of numbers tell their
        length and the `largest` difference instead);
        `utterances`: how many are in `both`, `only_a` and `only_b` (count, keys, and why the
        other one lacks them: a reason of its ledger, or "not found"), `changed` (count, keys),
        and how many have `moved` to another shard, which is no difference;
        `columns`: names `only_a` and `only_b` have, and `changed` by name: count, keys, and how
        many of them have another shape (`reshaped`);
        `fields`: the index's fields by name: count, keys, and some values;
        `rejected`: rows that are `only_a`'s and `only_b`'s: count, reasons, some rows.
        Lists of keys are cut off after `MOST_KEYS`.

    Raises:
        UserError: one of them is no complete dataset, or its card or index is damaged.
    """
    first, second = Side(a), Side(b)
    found: dict[str, Any] = {"equal": False, "a": first.about(), "b": second.about()}
    found |= compare_cards(first, second)
    found |= IndexRows(first, second).compare()
    found["rejected"] = compare_ledgers(first, second)
    found["equal"] = not (
        any(found[section] for section in ("configuration", "counts", "statistics", "fields"))
        or any(found["utterances"][part]["count"] for part in ("only_a", "only_b", "changed"))
        or any(found["columns"].values())
        or any(part["count"] for part in found["rejected"].values())
    )
    return found
