"""Runs that have nothing to do: what the last run saw is remembered, and only looked at again.

`.state/finished.parquet` has a row for each file that a finished run depends on or made, with its
size and modification time, and all that decides what a run does beside them. Where all of it is as
it was, the next run would find every target made and write nothing, so it needs neither read the
corpus nor open a marker. It is written for manifests: one table names all their recordings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write, delete, stamp
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import PASSING, Kind, Reason, Rejection
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.layouts.manifest import MORE_NAMES, NAMES, Manifest
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.bucket.staging import bucket_of
from ns2.pipeline.preprocess.finish.finisher import Summary
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.kept_rows import FILTERED, NO_SHARD, SPLITS, KeptRows
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.plan.stamps import stamps_of
from ns2.pipeline.preprocess.recipe import describe, described_options
from ns2.pipeline.stages.graph import Graph

_HEAD = b"ns2.finished"
_ROWS = 1 << 16
_MANY_ROWS = 32 << 20  # bytes that are kept of rows, two million of them
_SCHEMA = pa.schema(
    [("root", pa.string()), ("name", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64())]
)
_UNSEEN = ("lock", "finished.parquet", "rows.parquet")
"""Files of the folder of state whose sizes and times are not kept."""
_COUNTED = ("found", "written", "hours_found", "hours", "column_bytes", "sums")

Inputs = str
"""All that decides what a run does, apart from recordings and what is made already, as JSON."""


@dataclass(frozen=True)
class Recalled:
    """A run that has nothing to do.

    Attributes:
        summary: of the dataset, as the run that made it gave it; nothing is made.
        notes: what was told of the corpus.
    """

    summary: Summary
    notes: tuple[str, ...]


def inputs_of(corpus_path: Path, options: Options, graph: Graph) -> Inputs | None:
    """What decides what a run does; asked before the corpus is read.

    Returns:
        None where more than the tables of a manifest decides.
    """
    path = corpus_path.absolute()
    if options.checksum or options.retrain_aligner or options.textgrids is not None:
        return None
    names = [path] if path.is_file() else [path / name for name in (*NAMES, *MORE_NAMES)]
    tables = [(str(name), *stamp(name)) for name in names if name.is_file()]
    if not tables:
        return None
    return canonical_json(
        {
            "ns2": version("ns2"),
            "corpus": str(path),
            # a table that is added or removed
            "folder": 0 if path.is_file() else path.stat().st_mtime_ns,
            "tables": tables,
            "options": {name: repr(value) for name, value in asdict(options).items()},
            "files": _named_files(options),
            "told": described_options(graph, options),
            "stages": {name: asdict(describe(graph, name)) for name in graph.stages},
        }
    )


def _named_files(options: Options) -> dict[str, tuple[int, int]]:
    """Sizes and times of the files that options name, such as a lexicon, whose texts may change."""
    named = {name: Path(value) for name, value in asdict(options).items() if _is_name(value)}
    return {name: stamp(path) for name, path in named.items() if path.is_file()}


def _is_name(value: object) -> bool:
    return isinstance(value, Path) or (isinstance(value, str) and bool(value))


@dataclass(frozen=True, kw_only=True)
class Done:
    """A run that has just finished, on all rows of a corpus or on some of them.

    Attributes:
        sources: of all utterances of the corpus.
        places: the shard of each key.
        summary: of the whole dataset.
        notes: what was told of the run.
        told: of these, what the reader of the corpus decided.
    """

    corpus: Corpus
    told: Sequence[str]
    options: Options
    sources: Sequence[Source]
    places: Mapping[str, int]
    summary: Summary
    notes: Sequence[str]

    def rows(self, digests: np.ndarray) -> KeptRows:
        """What was seen of the rows of the corpus.

        Args:
            digests: of their lines, (n, 2) uint64.
        """
        low = {r.key for r in self.summary.rejected if r.reason is Reason.LOW_CONFIDENCE}
        known = {one.key: (NO_SHARD, 0, -1, -1, one.source) for one in self.corpus.rejected}
        known |= {source.key: self._seen(source, source.key in low) for source in self.sources}
        nothing = (NO_SHARD, 0, -1, -1, "")
        columns = list(zip(*(known.get(key, nothing) for key in self.corpus.keys), strict=True))
        kinds = (np.int32, np.int8, np.int64, np.int64)
        numbers = columns[:4] or [()] * 4
        shards, splits, sizes, times = (
            np.array(n, kind) for n, kind in zip(numbers, kinds, strict=True)
        )
        texts = pa.array(columns[4] if columns else [], pa.string())
        return KeptRows(
            digests=digests,
            shards=shards,
            splits=splits,
            sizes=sizes,
            times=times,
            sources=pa.chunked_array([texts]),
        )

    def _seen(self, source: Source, low: bool) -> tuple[int, int, int, int, str]:
        utterance, options = source.utterance, self.options
        split = assign_split(utterance, val_share=options.val_share, val_by=options.val_by)
        size, time = source.stamp or (-1, -1)
        code = FILTERED if low else SPLITS.index(split)
        return self.places[source.key], code, size, time, utterance.source

    @property
    def retried(self) -> list[int]:
        """Shards in which something failed for reasons that may be the machine's."""
        failed = (one.key for one in self.summary.rejected if one.reason in PASSING)
        return sorted({self.places[key] for key in failed if key in self.places})

    @property
    def told_by_files(self) -> bool:
        """Whether another run would do the same as long as no file changes.

        Files that were missing may appear, and what failed for reasons of the machine is tried
        again.
        """
        return not self.missing and not any(r.reason in PASSING for r in self.summary.rejected)

    @property
    def missing(self) -> bool:
        """Whether recordings are missing, or can't be opened."""
        return len(self.sources) != len(self.corpus.utterances) or any(
            one.reason is Reason.AUDIO_MISSING for one in self.corpus.rejected
        )


