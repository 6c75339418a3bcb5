"""Verification of a dataset's small files: card, checksums, ledger, assets, index.

The chain of trust begins at the card, which holds its own digest and that of SHA256SUMS, which
lists every other file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.schema import COLUMNS, ColumnSpec, FrameGrid, Kind, Reason
from ns2.pipeline.dataset.card import Card, card_text, sealed
from ns2.pipeline.dataset.index import REJECTED_SCHEMA, index_schema, row_crc
from ns2.pipeline.dataset.layout import (
    ASSETS,
    CARD,
    FORMAT,
    FORMAT_VERSION,
    INDEX,
    REJECTED,
    SUMS,
    TARGET,
)
from ns2.pipeline.dataset.sums import checksum_text
from ns2.pipeline.tools.verify.fault import Fault, caught
from ns2.pipeline.tools.verify.shard import MOST_FAULTS

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


class SmallFiles:
    """What a dataset tells of itself, as far as it can be trusted.

    Attributes:
        faults: what is wrong with these files.
        card: None if it is not the one that was written.
        listed: SHA-256 by name, as SHA256SUMS says.
        sums_whole: whether SHA256SUMS can be trusted.
        assets: names of the assets that are whole.
        index_whole: whether the index can be trusted.
        found: SHA-256 by name, as it is, of every file that was read whole.
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
        """Check all of them; False if there is no dataset that could be checked further."""
        with caught(self.faults, CARD):
            if not self._check_card():
                return False
        for place, check in (
            (SUMS, self._check_sums),
            (REJECTED, self._check_rejected),
            (ASSETS, self._check_assets),
            (INDEX, self._check_index),
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
                "is missing: this is no dataset, or `ns2 preprocess` has not finished it; "
                "run it again, it goes on where it stopped",
            )
            return False
        text = path.read_bytes()
        try:
            card = json.loads(text.decode("utf-8"))
        except ValueError as error:
            self.fault(CARD, f"is not JSON: {error}")
            return True
        if not isinstance(card, dict) or card.get("digest") != sealed(card)["digest"]:
            self.fault(CARD, "is not the card that was written: its digest is not of what it says")
            return True
        if (card.get("format"), card.get("format_version")) != (FORMAT, FORMAT_VERSION):
            self.fault(
                CARD,
                f"format is {card.get('format')} {card.get('format_version')}, "
                f"this ns2 reads {FORMAT} {FORMAT_VERSION}",
            )
            return False
        if card_text(card).encode() != text:
            self.fault(CARD, "its digest is right, but ns2 does not write it like this")
        self.card = Card.from_json(card)
        return True

    def _check_sums(self) -> None:
        """SHA256SUMS is the one that the card tells of."""
        data = (self.root / SUMS).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self.sums_whole = True
        if self.card is not None and digest != self.card.sha256sums:
            self.sums_whole = False
            self.fault(SUMS, f"SHA-256 is {digest}, the card says {self.card['sha256sums']}")
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = _LINE.fullmatch(line)
            if match is not None:
                self.listed[match[2]] = match[1]
            elif self.sums_whole:
                self.fault(SUMS, f"line {number} is not a SHA-256, two spaces and a name")

    def vouched(self, name: str) -> str:
        """The SHA-256 that a file must have; empty where SHA256SUMS does not tell."""
        return self.listed.get(name, "") if self.sums_whole else ""

    def _check_file(self, name: str) -> bool:
        """A file is there and the one that was written."""
        path = self.root / name
        if not path.is_file():
            self.fault(name, "is missing")
            return False
        digest = self.found[name] = sha256_file(path)
        if self.vouched(name) not in ("", digest):
            self.fault(name, f"SHA-256 is {digest}, {SUMS} says {self.vouched(name)}")
            return False
        return True

    def _check_rejected(self) -> None:
        """The ledger's other half: every row is of a known kind and reason, and they add up."""
        if not self._check_file(REJECTED):
            return
        table = pq.read_table(self.root / REJECTED, page_checksum_verification=True)
        if table.schema.names != REJECTED_SCHEMA.names:
            raise ValueError(f"has columns {', '.join(table.schema.names)}")
        kinds, reasons = Counter(table["kind"].to_pylist()), Counter(table["reason"].to_pylist())
        for name, known, values in (("kind", Kind, kinds), ("reason", Reason, reasons)):
            unknown = sorted(set(values) - {str(one) for one in known})
            if unknown:
                self.fault(REJECTED, f"holds the {name} {', '.join(unknown)}, which is none")
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
        """Names of all assets, whole or not."""
        if self.card is not None:
            return list(self.card.assets)
        return [name for name in self.listed if name.startswith(f"{ASSETS}/")]

    def _check_assets(self) -> None:
        self.assets = tuple(name for name in self.named_assets() if self._check_file(name))

    def asset(self, prefix: str) -> Path | None:
        """The file of an asset that is whole."""
        for name in self.assets:
            if name.startswith(f"{ASSETS}/{prefix}-"):
                return self.root / name
        return None

    def entries(self) -> int | None:
        """How many entries each codebook has, from their asset."""
        path = self.asset("codebooks")
        if path is None:
            return None
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return int(file.get_slice("codebooks").get_shape()[1])  # (Q, E, D)

    def specs(self) -> dict[str, ColumnSpec]:
        """Specifications of all columns; without a card, what those of every dataset share."""
        if self.card is not None:
            return {name: column.spec(name) for name, column in self.card.columns.items()}
        folders = {match["column"] for name in self.listed if (match := TARGET.match(name))}
        return {
            name: ColumnSpec(name=name, dtype=dtype, dims=dims)
            for name, (dtype, dims) in COLUMNS.items()
            if name in folders
        }

    def grid(self) -> FrameGrid:
        """The frame grid."""
        return FrameGrid() if self.card is None else self.card.grid

    def listed_targets(self) -> dict[int, dict[str, str]]:
        """Tar of each column by shard, of all tars and markers that SHA256SUMS lists."""
        targets: dict[int, dict[str, str]] = {}
        for name in self.listed:
            if match := TARGET.match(name):
                targets.setdefault(int(match["shard"]), {})[match["column"]] = f"{match[0]}.tar"
        return targets

    def _check_index(self) -> None:
        """The index as a whole; its rows are checked with their shards."""
        if not self._check_file(INDEX):
            if INDEX in self.found:
                self._blame_rows()
            return
        path = self.root / INDEX
        schema, expected = pq.read_schema(path), index_schema(list(self.specs()))
        if self.specs() and sorted(schema, key=_name) != sorted(expected, key=_name):
            raise ValueError(f"its columns are not those of a dataset: {', '.join(schema.names)}")
        try:
            for _ in index_shards(path):  # every page can be read
                pass
        except (pa.ArrowException, OSError) as error:
            self.fault(INDEX, f"can't be read: {error}")
            self._blame_rows()
            return
        self.index_whole = True
        table = pq.read_table(path, columns=["key", *_COUNTED])
        counted = pc.value_counts(table["key"].combine_chunks())
        several = counted.filter(pc.greater(counted.field("counts"), 1)).to_pylist()
        for one in several[:MOST_FAULTS]:
            self.fault(INDEX, f"the key is there {one['counts']} times", key=str(one["values"]))
        self._compare_counts(table)

    def _blame_rows(self) -> None:
        """Name the rows that are not what was written, as far as the index can be read."""
        path = self.root / INDEX
        try:
            rows = pq.read_table(path).to_pylist()
        except Exception as error:
            self.fault(INDEX, f"can't be read, so no key can be named: {error}")
            self._blame_columns(path)
            return
        bad = []
        for row in rows:
            try:
                whole = row_crc(row) == row["row_crc"]
            except (KeyError, TypeError, ValueError):
                whole = False
            if not whole:
                bad.append(row)
        for row in bad[:MOST_FAULTS]:
            number, key = row.get("shard"), str(row.get("key") or "")
            message = "the row is not what was written: its row_crc differs"
            self.fault(INDEX, message, shard=number if isinstance(number, int) else None, key=key)
        if len(bad) > MOST_FAULTS:
            self.fault(INDEX, f"and {len(bad) - MOST_FAULTS} more rows")

    def _blame_columns(self, path: Path) -> None:
        """Name the columns of the index that can't be read, if others can."""
        names = index_schema(list(self.specs())).names
        unreadable = []
        for name in names:
            try:
                pq.read_table(path, columns=[name]).to_pylist()
            except Exception:
                unreadable.append(name)
        for name in unreadable if len(unreadable) < len(names) else ():
            column = name.rpartition("_")[0]
            where = {"column": column} if column in self.specs() else {}
            self.fault(INDEX, f"{name} can't be read; the rest can", **where)

    def _compare_counts(self, table: pa.Table) -> None:
        """The card's counts are those of the index."""
        if self.card is None:
            return
        counts = self.card.counts
        found = {
            "written": table.num_rows,
            "frames": pc.sum(table["frames"]).as_py() or 0,
            "phones": pc.sum(table["phones"]).as_py() or 0,
            "speakers": pc.count_distinct(table["speaker"]).as_py(),
            "splits": dict(Counter(table["split"].to_pylist())),
            "languages": dict(Counter(table["language"].to_pylist())),
        }
        for name, value in found.items():
            if getattr(counts, name) != value:
                self.fault(INDEX, f"{name}: {value}, the card says {getattr(counts, name)}")
        hours = (pc.sum(table["seconds"]).as_py() or 0.0) / 3600
        if abs(hours - counts.hours) > 1e-9 * hours:  # sums in another order round otherwise
            self.fault(INDEX, f"hours: {hours}, the card says {counts.hours}")

    def compare_sums(self) -> None:
        """Where SHA256SUMS is damaged, tell which files are not what it lists, if any.

        To be called when every file of the dataset was read whole.
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


_COUNTED = ("split", "speaker", "language", "seconds", "frames", "phones")


def _name(field: pa.Field) -> str:
    return str(field.name)


def place_of(name: str) -> dict[str, Any]:
    """Column and shard of a tar or marker, as its name tells."""
    match = TARGET.match(name)
    return {} if match is None else {"column": match["column"], "shard": int(match["shard"])}


def index_shards(path: Path) -> Iterator[tuple[int, pa.Table]]:
    """An index shard by shard, with one row group in memory."""
    number, parts = 0, list[pa.Table]()
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for i in range(file.num_row_groups):
            group = file.read_row_group(i)
            shards = group["shard"].to_pylist()
            begin = 0
            for end in range(1, len(shards) + 1):
                if end < len(shards) and shards[end] == shards[begin]:
                    continue
                if parts and shards[begin] != number:
                    yield number, pa.concat_tables(parts)
                    parts = []
                number = shards[begin]
                parts.append(group.slice(begin, end - begin))
                begin = end
    if parts:
        yield number, pa.concat_tables(parts)
