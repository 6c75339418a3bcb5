"""What makes a folder of tars a dataset: ledger, index, checksums and card, in this order.

All of it is made from the markers and the run's options, so it is the same whatever the way there
was. The card comes last: no card, no dataset.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.files import (
    put_in_place,
    sha256_file,
    sync_folder,
    temporary_path,
    write_if_changed,
)
from ns2.pipeline.graph import Graph
from ns2.pipeline.schema import Rejection, UserError, canonical_json
from ns2.pipeline.screening import Screened
from ns2.pipeline.shards import Marker, read_marker
from ns2.pipeline.sources import Source
from ns2.pipeline.targets import Targets

CARD = "dataset.json"
INDEX = "index.parquet"
REJECTED = "rejected.parquet"
SUMS = "SHA256SUMS"
ASSETS = "assets"
STATE = ".state"
ROW_GROUP = 65_536

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("key", pa.string()),
    ("id", pa.string()),
    ("shard", pa.int32()),
    ("split", pa.string()),
    ("speaker", pa.string()),
    ("language", pa.string()),
    ("text", pa.string()),
    ("seconds", pa.float64()),
    ("frames", pa.int32()),
    ("phones", pa.int32()),
    ("audio_hash", pa.string()),
    ("level_db", pa.float64()),
    ("voiced_share", pa.float64()),
    ("f0_median", pa.float64()),
    ("phone_rate", pa.float64()),
    ("align_score", pa.float64()),
]

_COLUMN_FIELDS: list[tuple[str, pa.DataType]] = [
    ("file", pa.string()),
    ("offset", pa.int64()),
    ("size", pa.int64()),
    ("shape", pa.list_(pa.int32())),
    ("crc32", pa.uint32()),
]

REJECTED_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "key", "source", "kind", "stage", "reason", "message")]
)


def index_schema(columns: Sequence[str]) -> pa.Schema:
    """The index's schema for a dataset with these columns."""
    fields = list(_FIELDS)
    for column in columns:
        fields.extend((f"{column}_{name}", kind) for name, kind in _COLUMN_FIELDS)
    return pa.schema([*fields, ("row_crc", pa.uint32())])


def row_crc(row: Mapping[str, Any]) -> int:
    """CRC-32 of an index row, over the canonical JSON of all its other fields."""
    body = {name: value for name, value in row.items() if name != "row_crc"}
    return zlib.crc32(canonical_json(body).encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, kw_only=True)
class ShardContent:
    """A shard's part of the dataset: its members, what was found out, and its targets."""

    number: int
    members: tuple[Source, ...]
    screened: Mapping[str, Screened]
    markers: Mapping[str, Marker]


def read_content(
    targets: Targets, number: int, members: Sequence[Source], screened: Mapping[str, Screened],
    columns: Sequence[str],
) -> ShardContent:  # fmt: skip
    """Read the markers of a shard that is complete.

    Raises:
        UserError: a marker or its tar is damaged.
    """
    markers: dict[str, Marker] = {}
    for column in columns:
        path = targets.path(column, number, members)
        try:
            markers[column] = marker = read_marker(path)
            if marker.tar.stat().st_size != marker.size:
                raise ValueError(f"{marker.tar.name} is not as long as it was written")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{error}. Delete {path} and run again: only what it stands for is made anew."
            ) from error
    return ShardContent(number=number, members=tuple(members), screened=screened, markers=markers)


def index_rows(
    content: ShardContent,
    root: Path,
    graph: Graph,
    *,
    language: str,
    split: Callable[[Source], str],
) -> Iterator[dict[str, Any]]:
    """Index rows of a shard, in the order of its members."""
    for i, source in enumerate(content.members):
        utterance, scalars = source.utterance, dict(content.screened[source.key].scalars)
        for marker in content.markers.values():
            scalars.update(marker.rows[i].scalars)
        samples, phones = int(scalars["samples"]), int(scalars["phones"])
        seconds = samples / graph.grid.sample_rate
        row: dict[str, Any] = {
            "key": source.key,
            "id": utterance.id,
            "shard": content.number,
            "split": split(source),
            "speaker": utterance.speaker,
            "language": utterance.language or language,
            "text": utterance.text,
            "seconds": seconds,
            "frames": graph.grid.frames(samples),
            "phones": phones,
            "audio_hash": source.audio_hash,
            "level_db": scalars["level_db"],
            "voiced_share": scalars.get("voiced_share"),
            "f0_median": scalars.get("f0_median"),
            "phone_rate": phones / seconds,
            "align_score": scalars.get("align_score"),
        }
        for column, marker in content.markers.items():
            member = marker.rows[i]
            row[f"{column}_file"] = marker.tar.relative_to(root).as_posix()
            row[f"{column}_offset"] = member.offset
            row[f"{column}_size"] = member.size
            row[f"{column}_shape"] = list(member.shape)
            row[f"{column}_crc32"] = member.crc32
        row["row_crc"] = row_crc(row)
        yield row