def keep_rows(out: Path, inputs: Inputs | None, done: Done, rows: KeptRows | None) -> None:
    """Remember a run that has just finished, and what was seen of all rows of its manifest."""
    file, corpus = layout.finished_file(out), done.corpus
    delete(file)
    if any(one.reason is Reason.DUPLICATE_ID for one in corpus.rejected):
        rows = None  # which of them counts depends on all rows
    if rows is None:
        delete(layout.rows_file(out))
    if inputs is None or corpus.layout != Manifest.name:
        return
    if rows is None and not done.told_by_files:
        return
    head: dict[str, Any] = {
        "inputs": inputs,
        "summary": {name: getattr(done.summary, name) for name in _COUNTED},
        "notes": list(done.notes),
    }
    files = [_as_they_are(out)]
    if rows is not None:
        rows.save(layout.rows_file(out))
        head |= {
            "table": str(corpus.table),
            "rows": rows.digest,
            "told": list(done.told),
            "missing": done.missing,
            "retried": done.retried,
        }
    else:
        seen = {s.utterance.source: s.stamp or (-1, -1) for s in done.sources}
        stamps = np.array([*seen.values()], np.int64).reshape(-1, 2)
        files.insert(0, _seen_files(str(corpus.root), pa.array(seen, pa.string()), *stamps.T))
    _write(file, head, pa.concat_tables(files))


def _as_they_are(out: Path) -> pa.Table:
    """Sizes and times of the files of a dataset and of what runs remember of it, as rows."""
    names = pa.array(_made(out), pa.string())
    return _seen_files(".", names, *stamps_of(out, pa.chunked_array([names])))


def _seen_files(root: str, names: pa.Array, sizes: np.ndarray, times: np.ndarray) -> pa.Table:
    roots = pa.array([root], pa.string()).take(pa.array(np.zeros(len(names), np.int8)))
    return pa.Table.from_arrays([roots, names, sizes, times], schema=_SCHEMA)


def _write(file: Path, head: Mapping[str, Any], files: pa.Table) -> None:
    table = files.replace_schema_metadata({_HEAD: json.dumps(head).encode()})
    with atomic_write(file) as written:
        pq.write_table(
            table, written, row_group_size=_ROWS, compression="zstd", write_page_checksum=True
        )


