"""Verification of a dataset's small files: card, checksums, ledger, assets, index.

The chain of trust begins at the card, which holds its own digest and that of SHA256SUMS, which
lists every other file.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.names import path_in
from ns2.pipeline.core.reading import parse_json, read_small
from ns2.pipeline.core.schema import COLUMNS, ColumnSpec, FrameGrid, Kind, Reason
from ns2.pipeline.dataset.card import Card, card_text, missing_parts, sealed
from ns2.pipeline.dataset.card_values import card_problems
from ns2.pipeline.dataset.contract import entries_of
from ns2.pipeline.dataset.index import REJECTED_SCHEMA
from ns2.pipeline.dataset.layout import (
    ASSETS,
    CARD,
    FORMAT,
    FORMAT_VERSION,
    INDEX,
    README,
    REJECTED,
    SUMS,
    TARGET,
)
from ns2.pipeline.dataset.sums import LARGEST_SUMS, checksum_text
from ns2.pipeline.dataset.tables import read_table
from ns2.pipeline.tools.verify.fault import MOST_FAULTS, Fault, caught
from ns2.pipeline.tools.verify.index_file import IndexCheck

_CARD_SUM = re.compile(rf"SHA-256 of {re.escape(CARD)}: `([0-9a-f]{{64}})`")
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


class SmallFiles:
    """What a dataset's small files say of it, as far as they can be trusted.

    Attributes:
        root: the dataset's folder.
        faults: what is wrong with these files.
        card: None if it is not the one that was written.
        listed: SHA-256 by name, as SHA256SUMS says.
        sums_whole: whether SHA256SUMS can be trusted.
        assets: names of the assets that are what was written.
        index_whole: whether the index can be trusted.
        found: the actual SHA-256 by name of every file that was read completely.
    """

    def __init__(self, root: Path, faults: list[Fault]) -> None:
        self.root, self.faults = root, faults
        self.card: Card | None = None
        self.listed: dict[str, str] = {}
        self.sums_whole = False
        self.assets: tuple[str, ...] = ()
        self.index_whole = False
        self.found: dict[str, str] = {}

    def fault(self, place: str, message: str, **where: Any) -> None:
        """Note that something is wrong."""
        self.faults.append(Fault(place=place, message=message, **where))

    def check(self) -> bool:
        """Check all of them; False if this is no dataset, and there is nothing else to check."""
        with caught(self.faults, CARD):
            if not self._check_card():
                return False
        for place, check in (
            (SUMS, self._check_sums),
            (REJECTED, self._check_rejected),
            (ASSETS, self._check_assets),
            (INDEX, self._check_index),
            (README, self._check_readme),
        ):
            with caught(self.faults, place):
                check()
        return True

    def _check_card(self) -> bool:
        """The card is of our format and the one that was written."""
        path = self.root / CARD
        if not path.is_file():
            self.fault(
                CARD,
                "is missing: this is not a dataset, or `ns2 preprocess` has not finished it; "
                "run it again, it goes on where it stopped",
            )
            return False
        text = read_small(path)
        try:
            card = parse_json(text)
        except ValueError as error:
            self.fault(CARD, f"is not JSON: {error}")
            return True
        if not isinstance(card, dict) or card.get("digest") != sealed(card)["digest"]:
            self.fault(CARD, "is not the card that was written: its digest is of other content")
            return True
        if (card.get("format"), card.get("format_version")) != (FORMAT, FORMAT_VERSION):
            self.fault(
                CARD,
                f"format is {card.get('format')} {card.get('format_version')}, "
                f"this ns2 reads {FORMAT} {FORMAT_VERSION}",
            )
            return False
        if card_text(card).encode() != text:
            self.fault(CARD, "its digest is right, but ns2 formats the file differently")
        if missing := missing_parts(card):
            self.fault(CARD, f"has no {', '.join(missing)}")
        problems = card_problems(card)
        for problem in problems[:MOST_FAULTS]:
            self.fault(CARD, problem)
        if not problems:
            self.card = Card.from_json(card)
        return True

    def _check_sums(self) -> None:
        """The SHA-256 of SHA256SUMS is the one in the card, and each line is well formed."""
        data = read_small(self.root / SUMS, LARGEST_SUMS)
        digest = hashlib.sha256(data).hexdigest()
        self.sums_whole = True
        if self.card is not None and digest != self.card.sha256sums:
            self.sums_whole = False
            self.fault(SUMS, f"SHA-256 is {digest}, the card says {self.card.sha256sums}")
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = _LINE.fullmatch(line)
            if match is not None and _is_inside(self.root, match[2]):
                self.listed[match[2]] = match[1]
            elif self.sums_whole:
                expected = "a SHA-256, two spaces and a name in the folder"
                self.fault(SUMS, f"line {number} is not {expected}")

    def vouched(self, name: str) -> str:
        """The SHA-256 that a file must have; empty where it is not known."""
        return self.listed.get(name, "") if self.sums_whole else ""

    def _check_file(self, name: str) -> bool:
        """A file is there and the one that was written."""
        path = path_in(self.root, name)
        if not path.exists():
            self.fault(name, "is missing")
            return False
        digest = self.found[name] = sha256_file(path)
        if self.vouched(name) not in ("", digest):
            self.fault(name, f"SHA-256 is {digest}, {SUMS} says {self.vouched(name)}")
            return False
        return True

    def _check_rejected(self) -> None:
        """The ledger: every row is of a known kind and reason, and the card's counts add up."""
        if not self._check_file(REJECTED):
            return
        table = read_table(self.root / REJECTED)
        if table.schema.names != REJECTED_SCHEMA.names:
            raise ValueError(f"has columns {', '.join(table.schema.names)}")
        kinds, reasons = Counter(table["kind"].to_pylist()), Counter(table["reason"].to_pylist())
        for name, known, values in (("kind", Kind, kinds), ("reason", Reason, reasons)):
            unknown = sorted(set(values) - set(map(str, known)))
            if unknown:
                self.fault(REJECTED, f"holds an unknown {name}: {', '.join(unknown)}")
        if self.card is None:
            return
        counts = self.card.counts
        found = {**{str(kind): kinds[kind] for kind in Kind}, "reasons": dict(reasons)}
        for name, value in found.items():
            if value != getattr(counts, name):
                self.fault(REJECTED, f"{name}: {value}, the card says {getattr(counts, name)}")
        parts = [counts.written, counts.rejected, counts.filtered]
        if counts.found != sum(parts):
            self.fault(
                CARD,
                f"the ledger does not balance: {counts.found} found, "
                "{} written, {} rejected, {} filtered".format(*parts),
            )

    def named_assets(self) -> Sequence[str]:
        """Names of all assets, whether they are what was written or not."""
        if self.card is not None:
            return list(self.card.assets)
        return [name for name in self.listed if name.startswith(f"{ASSETS}/")]

    def _check_assets(self) -> None:
        self.assets = tuple(name for name in self.named_assets() if self._check_file(name))
        path = self.asset("codebooks")
        if path is not None:
            from safetensors.numpy import load_file

            if not np.isfinite(load_file(path)["codebooks"]).all():
                name = path.relative_to(self.root).as_posix()
                self.fault(name, "the codebooks hold values that are not finite")

    def asset(self, prefix: str) -> Path | None:
        """The file of an asset that is what was written, or None."""
        for name in self.assets:
            if name.startswith(f"{ASSETS}/{prefix}-"):
                return self.root / name
        return None

    def entries(self) -> int | None:
        """How many entries each codebook has, from their asset."""
        path = self.asset("codebooks")
        if path is None:
            return None
        return entries_of(path)

    def specs(self) -> dict[str, ColumnSpec]:
        """Specifications of all columns; without a card, those that every dataset shares."""
        if self.card is not None:
            return {name: column.spec(name) for name, column in self.card.columns.items()}
        folders = {match["column"] for name in self.listed if (match := TARGET.fullmatch(name))}
        return {
            name: ColumnSpec(name=name, dtype=dtype, dims=dims)
            for name, (dtype, dims) in COLUMNS.items()
            if name in folders
        }

    def grid(self) -> FrameGrid:
        """The frame grid of the card, or the default one without a card."""
        return FrameGrid() if self.card is None else self.card.grid

    def listed_targets(self) -> dict[int, dict[str, str]]:
        """The tar of each column, by shard and column, as SHA256SUMS lists them."""
        targets: dict[int, dict[str, str]] = {}
        for name in self.listed:
            if match := TARGET.fullmatch(name):
                tars = targets.setdefault(int(match["shard"]), {})
                tars[match["column"]] = f"{match['stem']}.tar"
        return targets

    def _check_index(self) -> None:
        """The index as a whole; its rows are checked with their shards."""
        check = IndexCheck(self.root, self.card, self.specs(), self.faults)
        if not self._check_file(INDEX):
            if INDEX in self.found:  # it is there, but not what was written
                check.name_rows()
            return
        self.index_whole = check.is_readable()
        if self.index_whole:
            check.compare()

    def _check_readme(self) -> None:
        """README.md, which datasets of before do not have, tells of this card and no other."""
        path = self.root / README
        if not path.exists():
            return
        named = _CARD_SUM.search(read_small(path).decode("utf-8", "replace"))
        if named is not None and named[1] != sha256_file(self.root / CARD):
            self.fault(README, f"tells of another {CARD}: run `ns2 preprocess` again")

    def compare_sums(self) -> None:
        """Where SHA256SUMS is damaged, note which files differ from what it lists.

        To be called when every file of the dataset was read completely.
        """
        if self.sums_whole or self.card is None:
            return
        text = checksum_text(self.found.items()).encode()
        if hashlib.sha256(text).hexdigest() == self.card.sha256sums:
            return  # every file is the one that was written
        for name, digest in sorted(self.found.items()):
            listed = self.listed.get(name)
            if listed not in (None, digest):
                message = f"SHA-256 is {digest}, {SUMS}, itself damaged, says {listed}"
                self.fault(name, message, **place_of(name))


def _is_inside(root: Path, name: str) -> bool:
    try:
        path_in(root, name)
    except ValueError:
        return False
    return True


def place_of(name: str) -> dict[str, Any]:
    """Column and shard of a tar or marker, taken from its name."""
    match = TARGET.fullmatch(name)
    return {} if match is None else {"column": match["column"], "shard": int(match["shard"])}