def write_index(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> Path:
    """Stream rows into a temporary file beside `path`; give it back for `replace_if_changed`."""
    temporary = temporary_path(path)
    try:
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", write_page_checksum=True
        ) as writer:
            group: list[Mapping[str, Any]] = []
            for row in rows:
                group.append(row)
                if len(group) == ROW_GROUP:
                    writer.write_table(pa.Table.from_pylist(group, schema))
                    group = []
            if group:
                writer.write_table(pa.Table.from_pylist(group, schema))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def write_rejected(path: Path, rejected: Sequence[Rejection]) -> Path:
    """The ledger of what is not in the dataset, sorted, as a temporary file beside `path`."""
    rows = sorted(
        (
            {name: str(getattr(one, name)) for name in REJECTED_SCHEMA.names}
            for one in rejected
        ),
        key=lambda row: [row[name] for name in REJECTED_SCHEMA.names],
    )  # fmt: skip
    return write_index(path, rows, REJECTED_SCHEMA)


class Finish:
    """Puts ledger, index, checksums and card in place, touching only what has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._card_dropped = False

    def replace(self, name: str, temporary: Path) -> None:
        """Put a file in place unless it is there already with the same content."""
        path = self._root / name
        if path.is_file() and sha256_file(path) == sha256_file(temporary):
            temporary.unlink()
            return
        self._drop_card()
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        put_in_place(temporary, path)

    def write(self, name: str, data: bytes) -> None:
        """Write a small file unless it is there already with the same content."""
        path = self._root / name
        if name != CARD and not (path.is_file() and path.read_bytes() == data):
            self._drop_card()
        write_if_changed(path, data)

    def _drop_card(self) -> None:
        """Until the new card is written there is no dataset, rather than one that lies."""
        if not self._card_dropped:
            (self._root / CARD).unlink(missing_ok=True)
            sync_folder(self._root)
            self._card_dropped = True


def target_checksums(root: Path, markers: Iterable[Marker]) -> list[tuple[str, str]]:
    """(name, SHA-256) of tars, as their markers say, and of the markers themselves."""
    sums: list[tuple[str, str]] = []
    for marker in markers:
        sums.append((marker.tar.relative_to(root).as_posix(), marker.sha256))
        sums.append((marker.path.relative_to(root).as_posix(), sha256_file(marker.path)))
    return sums


def checksum_text(sums: Iterable[tuple[str, str]]) -> str:
    """The text of SHA256SUMS, as `sha256sum` prints and checks it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums))


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


def vouched_sums(root: Path) -> dict[str, str]:
    """SHA-256 by name, as a complete dataset's card vouches for them; empty where none does."""
    card = read_card(root)
    try:
        data = (root / SUMS).read_bytes()
    except OSError:
        return {}
    if card is None or hashlib.sha256(data).hexdigest() != card.get("sha256sums"):
        return {}
    lines = (line.split("  ", 1) for line in data.decode().splitlines())
    return {name: digest for digest, name in lines}


def check_vouched(root: Path, sums: Iterable[tuple[str, str]], vouched: Mapping[str, str]) -> None:
    """Hold markers and assets that were there before against what they were then.

    Raises:
        UserError: one is damaged; it must not be certified anew.
    """
    for name, digest in sums:
        if vouched.get(name, digest) != digest:
            stem = (root / name).with_suffix(".*") if name.endswith((".tar", ".parquet")) else name
            raise UserError(
                f"{root / name} is damaged: it is not what was written. Delete {stem} and run "
                "again: only what it held is made anew."
            )


def read_card(root: Path) -> dict[str, Any] | None:
    """The card of a dataset, or None where there is none that can be read."""
    try:
        card = json.loads((root / CARD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None