def renew(out: Path, inputs: Inputs, last: Last) -> None:
    """Remember that a run found all as the last one left it, by other sizes and times of tables."""
    _write(layout.finished_file(out), {**last.head, "inputs": inputs}, last.files)


def _made(out: Path) -> Iterator[str]:
    """Names of the files of a dataset, and of what runs remember of it."""
    lines = (out / layout.SUMS).read_text("utf-8").splitlines()
    yield from (line.partition("  ")[2] for line in lines)
    yield from (layout.SUMS, layout.CARD)  # README.md is written again by each run
    for folder, _, names in os.walk(out / layout.STATE):
        place = Path(folder).relative_to(out).as_posix()
        for name in names:
            if name not in _UNSEEN:
                yield f"{place}/{name}"


@dataclass(frozen=True, kw_only=True)
class Last:
    """What the last finished run saw.

    Attributes:
        head: its inputs, summary and notes; and, where rows are kept, their digest, the path of
            their table, whether recordings were missing, and the shards that are tried again.
        files: root, name, size and mtime_ns of all that it depended on or made, but kept rows.
        rows: of its manifest, where they are kept.
    """

    head: dict[str, Any]
    files: pa.Table
    rows: KeptRows | None

    @classmethod
    def load(cls, out: Path) -> Last | None:
        """What the last run saw, or None if that is lost or damaged: it is only a shortcut."""
        file = layout.finished_file(out)
        if not file.is_file():
            return None
        try:
            files = pq.read_table(file, page_checksum_verification=True)
            head = json.loads(files.schema.metadata[_HEAD])
            rows = KeptRows.load(layout.rows_file(out)) if "table" in head else None
            if rows is not None and rows.digest != head["rows"]:
                return None
            if not {"inputs", "summary", "notes"} <= head.keys():
                return None
            return cls(head=head, files=files, rows=rows)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def differing(self, out: Path) -> list[str]:
        """Names of files that are no more as they were seen; kept rows are not looked at.

        Args:
            out: the dataset's folder.
        """
        found: list[str] = []
        for root in self.files["root"].unique().to_pylist():
            part = self.files.filter(pc.equal(self.files["root"], root))
            sizes, times = stamps_of(out if root == "." else Path(root), part["name"])
            seen = part["size"].to_numpy(), part["mtime_ns"].to_numpy()
            same = (sizes == seen[0]) & (times == seen[1]) & (sizes >= 0)
            found += part["name"].filter(pa.array(~same)).to_pylist()
        return found

    def recalled(self, out: Path) -> Recalled | None:
        """The run as one that has nothing to do; None if its ledger is damaged."""
        try:
            summary = Summary(**self.head["summary"], rejected=rejected_before(out))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None
        return Recalled(summary, tuple(self.head["notes"]))


def announces_work(out: Path, inputs: Inputs) -> bool:
    """Whether there is most likely something to make, which to find out takes a while.

    That is where another table of millions of rows is to be compared with the last one; its rows
    may be the same all the same.
    """
    try:
        if layout.rows_file(out).stat().st_size < _MANY_ROWS or bucket_of(out):
            return False
        before = json.loads(pq.read_schema(layout.finished_file(out)).metadata[_HEAD])["inputs"]
        return bool(before != inputs and same_but_tables(before, inputs))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return False


def same_but_tables(one: Inputs, other: Inputs) -> bool:
    """Whether inputs are the same, whatever the sizes and times of the manifest's tables are."""
    mine, others = json.loads(one), json.loads(other)
    for name in ("tables", "folder"):
        mine.pop(name, None)
        others.pop(name, None)
    return bool(mine == others)


def rejected_before(out: Path) -> list[Rejection]:
    """The ledger of a dataset."""
    rows: list[dict[str, Any]] = pq.read_table(out / layout.REJECTED).to_pylist()
    return [
        Rejection(**{**row, "kind": Kind(row["kind"]), "reason": Reason(row["reason"])})
        for row in rows
    ]
