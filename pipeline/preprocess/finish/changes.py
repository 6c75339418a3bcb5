"""What has changed of a manifest since the last run: only those rows are read anew.

Rows are the same where their lines have the digests that they had. A shard all of whose rows, audio
files and targets are as they were is *quiet*: nothing of it is read. All other rows, and those that
are in no shard, are read as if there were no others. Where that would not do the same as reading
all of them (ids that come twice, another first line, many changes), the whole manifest is read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.fields import Fields
from ns2.pipeline.corpora.layouts.manifest import Manifest, table_of
from ns2.pipeline.corpora.lines import Lines, read_lines
from ns2.pipeline.corpora.reading import recognised
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.index import CONFIDENCE
from ns2.pipeline.preprocess.finish.unchanged import Inputs, Last, same_but_tables
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.kept_rows import FILTERED, NO_SHARD, SPLITS, KeptRows, distinct
from ns2.pipeline.preprocess.plan.stamps import stamps_of

_SCREENED = re.compile(rf"\.state/screen-[0-9a-f]+/(?P<shard>{layout.SCREEN_FILE.pattern})")
_MOST = 0.5
"""The largest share of a manifest that is read by itself."""


@dataclass(kw_only=True)
class Changes:
    """What differs from what the last run saw.

    Attributes:
        last: that run.
        rows: of the manifest as it was.
        lines: of the manifest as it is; None where its file has not changed.
        before: (n,) int64, for each row of the manifest as it is, where it was; -1 for new ones.
        shards: (n,) int32, of the rows that were there; `NO_SHARD` for all others.
        touched: the shards that are not quiet.
        anything: whether anything differs at all.
        confident: whether the index has a confidence, which is then of an utterance not read, too.
        corpus: of the rows that are read anew.
        places: the shard of each key of these rows that has one.
        planned: how many keys have a place, with those that are gone.
        next_shard: the number of the first shard that is new.
    """

    last: Last
    rows: KeptRows
    table: Path
    lines: Lines | None
    before: np.ndarray
    shards: np.ndarray
    touched: set[int]
    anything: bool
    confident: bool
    corpus: Corpus
    places: dict[str, int] = field(default_factory=dict)
    planned: int = 0
    next_shard: int = 0

    @cached_property
    def anew(self) -> np.ndarray:
        """Which rows of the manifest are read anew, (n,) bool."""
        loud = np.isin(self.shards, list(self.touched)) if self.touched else False
        return (self.shards == NO_SHARD) | loud

    @cached_property
    def quiet_shards(self) -> np.ndarray:
        """Numbers of the quiet shards, sorted."""
        return distinct(self.shards[~self.anew])

    @property
    def found(self) -> int:
        """The number of rows of the manifest."""
        return len(self.before)

    @property
    def unread(self) -> int:
        """Rows that can't be used, and that were not read, since nothing has changed."""
        return 0 if self.anything else int(self.anew.sum())

    @cached_property
    def utterances(self) -> int:
        """The number of rows in quiet shards, each of which is an utterance."""
        return int((~self.anew).sum())

    @cached_property
    def _quiet_splits(self) -> np.ndarray:
        return self.rows.splits[self.before[~self.anew]]

    @property
    def filtered(self) -> int:
        """Utterances in quiet shards that `--min-confidence` leaves out."""
        return int((self._quiet_splits == FILTERED).sum())

    @property
    def splits(self) -> Counter[str]:
        """How many utterances of quiet shards, without those, are in each split."""
        used = self._quiet_splits[self._quiet_splits != FILTERED]
        return Counter(dict(zip(SPLITS, np.bincount(used, minlength=3).tolist(), strict=True)))

    def rows_now(self, read: KeptRows) -> KeptRows:
        """The rows of the manifest as it is.

        Args:
            read: those that were read anew, in their order, but their digests.
        """
        places = self.before.copy()
        places[self.anew] = len(self.rows) + np.arange(len(read))
        return self.rows.take(places, read)

    @property
    def digests_anew(self) -> np.ndarray:
        """Digests of the rows that are read anew, (m, 2) uint64."""
        if self.lines is not None:
            return self.lines.digests[self.anew]
        return self.rows.digests[self.before[self.anew]]


