"""The end of a run that looked at some shards only: the rest of the dataset is taken as it is.

The files are those that a run on all shards would write. Rows of quiet shards stand in the index
that is there, checksums of their targets in SHA256SUMS, and their sums in the markers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.reading import parse_json
from ns2.pipeline.core.schema import Reason, Rejection
from ns2.pipeline.corpora.corpus import STAGE
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.index import CONFIDENCE, ROW_GROUP, index_schema
from ns2.pipeline.dataset.shards import MARKER_METADATA
from ns2.pipeline.dataset.sums import vouched_sums
from ns2.pipeline.preprocess.aligner_asset import AlignerAsset
from ns2.pipeline.preprocess.finish.changes import Changes, changes_since
from ns2.pipeline.preprocess.finish.finisher import Finisher, Tally
from ns2.pipeline.preprocess.finish.publish import write_tables
from ns2.pipeline.preprocess.finish.statistics import add_sums
from ns2.pipeline.preprocess.finish.unchanged import Last, inputs_of, rejected_before
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.appended.kept_groups import OtherFormatError
from ns2.pipeline.preprocess.plan.kept_rows import NO_SHARD, distinct
from ns2.pipeline.preprocess.recipe import wanted_columns
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.stages.stage import Stage

_NUMBERED, _NAMED = ("seconds", "frames", "phones"), ["split", "language", "speaker"]
"""Fields of the index that the card counts."""
_TOGETHER = 16
"""Row groups that are counted together."""
_MOST_BEHIND = 16
"""Row groups that are written behind those that stay, at most."""


def look_back(corpus_path: Path, out: Path, options: Options, graph: Graph) -> Changes | None:
    """What differs from what the last run saw; None where all of a corpus is to be read."""
    inputs = inputs_of(corpus_path, options, graph)
    last = None if inputs is None else Last.load(out)
    if inputs is None or last is None:
        return None
    changes = changes_since(last, corpus_path, out, options, inputs)
    if changes is None or not changes.anything:
        return changes
    fits = can_finish(changes, out, graph, options, wanted_columns(graph, options))
    return changes if fits else None


def can_finish(
    changes: Changes, out: Path, graph: Graph, options: Options, columns: Sequence[str]
) -> bool:
    """Whether the end of a run on these changes can be that of a run on everything.

    Surveys see all arrays, an aligner's sample is drawn from all utterances, and an index with
    other fields is another index.
    """
    if "durations" in columns and graph.missing_assets("durations"):
        asset = AlignerAsset(out, graph, options)
        record = asset.recorded()
        if record is None or not asset.is_trained(record):
            return False
    if any(graph.stages[column].survey() is not None for column in columns):
        return False
    if not vouched_sums(out):
        return False
    scalars = [name for column in columns for name in graph.scalars(column)]
    given = any(one.confidence is not None for one in changes.corpus.utterances)
    with pq.ParquetFile(out / layout.INDEX) as index:
        there = index.schema_arrow
        expected = index_schema(columns, scalars, confidence=CONFIDENCE in there.names)
        if not there.equals(expected):
            return False
        if CONFIDENCE not in there.names:
            return not given
        table = index.read(["shard", CONFIDENCE])
    quiet = pc.is_in(table["shard"], pa.array(changes.quiet_shards, pa.int32()))
    return bool(table.filter(quiet)[CONFIDENCE].null_count < pc.sum(quiet).as_py())


@dataclass(kw_only=True)
class PartialFinisher(Finisher):
    """Brings a dataset up to date of which some shards were looked at.

    Attributes:
        changes: what was looked at.
        hours_before: of the recordings in shards that were looked at, as the last run decoded them.
    """

    changes: Changes
    hours_before: float

    @cached_property
    def _confidence(self) -> bool:
        return CONFIDENCE in pq.read_schema(self.out / layout.INDEX).names

    def _write_index(self, schema: pa.Schema, tally: Tally, vouched: Mapping[str, str]) -> Path:
        new = pa.Table.from_pylist([*self._rows(tally)], schema)
        touched = np.array(sorted(self.changes.touched), np.int32)
        file = self.out / layout.INDEX
        intact = vouched.get(layout.INDEX) == sha256_file(file)
        kept = groups_before(file, new, touched) if intact else 0
        try:
            index, counted = _merge(file, new, touched, kept)
        except OtherFormatError:  # of another version of pyarrow
            index, counted = _merge(file, new, touched, 0)
        self._add_quiet(tally, vouched)
        counted.tell(tally)
        summary = self.summary
        summary.written, summary.hours = counted.rows, counted.hours
        summary.hours_found += self.changes.last.head["summary"]["hours_found"] - self.hours_before
        summary.rejected += self._rejected_before()
        return index

    def _add_quiet(self, tally: Tally, vouched: Mapping[str, str]) -> None:
        """Count the targets of quiet shards, and the sums of all shards in their order."""
        quiet = set(self.changes.quiet_shards.tolist())
        folders = {self.scene.graph.folder(column): column for column in self.columns}
        files = self.changes.last.files
        sizes = dict(zip(files["name"].to_pylist(), files["size"].to_pylist(), strict=True))
        looked_at = [name for name, _ in tally.checksums]
        current = list(looked_at)
        for name, digest in vouched.items():
            found = layout.TARGET.fullmatch(name)
            if found is None or found["folder"] not in folders or int(found["shard"]) not in quiet:
                continue
            tally.checksums.append((name, digest))
            current.append(name)
            if name.endswith(".tar"):
                tally.bytes[folders[found["folder"]]] += sizes[name]
                tally.tars[folders[found["folder"]]] += 1
        tally.sums = {}
        for folder, column in folders.items():
            if type(self.scene.graph.stages[column]).summarise is not Stage.summarise:
                before = self._sums_before.get(folder)
                names = current if before is None else looked_at
                tally.sums[column] = self._sums(folder, names, before or {})

    @cached_property
    def _sums_before(self) -> Mapping[str, Any]:
        """The sums over all shards of the last run, by folder.

        There are none where shards of this run do not all come behind those.
        """
        changes, shards = self.changes, self.changes.rows.shards
        there = distinct(shards[shards != NO_SHARD])
        first = min((shard.number for shard in self.shards), default=changes.next_shard)
        if not np.array_equal(changes.quiet_shards, there) or first <= there.max(initial=-1):
            return {}
        sums: Mapping[str, Any] = changes.last.head["summary"].get("sums", {})
        return sums

    def _sums(self, folder: str, names: Sequence[str], before: Mapping[str, Any]) -> dict[str, Any]:
        """The sums of a column, shard after shard, as any run adds them.

        Args:
            names: of targets and others whose sums are added.
            before: the sums to which they are added.
        """
        total: dict[str, Any] = dict(before)
        markers = [n for n in names if n.startswith(f"{folder}/") and n.endswith(".parquet")]
        for name in sorted(markers, key=lambda n: int(n[len(folder) + 1 :].partition("-")[0])):
            metadata = pq.read_schema(self.out / name).metadata[MARKER_METADATA]
            add_sums(total, parse_json(metadata)["summary"])
        return total

    def _rejected_before(self) -> list[Rejection]:
        """Rows of the ledger that are of quiet shards."""
        anew = set(self.changes.corpus.keys)
        rows = [
            row
            for row in rejected_before(self.out)
            if (row.stage != STAGE or row.reason is Reason.LOW_CONFIDENCE) and row.key not in anew
        ]
        if not rows:
            return []
        plan = pq.read_table(layout.plan_file(self.out), page_checksum_verification=True)
        keys = pa.array(sorted({row.key for row in rows}), pa.string())
        placed = plan.filter(pc.is_in(plan["key"], keys))
        quiet = pc.is_in(placed["shard"], pa.array(self.changes.quiet_shards, pa.int32()))
        there = set(placed.filter(quiet)["key"].to_pylist())
        return [row for row in rows if row.key in there]


def _merge(file: Path, new: pa.Table, touched: np.ndarray, kept: int) -> tuple[Path, _Counted]:
    """Write an index in which rows are replaced beside the one that is there, and count its rows.

    Args:
        kept: row groups that stay as they are.

    Raises:
        OtherFormatError: they can't, since they were written in another way.
    """
    counted = _Counted()
    with pq.ParquetFile(file, page_checksum_verification=True, read_dictionary=_NAMED) as before:
        for first in range(0, kept, _TOGETHER):
            some = range(first, min(first + _TOGETHER, kept))
            counted.count(before.read_row_groups(some, [*_NUMBERED, *_NAMED]))
    with pq.ParquetFile(file, page_checksum_verification=True) as before:
        tables = counted.each(merged(before, new, touched, kept))
        return write_tables(file, tables, new.schema, kept=kept), counted


def groups_before(file: Path, new: pa.Table, touched: np.ndarray) -> int:
    """How many row groups of an index stay as they are, if rows of some shards are replaced.

    Args:
        new: all rows of those shards, sorted by shard.
        touched: the shards.
    """
    with pq.ParquetFile(file, page_checksum_verification=True) as index:
        shards = index.read(["shard"])["shard"].to_numpy()
        sizes = [index.metadata.row_group(i).num_rows for i in range(index.num_row_groups)]
    replaced = np.flatnonzero(np.isin(shards, touched))
    first = int(replaced[0]) if len(replaced) else len(shards)
    if new.num_rows:
        first = min(first, int(np.searchsorted(shards, new["shard"][0].as_py(), side="right")))
    groups = first // ROW_GROUP
    # what follows is held in memory
    many = len(sizes) - groups > _MOST_BEHIND
    return 0 if many or any(size != ROW_GROUP for size in sizes[:groups]) else groups


class _Counted:
    """What the card tells of the rows of an index, counted table by table."""

    def __init__(self) -> None:
        self.rows, self.hours, self._counts = 0, 0.0, dict[str, int]()
        self._named: dict[str, dict[str, int]] = {name: {} for name in _NAMED}

    def each(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables, each of which is counted."""
        for table in tables:
            self.count(table)
            yield table

    def count(self, table: pa.Table) -> None:
        """Count the rows of a table that come behind those that were counted."""
        self.rows += table.num_rows
        # one after the other, as a run on all rows adds them
        hours = table["seconds"].to_numpy() / 3600
        self.hours = float(np.add.accumulate(np.concatenate([[self.hours], hours]))[-1])
        for name in ("frames", "phones"):
            self._counts[name] = self._counts.get(name, 0) + (pc.sum(table[name]).as_py() or 0)
        for name, counts in self._named.items():
            for one in pc.value_counts(table[name].unify_dictionaries()).to_pylist():
                counts[one["values"]] = counts.get(one["values"], 0) + one["counts"]

    def tell(self, tally: Tally) -> None:
        """Put what was counted into a tally."""
        for name, count in self._counts.items():
            tally.counts[name] = count
        tally.splits.clear()
        tally.languages.clear()
        tally.splits.update(self._named["split"])
        tally.languages.update(self._named["language"])
        tally.speakers = set(self._named["speaker"])


