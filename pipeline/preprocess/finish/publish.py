"""What makes a folder of tars a dataset: ledger, index, checksums and card, in this order.

All of it is made from the markers and the run's options, so it is the same whatever the way there
was. The card comes last: no card, no dataset.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import (
    delete,
    new_file,
    put_in_place,
    sync_folder,
    temporary_path,
    write_if_changed,
)
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.schema import Rejection
from ns2.pipeline.dataset.index import CONFIDENCE, REJECTED_SCHEMA, ROW_GROUP, row_crc
from ns2.pipeline.dataset.layout import CARD
from ns2.pipeline.dataset.shards import Marker, read_marker
from ns2.pipeline.preprocess.plan.appended.kept_groups import write_behind
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.screening import Screened
from ns2.pipeline.preprocess.work.targets import Targets
from ns2.pipeline.stages.graph import Graph

_AS_PARQUET: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


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
    confidence: bool = False,
    surveyed: Sequence[Mapping[str, float | None]] = (),
) -> Iterator[dict[str, Any]]:
    """Index rows of a shard, in the order of its members.

    Args:
        language: of utterances that name none.
        split: gives an utterance's split.
        confidence: whether the index has a confidence.
        surveyed: what surveys say of each member; empty where there are none.
    """
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
        if confidence:
            row[CONFIDENCE] = utterance.confidence
        numbers = {**scalars, **(surveyed[i] if surveyed else {})}
        for column, marker in content.markers.items():
            row.update((name, numbers.get(name)) for name in graph.scalars(column))
            member = marker.rows[i]
            row[f"{column}_file"] = marker.tar.relative_to(root).as_posix()
            row[f"{column}_offset"] = member.offset
            row[f"{column}_size"] = member.size
            row[f"{column}_shape"] = list(member.shape)
            row[f"{column}_crc32"] = member.crc32
        row["row_crc"] = row_crc(row)
        yield row


def write_index(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> Path:
    """Stream rows into a temporary file beside `path`; give it back for `Publisher.replace`."""
    return write_tables(path, _tables(rows, schema), schema)


def _tables(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows as tables of `ROW_GROUP` rows, but the last one."""
    group: list[Mapping[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == ROW_GROUP:
            yield pa.Table.from_pylist(group, schema)
            group = []
    if group:
        yield pa.Table.from_pylist(group, schema)


def write_tables(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, *, kept: int = 0
) -> Path:
    """Write tables, each as a row group, into a temporary file beside `path`; give it back.

    Args:
        kept: row groups of the file at `path` that come before the tables, as they are.

    Raises:
        OtherFormatError: that file was not written by this function with this schema.
    """
    temporary = temporary_path(path)
    try:
        with new_file(temporary) as file:
            if kept:
                write_behind(file, path, kept, tables, schema, **_AS_PARQUET)
            else:
                with pq.ParquetWriter(file, schema, **_AS_PARQUET) as writer:
                    for table in tables:
                        writer.write_table(table)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def write_rejected(path: Path, rejected: Sequence[Rejection]) -> Path:
    """The ledger of what is not in the dataset, sorted, as a temporary file beside `path`."""
    rows = sorted(
        (
            {name: str(getattr(rejection, name)) for name in REJECTED_SCHEMA.names}
            for rejection in rejected
        ),
        key=lambda row: [row[name] for name in REJECTED_SCHEMA.names],
    )  # fmt: skip
    return write_index(path, rows, REJECTED_SCHEMA)


class Publisher:
    """Puts ledger, index, checksums and card in place, touching only what has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._card_dropped = False

    def replace(self, name: str, temporary: Path) -> None:
        """Put a file in place unless it is there already with the same content."""
        path = self._root / name
        sizes = {one.stat().st_size for one in (path, temporary) if one.is_file()}
        same = path.is_file() and len(sizes) == 1
        if same and sha256_file(path) == sha256_file(temporary):
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
            delete(self._root / CARD)
            sync_folder(self._root)
            self._card_dropped = True