def changes_since(
    last: Last, corpus_path: Path, out: Path, options: Options, inputs: Inputs
) -> Changes | None:
    """Find what differs from what the last run saw.

    Args:
        inputs: of this run, see `inputs_of`.

    Returns:
        None where the whole manifest is to be read.
    """
    try:
        return _Looking(last, corpus_path, out, options, inputs).changes()
    except (UserError, OSError, KeyError, pa.ArrowException):
        return None  # the long way says what is wrong


class _Looking:
    """A look at all files that the last run saw."""

    def __init__(
        self, last: Last, corpus_path: Path, out: Path, options: Options, inputs: Inputs
    ) -> None:
        self._last, self._path, self._out = last, corpus_path.absolute(), out
        self._options, self._inputs = options, inputs

    def changes(self) -> Changes | None:
        last, rows = self._last, self._last.rows
        if rows is None or not same_but_tables(self._inputs, last.head["inputs"]):
            return None
        table = table_of(self._path)
        if str(table) != last.head["table"]:
            return None
        made = _shards_of(last.differing(self._out))
        if made is None or not _is_manifest(self._path, self._options):
            return None
        # Which lines were there before, and whether their audio is as it was.
        lines = None if self._inputs == last.head["inputs"] else _lines(table, self._inputs)
        before = np.arange(len(rows)) if lines is None else _places_of(lines, rows)
        if before is None:
            return None
        known = before[before >= 0]
        shards = np.where(before >= 0, rows.shards[before], NO_SHARD).astype(np.int32)
        gone = np.ones(len(rows), np.bool_)
        gone[known] = False
        touched = {*made, *rows.shards[gone].tolist(), *_changed(table, rows, known)}
        anything = bool(touched) or bool(gone.any()) or len(known) < len(before)
        if lines is not None:  # what the ledger says of a row names its line
            lost = np.flatnonzero(shards == NO_SHARD)
            anything |= bool(((before[lost] != lost) | (lines.numbers[lost] != lost + 1)).any())
        anything |= _is_any_gone(table, rows, known)  # then the ledger gives another reason
        touched |= set(last.head["retried"])
        touched -= {NO_SHARD}
        changes = Changes(
            last=last,
            rows=rows,
            table=table,
            lines=lines,
            before=before,
            shards=shards,
            touched=touched,
            anything=anything or bool(touched) or bool(last.head["missing"]),
            confident=CONFIDENCE in pq.read_schema(self._out / layout.INDEX).names,
            corpus=Corpus(layout=Manifest.name, root=table.parent, utterances=()),
        )
        if not changes.anything:
            return changes
        return self._read(changes)

    def _read(self, changes: Changes) -> Changes | None:
        """Read the rows that are not quiet, and those that share a shard with one of them."""
        lines = changes.lines if changes.lines is not None else _lines(changes.table, self._inputs)
        if lines is None or len(lines) != changes.found:
            return None
        plan = pq.read_table(layout.plan_file(self._out), page_checksum_verification=True)
        while True:
            if changes.anew.mean() > _MOST or not len(changes.quiet_shards):
                return None
            chosen = _cut(changes.table, lines, np.flatnonzero(changes.anew))
            fields = Fields.parse(self._options.fields)
            corpus = Manifest().read_some(changes.table, fields, chosen)
            places = _planned(plan, corpus.keys)
            if more := set(places.values()) - changes.touched:
                # a key that is there already, or comes back: the others of its shard decide
                changes.touched |= more
                del changes.anew, changes.quiet_shards  # they are found anew
                continue
            break
        if any(one.reason is Reason.DUPLICATE_ID for one in corpus.rejected):
            return None
        changes.lines, changes.corpus, changes.places = lines, corpus, places
        changes.planned = plan.num_rows
        changes.next_shard = int(pc.max(plan["shard"]).as_py()) + 1
        return changes


