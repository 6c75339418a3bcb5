"""The card `dataset.json`: what a dataset is. It is written last: no card, no dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.dataset.layout import CARD, FORMAT, FORMAT_VERSION


def sealed(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card with its own digest put in (field `digest`, over all the other fields)."""
    body = {name: value for name, value in card.items() if name != "digest"}
    return {**body, "digest": short_hash(body, 64)}


def card_text(card: Mapping[str, Any]) -> str:
    """The card as a person reads it: indented, lists of numbers on one line."""
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    return _numbers_on_one_line(text) + "\n"


def _numbers_on_one_line(text: str) -> str:
    """Join the lines of lists that hold only numbers."""
    return re.sub(
        r"\[\s+((?:-?[\d.eE+-]+,\s+)*-?[\d.eE+-]+)\s+\]",
        lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]",
        text,
    )


def read_card(root: Path) -> dict[str, Any] | None:
    """The card of a dataset, or None where there is none that can be read."""
    try:
        card = json.loads((root / CARD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def open_card(root: Path) -> dict[str, Any]:
    """A dataset's card.

    Raises:
        UserError: there is none, or it is of another kind or a newer version.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    if not (root / CARD).is_file():
        raise UserError(
            f"{root} has no {CARD}: it is no dataset, or `ns2 preprocess` has not finished it. "
            "Run `ns2 preprocess` with this output folder again: it goes on where it stopped."
        )
    card = read_card(root)
    if card is None or card.get("format") != FORMAT:
        raise UserError(f"{root / CARD} is damaged, or not the card of an ns2 dataset")
    if card.get("format_version", 0) > FORMAT_VERSION:
        raise UserError(
            f"{root} was written by a newer ns2 (format {card['format_version']}); update ns2"
        )
    return card
