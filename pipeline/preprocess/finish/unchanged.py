"""Runs that have nothing to do: what the last run saw is remembered, and only looked at again.

`.state/finished.parquet` has a row for each file that a finished run depends on or made, with its
size and modification time, and all that decides what a run does beside them. Where all of it is as
it was, the next run would find every target made and write nothing, so it needs neither read the
corpus nor open a marker. It is written for manifests: one table names all their recordings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write, delete, stamp
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import PASSING, Kind, Reason, Rejection
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.layouts.manifest import MORE_NAMES, NAMES, Manifest
from ns2.pipeline.dataset import layout
from ns2.pipeline.preprocess.finish.finisher import Summary
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.recipe import describe, described_options
from ns2.pipeline.stages.graph import Graph

_HEAD = b"ns2.finished"
_ROWS = 1 << 16
_SCHEMA = pa.schema(
    [("root", pa.string()), ("name", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64())]
)
_COUNTED = ("found", "written", "hours_found", "hours", "column_bytes")

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


def keep(
    out: Path,
    inputs: Inputs | None,
    corpus: Corpus,
    sources: Sequence[Source],
    summary: Summary,
    notes: Sequence[str],
) -> None:
    """Remember a run that has just finished, or forget the last one where files do not tell all.

    Args:
        sources: of all utterances of the corpus.
        notes: what was told of the corpus.
    """
    file = layout.finished_file(out)
    if inputs is None or not _told_by_files(corpus, sources, summary):
        delete(file)
        return
    head = {
        "inputs": inputs,
        "summary": {name: getattr(summary, name) for name in _COUNTED},
        "notes": list(notes),
    }
    schema = _SCHEMA.with_metadata({_HEAD: json.dumps(head).encode()})
    rows = {(str(corpus.root), s.utterance.source): s.stamp for s in sources}
    rows |= {(".", name): stamp(out / name) for name in _made(out)}
    columns = zip(*((*place, *(at or (-1, -1))) for place, at in rows.items()), strict=True)
    arrays = [
        pa.array(list(column), kind) for column, kind in zip(columns, schema.types, strict=True)
    ]
    with atomic_write(file) as written:
        pq.write_table(
            pa.Table.from_arrays(arrays, schema=schema),
            written,
            row_group_size=_ROWS,
            compression="zstd",
            write_page_checksum=True,
        )


def _told_by_files(corpus: Corpus, sources: Sequence[Source], summary: Summary) -> bool:
    """Whether another run would do the same as long as no file changes.

    Files that were missing may appear, and what failed for reasons of the machine is tried again.
    """
    return (
        corpus.layout == Manifest.name
        and len(sources) == len(corpus.utterances)
        and not any(one.reason is Reason.AUDIO_MISSING for one in corpus.rejected)
        and not any(one.reason in PASSING for one in summary.rejected)
    )


def _made(out: Path) -> Iterator[str]:
    """Names of the files of a dataset, and of what runs remember of it."""
    lines = (out / layout.SUMS).read_text("utf-8").splitlines()
    yield from (line.partition("  ")[2] for line in lines)
    yield from (layout.SUMS, layout.CARD, layout.README)
    for folder, _, names in os.walk(out / layout.STATE):
        place = Path(folder).relative_to(out).as_posix()
        for name in names:
            if name not in ("lock", layout.finished_file(out).name):
                yield f"{place}/{name}"


def recall(out: Path, inputs: Inputs | None) -> Recalled | None:
    """The last run, where this one would find everything as that one left it; else None."""
    file = layout.finished_file(out)
    if inputs is None or not file.is_file():
        return None
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as table:
            head = json.loads(table.schema_arrow.metadata[_HEAD])
            if head["inputs"] != inputs or not _all_as_seen(out, table):
                return None
        summary = Summary(**head["summary"], rejected=_rejected(out))
        return Recalled(summary, tuple(head["notes"]))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None  # only a shortcut: the run goes the long way


def _all_as_seen(out: Path, table: pq.ParquetFile) -> bool:
    """Whether all files have the sizes and times that they had."""
    roots: dict[str, str] = {}
    for batch in table.iter_batches(_ROWS):
        for root, name, *seen in zip(*(column.to_pylist() for column in batch), strict=True):
            if root not in roots:
                roots[root] = f"{out if root == '.' else root}/"
            # a Path for each would take five times as long
            found = os.stat(roots[root] + name)  # noqa: PTH116
            if [found.st_size, found.st_mtime_ns] != seen:
                return False
    return True


def _rejected(out: Path) -> list[Rejection]:
    """The ledger of a dataset."""
    rows: list[dict[str, Any]] = pq.read_table(out / layout.REJECTED).to_pylist()
    return [
        Rejection(**{**row, "kind": Kind(row["kind"]), "reason": Reason(row["reason"])})
        for row in rows
    ]