def merged(
    before: pq.ParquetFile, new: pa.Table, touched: np.ndarray, first: int = 0
) -> Iterator[pa.Table]:
    """An index in which rows of some shards are replaced, in tables of `ROW_GROUP` rows.

    Args:
        before: the index as it is, sorted by shard.
        new: all rows of those shards, sorted by shard.
        touched: the shards, sorted; they may have no rows in either.
        first: the row group with which to begin; in those before it are none of these shards.
    """
    held: list[pa.Table] = []
    for part in _parts(before, new, touched, first):
        held.append(part)
        while sum(one.num_rows for one in held) >= ROW_GROUP:
            whole = pa.concat_tables(held)
            yield whole.slice(0, ROW_GROUP).combine_chunks()
            held = [whole.slice(ROW_GROUP)] if whole.num_rows > ROW_GROUP else []
    if held and sum(one.num_rows for one in held):
        yield pa.concat_tables(held).combine_chunks()


def _parts(
    before: pq.ParquetFile, new: pa.Table, touched: np.ndarray, first: int
) -> Iterator[pa.Table]:
    """Rows of the merged index, in order."""
    numbers, begin = new["shard"].to_numpy(), 0
    for group in range(first, before.num_row_groups):
        part = before.read_row_group(group).cast(new.schema)
        shards = part["shard"].to_numpy()
        end = int(np.searchsorted(numbers, shards[-1], side="right")) if len(shards) else begin
        keep = ~np.isin(shards, touched)
        if not keep.all() or end > begin:
            part = pa.concat_tables([part.filter(pa.array(keep)), new.slice(begin, end - begin)])
            order = np.argsort(part["shard"].to_numpy(), kind="stable")
            part, begin = part.take(pa.array(order)), end
        yield part
    yield new.slice(begin)