def _cut(table: Path, lines: Lines, places: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Some lines with their line feeds, and their numbers."""
    with table.open("rb") as file:
        for place in places.tolist():
            file.seek(lines.starts[place])
            yield int(lines.numbers[place]), file.read(int(lines.sizes[place]) + 1)


def _is_manifest(path: Path, options: Options) -> bool:
    reader = recognised(path) if options.layout is None else None
    return (options.layout if reader is None else reader.name) == Manifest.name


def _shards_of(names: Iterable[str]) -> set[int] | None:
    """The shards of files that a dataset's runs made; None if one of them belongs to none."""
    shards = set()
    for name in names:
        found = layout.TARGET.fullmatch(name) or _SCREENED.fullmatch(name)
        if found is None:
            return None
        shards.add(int(found["shard"].partition(".")[0]))
    return shards


def _lines(table: Path, inputs: Inputs) -> Lines | None:
    """The lines of a manifest; None if it is no more as it was when inputs were asked for."""
    lines = read_lines(table)
    return lines if is_as_asked(table, inputs) else None


def is_as_asked(table: Path, inputs: Inputs) -> bool:
    """Whether a table still has the size and time that it had when inputs were asked for."""
    asked = {name: (size, time) for name, size, time in json.loads(inputs)["tables"]}
    return asked.get(str(table)) == stamp(table)


def _places_of(lines: Lines, rows: KeptRows) -> np.ndarray | None:
    """Where each line was, (n,) int64, -1 for new ones; None where this can't be told by rows.

    What the first line is decides how a table is read, and lines that come twice have one id.
    """
    if not len(rows) or not len(lines) or (lines.digests[0] != rows.digests[0]).any():
        return None
    common = min(len(lines), len(rows))
    same = (lines.digests[:common] == rows.digests[:common]).all(1)
    until = common if same.all() else int(same.argmin())
    before = np.full(len(lines), -1, np.int64)
    before[:until] = np.arange(until)
    # behind the first change by their digests
    order = np.argsort(rows.digests[until:, 0], kind="stable")
    there, asked = rows.digests[until:][order], lines.digests[until:]
    if len(there) and len(asked):
        at = np.minimum(np.searchsorted(there[:, 0], asked[:, 0]), len(there) - 1)
        found = (there[at] == asked).all(1)
        before[until:][found] = until + order[at[found]]
    known = before[before >= 0]
    places = np.zeros(len(rows), np.bool_)
    places[known] = True
    return before if np.count_nonzero(places) == len(known) else None


def _changed(table: Path, rows: KeptRows, known: np.ndarray) -> set[int]:
    """The shards of rows whose audio is not as it was."""
    chosen = known[rows.shards[known] != NO_SHARD]
    whole = len(chosen) == len(rows)
    names = rows.sources if whole else rows.sources.take(pa.array(chosen))
    sizes, times = stamps_of(table.parent, names)
    same = (sizes == rows.sizes[chosen]) & (times == rows.times[chosen]) & (sizes >= 0)
    return set(rows.shards[chosen[~same]].tolist())


def _is_any_gone(table: Path, rows: KeptRows, known: np.ndarray) -> bool:
    """Whether audio is gone that a row names which is in no shard for another reason."""
    names = rows.sources.take(pa.array(known[rows.shards[known] == NO_SHARD]))
    sizes, _ = stamps_of(table.parent, names.filter(pc.not_equal(names, "")))
    return bool((sizes < 0).any())


def _planned(plan: pa.Table, keys: Iterable[str]) -> dict[str, int]:
    """The shards of those keys that have one."""
    found = plan.filter(pc.is_in(plan["key"], pa.array(sorted(set(keys)), pa.string())))
    return dict(zip(found["key"].to_pylist(), found["shard"].to_pylist(), strict=True))
