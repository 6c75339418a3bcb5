"""`ns2 verify`: is every byte of a dataset what was written, and does it keep the contract?

The chain of trust begins at the card, which holds its own digest and that of SHA256SUMS, which
lists every file. A file that differs from what it must be is named; then what it says is not
used any more, so that one fault gives one report and the rest is still checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.files import sha256_file
from ns2.pipeline.index import (
    ASSETS,
    CARD,
    INDEX,
    REJECTED,
    REJECTED_SCHEMA,
    SUMS,
    card_text,
    checksum_text,
    index_schema,
    row_crc,
)
from ns2.pipeline.schema import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    ColumnSpec,
    FrameGrid,
    Kind,
    Reason,
    UserError,
    sealed,
)
from ns2.pipeline.verify_shard import (
    MOST_FAULTS,
    Fault,
    ShardResult,
    ShardTask,
    Target,
    caught,
    check_shard,
)

__all__ = ["Fault", "Report", "verify"]

SAMPLE_SEED = 0
_TAR = re.compile(r"(([a-z0-9]+)-[0-9a-f]+)/(\d{5,})-[0-9a-f]+\.(tar|parquet)")
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


@dataclass(kw_only=True)
class Report:
    """What a verification found.

    Attributes:
        faults: in the order of the card, small files, shards, counts; empty if all is well.
        utterances, shards: in the dataset.
        files: of the dataset that were read whole.
        arrays: how many were read.
        bytes: of tars that were read whole.
    """

    faults: list[Fault] = field(default_factory=list)
    utterances: int = 0
    shards: int = 0
    files: int = 0
    arrays: int = 0
    bytes: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.faults


def verify(
    root: Path,
    *,
    sample: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check everything in a dataset.

    Args:
        root: the dataset's folder.
        sample: read all small files, but only so many arrays, always the same ones; None reads
            every tar whole.
        workers: processes.
        progress: called with shards done and shards in all.

    Returns:
        a report; whatever is wrong inside the folder is a fault in it.

    Raises:
        UserError: there is no such folder, or an option makes no sense.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    if sample is not None and sample < 1:
        raise UserError("--sample must be at least 1")
    if workers < 1:
        raise UserError("--workers must be at least 1")
    return _Verification(root, sample, workers, progress or (lambda done, total: None)).carry_out()


class _Verification:
    """One verification; its steps in order are in `carry_out`."""

    def __init__(
        self, root: Path, sample: int | None, workers: int, progress: Callable[[int, int], None]
    ) -> None:
        self._root, self._sample, self._workers, self._progress = root, sample, workers, progress
        self._report = Report()
        self._faults = self._report.faults
        self._card: dict[str, Any] | None = None  # None if it can't be trusted
        self._listed: dict[str, str] = {}  # SHA-256 by name, as SHA256SUMS says
        self._sums_whole = False
        self._found: dict[str, str] = {}  # SHA-256 by name, as it is
        self._assets: list[str] = []
        self._index_whole = False

    def carry_out(self) -> Report:
        """The card, what it vouches for, and then what that vouches for."""
        with caught(self._faults, CARD):
            if not self._check_card():
                return self._report
        with caught(self._faults, SUMS):
            self._check_sums()
        with caught(self._faults, REJECTED):
            self._check_rejected()
        with caught(self._faults, ASSETS):
            self._check_assets()
        with caught(self._faults, INDEX):
            self._check_index()
        with caught(self._faults, SUMS):
            self._check_shards()
        with caught(self._faults, SUMS):
            self._compare_sums()
        self._report.files = len(self._found)
        return self._report

    def _fault(self, place: str, message: str, **where: Any) -> None:
        self._faults.append(Fault(place=place, message=message, **where))

    def _check_card(self) -> bool:
        """The card is of our format and the one that was written; False ends the verification."""
        path = self._root / CARD
        if not path.is_file():
            self._fault(
                CARD,
                "is missing: this is no dataset, or `ns2 preprocess` has not finished it; "
                "run it again, it goes on where it stopped",
            )
            return False
        text = path.read_bytes()
        try:
            card = json.loads(text.decode("utf-8"))
        except ValueError as error:
            self._fault(CARD, f"is not JSON: {error}")
            return True
        if not isinstance(card, dict) or card.get("digest") != sealed(card)["digest"]:
            self._fault(CARD, "is not the card that was written: its digest is not that of the rest")
            return True
        if card.get("format") != FORMAT:
            self._fault(CARD, f"format is {card.get('format')!r}, expected {FORMAT!r}")
            return False
        if card.get("format_version") != FORMAT_VERSION:
            version = card.get("format_version")
            self._fault(CARD, f"format version is {version}, this ns2 knows {FORMAT_VERSION}")
            return False
        if card_text(card).encode() != text:
            self._fault(CARD, "its digest is right, but it is not written as ns2 writes it")
        self._card = card
        return True

    def _check_sums(self) -> None:
        """SHA256SUMS is the one that the card tells of."""
        data = (self._root / SUMS).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self._sums_whole = self._card is None or digest == self._card["sha256sums"]
        if not self._sums_whole:
            assert self._card is not None
            self._fault(SUMS, f"SHA-256 is {digest}, the card says {self._card['sha256sums']}")
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = _LINE.fullmatch(line)
            if match is None:
                if self._sums_whole:
                    self._fault(SUMS, f"line {number} is not a SHA-256, two spaces and a name")
                continue
            self._listed[match[2]] = match[1]

    def _vouched(self, name: str) -> str:
        """The SHA-256 that a file must have; empty where SHA256SUMS can't tell."""
        return self._listed.get(name, "") if self._sums_whole else ""

    def _check_file(self, name: str) -> bool:
        """A small file is there and the one that was written."""
        path = self._root / name
        if not path.is_file():
            self._fault(name, "is missing")
            return False
        digest = self._found[name] = sha256_file(path)
        expected = self._vouched(name)
        if expected and digest != expected:
            self._fault(name, f"SHA-256 is {digest}, {SUMS} says {expected}")
            return False
        return True

    def _check_rejected(self) -> None:
        """The ledger's other half: every row is of a known kind and reason, and they add up."""
        if not self._check_file(REJECTED):
            return
        table = pq.read_table(self._root / REJECTED, page_checksum_verification=True)
        if table.schema.names != REJECTED_SCHEMA.names:
            self._fault(REJECTED, f"has columns {table.schema.names}")
            return
        kinds, reasons = Counter(table["kind"].to_pylist()), Counter(table["reason"].to_pylist())
        for name, known, values in (("kind", Kind, kinds), ("reason", Reason, reasons)):
            unknown = sorted(set(values) - {str(one) for one in known})
            if unknown:
                self._fault(REJECTED, f"holds {name} {', '.join(unknown)}, which does not exist")
        if self._card is None:
            return
        counts = self._card["counts"]
        for kind in Kind:
            if kinds[str(kind)] != counts[str(kind)]:
                self._fault(
                    REJECTED, f"{kinds[str(kind)]} are {kind}, the card says {counts[str(kind)]}"
                )
        if dict(reasons) != counts["reasons"]:
            self._fault(REJECTED, f"reasons are {dict(reasons)}, the card says {counts['reasons']}")
        if counts["found"] != counts["written"] + counts["rejected"] + counts["filtered"]:
            self._fault(
                CARD,
                f"the ledger does not balance: found {counts['found']}, written "
                f"{counts['written']}, rejected {counts['rejected']}, filtered "
                f"{counts['filtered']}",
            )

    def _check_assets(self) -> None:
        if self._card is not None:
            self._assets = list(self._card["assets"])
        else:
            self._assets = [name for name in self._listed if name.startswith(f"{ASSETS}/")]
        self._assets = [name for name in self._assets if self._check_file(name)]

    def _asset(self, prefix: str) -> Path | None:
        for name in self._assets:
            if name.startswith(f"{ASSETS}/{prefix}-"):
                return self._root / name
        return None

    def _entries(self) -> int | None:
        """Size of the codebooks: codes must be below it."""
        path = self._asset("codebooks")
        if path is None:
            return None
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return int(file.get_slice("codebooks").get_shape()[1])

    def _columns(self) -> list[str]:
        if self._card is not None:
            return list(self._card["columns"])
        folders = {m[2] for name in self._listed if (m := _TAR.fullmatch(name))}
        return [column for column in COLUMNS if column in folders]

    def _specs(self) -> dict[str, ColumnSpec]:
        """Of all columns; without a card, what every dataset's columns have in common."""
        if self._card is None:
            return {c: ColumnSpec(name=c, dtype=COLUMNS[c][0], dims=COLUMNS[c][1])
                    for c in self._columns()}  # fmt: skip
        return {
            name: ColumnSpec(name=name, dtype=told["dtype"], dims=tuple(told["dims"]))
            for name, told in self._card["columns"].items()
        }

    def _grid(self) -> FrameGrid:
        if self._card is None:
            return FrameGrid()
        grid = self._card["grid"]
        return FrameGrid(sample_rate=grid["sample_rate"], hop_length=grid["hop_length"])

    def _check_index(self) -> None:
        """The index as a whole; its rows are checked with their shards."""
        whole = self._check_file(INDEX)
        if not whole:
            if INDEX in self._found:
                self._blame_rows()
            return
        schema = pq.read_schema(self._root / INDEX)
        if not schema.equals(index_schema(self._columns())):
            self._fault(INDEX, f"its columns are not those of a dataset: {schema.names}")
            return
        names = ["key", "shard", "split", "speaker", "language", "seconds", "frames", "phones"]
        try:
            table = pq.read_table(
                self._root / INDEX, columns=names, page_checksum_verification=True
            )
            for _ in self._index_shards():  # every page can be read
                pass
        except (pa.ArrowException, OSError) as error:
            self._fault(INDEX, f"can't be read: {error}")
            self._blame_rows()
            return
        self._index_whole = True
        self._report.utterances = table.num_rows
        counted = pc.value_counts(table["key"].combine_chunks())
        for one in counted.filter(pc.greater(counted.field("counts"), 1)).to_pylist()[:MOST_FAULTS]:
            self._fault(INDEX, f"the key is there {one['counts']} times", key=str(one["values"]))
        if self._card is not None:
            self._compare_counts(table)

    def _blame_rows(self) -> None:
        """Name the keys whose rows are no longer what was written, if the index can be read."""
        try:
            table = pq.read_table(self._root / INDEX)
            rows = table.to_pylist()
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            self._fault(INDEX, f"can't be read, so no key can be named: {error}")
            return
        bad = []
        for row in rows:
            try:
                if row_crc(row) != row["row_crc"]:
                    bad.append(row)
            except (KeyError, TypeError, ValueError):
                bad.append(row)
        for row in bad[:MOST_FAULTS]:
            shard = row.get("shard")
            self._fault(
                INDEX,
                "the row is not the one that was written (its row_crc differs)",
                shard=shard if isinstance(shard, int) else None,
                key=str(row.get("key") or ""),
            )
        if len(bad) > MOST_FAULTS:
            self._fault(INDEX, f"and {len(bad) - MOST_FAULTS} more rows")

    def _compare_counts(self, table: pa.Table) -> None:
        """The card's counts are those of the index."""
        assert self._card is not None
        counts = self._card["counts"]
        found = {
            "written": table.num_rows,
            "frames": pc.sum(table["frames"]).as_py() or 0,
            "phones": pc.sum(table["phones"]).as_py() or 0,
            "speakers": pc.count_distinct(table["speaker"]).as_py(),
            "splits": _counted(table["split"]),
            "languages": _counted(table["language"]),
        }
        for name, value in found.items():
            if counts[name] != value:
                self._fault(INDEX, f"{name}: {value} in the index, the card says {counts[name]}")
        hours = (pc.sum(table["seconds"]).as_py() or 0.0) / 3600
        if abs(hours - counts["hours"]) > 1e-9 * max(hours, 1e-9):  # sums may be rounded apart
            self._fault(INDEX, f"hours: {hours} in the index, the card says {counts['hours']}")

    def _index_shards(self) -> Iterator[tuple[int, pa.Table]]:
        """The index shard by shard, one row group in memory."""
        number, parts = None, list[pa.Table]()
        with pq.ParquetFile(self._root / INDEX, page_checksum_verification=True) as file:
            for i in range(file.num_row_groups):
                group = file.read_row_group(i)
                shards = group["shard"].to_pylist()
                begin = 0
                for end in range(1, len(shards) + 1):
                    if end < len(shards) and shards[end] == shards[begin]:
                        continue
                    if parts and shards[begin] != number:
                        yield number or 0, pa.concat_tables(parts)
                        parts = []
                    number = shards[begin]
                    parts.append(group.slice(begin, end - begin))
                    begin = end
        if parts:
            yield number or 0, pa.concat_tables(parts)

    def _listed_targets(self) -> dict[int, dict[str, str]]:
        """Tar of each column by shard, as SHA256SUMS lists them; also those listed by marker."""
        targets: dict[int, dict[str, str]] = {}
        for name in self._listed:
            if match := _TAR.fullmatch(name):
                tar = re.sub(r"parquet$", "tar", name)
                targets.setdefault(int(match[3]), {})[match[2]] = tar
        return targets

    def _shard_tables(self) -> Iterator[tuple[int, pa.Table | None]]:
        if self._index_whole:
            yield from self._index_shards()
        elif self._sums_whole:
            yield from ((number, None) for number in sorted(self._listed_targets()))
        else:
            self._fault(
                INDEX, f"no tar was checked: neither the index nor {SUMS} tells which there are"
            )

    def _tasks(self) -> Iterator[ShardTask]:
        specs, grid = self._specs(), self._grid()
        table_file, entries = self._asset("phonemes"), None
        table = None
        with caught(self._faults, ASSETS):
            entries = self._entries()
        with caught(self._faults, ASSETS):
            table = table_file.read_text("utf-8") if table_file else None
        listed = self._listed_targets() if self._sums_whole else {}
        samples = self._draw()
        seen: set[int] = set()
        for number, rows in self._shard_tables():
            if number in seen:
                self._fault(INDEX, "its rows are not together", shard=number)
            seen.add(number)
            named = dict(listed.get(number, {}))
            if rows is not None:
                named = self._indexed_targets(number, rows, specs)
            targets = tuple(
                Target(
                    spec=specs[column],
                    tar=tar,
                    tar_sha256=self._vouched(tar),
                    marker_sha256=self._vouched(tar.removesuffix(".tar") + ".parquet"),
                )
                for column, tar in named.items()
                if column in specs
            )
            yield ShardTask(
                root=self._root,
                number=number,
                grid=grid,
                targets=targets,
                rows=rows,
                entries=entries,
                table=table,
                sample=samples(number),
            )

    def _indexed_targets(
        self, number: int, rows: pa.Table, specs: Mapping[str, ColumnSpec]
    ) -> dict[str, str]:
        """The tar of each column that a shard's rows refer to: one for all of them."""
        named: dict[str, str] = {}
        for column in specs:
            files = Counter(rows[f"{column}_file"].to_pylist()).most_common()
            if len(files) > 1:
                self._fault(
                    INDEX,
                    f"its rows refer to {len(files)} tars: {', '.join(f for f, _ in files[:3])}",
                    column=column,
                    shard=number,
                )
            tar = files[0][0]
            match = _TAR.fullmatch(tar or "")
            folder = self._card["columns"][column]["folder"] if self._card else None
            if match is None or match[4] != "tar" or int(match[3]) != number or match[2] != column:
                self._fault(INDEX, f"{tar} is not its tar", column=column, shard=number)
            elif folder not in (None, match[1]):
                message = f"{tar} is not in the column's folder, {folder}"
                self._fault(INDEX, message, column=column, shard=number)
            if isinstance(tar, str):
                named[column] = tar
        return named

    def _draw(self) -> Callable[[int], int | None]:
        """How many arrays of a shard are read, None for all."""
        if self._sample is None:
            return lambda number: None
        if not self._index_whole:
            shards = len(self._listed_targets())
            share = -(-self._sample // max(shards, 1))
            return lambda number: share
        numbers = pq.read_table(self._root / INDEX, columns=["shard"])["shard"].to_pylist()
        columns = len(self._columns())
        drawn = Random(SAMPLE_SEED).sample(
            range(len(numbers) * columns), min(self._sample, len(numbers) * columns)
        )
        counts = Counter(numbers[i // columns] for i in drawn)
        return lambda number: counts[number]

    def _check_shards(self) -> None:
        sizes: Counter[str] = Counter()
        tars: Counter[str] = Counter()
        expected: set[str] = {INDEX, REJECTED, *self._assets}
        total = 0
        if self._index_whole:
            numbers = pq.read_table(self._root / INDEX, columns=["shard"])["shard"]
            total = pc.count_distinct(numbers).as_py()
        elif self._sums_whole:
            total = len(self._listed_targets())
        for done, (task, result) in enumerate(self._carried_out(self._tasks()), 1):
            self._faults += result.faults
            self._found.update(result.sums)
            self._report.arrays += result.arrays
            self._report.bytes += result.bytes
            sizes.update(result.sizes)
            tars.update(result.sizes.keys())
            for target in task.targets:
                expected |= {target.tar, target.marker}
            self._report.shards = done
            self._progress(done, total)
        if not self._index_whole:
            return
        if self._sums_whole:
            for name in sorted(expected - set(self._listed)):
                self._fault(SUMS, f"does not list {name}", **_place(name))
            for name in sorted(set(self._listed) - expected - set(self._all_assets())):
                self._fault(SUMS, f"lists {name}, which is not of the dataset", **_place(name))
        if self._card is not None and not self._faults:
            for column, told in self._card["columns"].items():
                if (tars[column], sizes[column]) != (told["tars"], told["bytes"]):
                    self._fault(
                        CARD,
                        f"{told['tars']} tars of {told['bytes']} bytes; there are "
                        f"{tars[column]} of {sizes[column]}",
                        column=column,
                    )

    def _all_assets(self) -> Iterable[str]:
        """Names of assets, damaged or missing ones included."""
        if self._card is not None:
            return self._card["assets"]
        return [name for name in self._listed if name.startswith(f"{ASSETS}/")]

    def _carried_out(self, tasks: Iterator[ShardTask]) -> Iterator[tuple[ShardTask, ShardResult]]:
        """Results in the order of tasks; few tasks wait at a time."""
        if self._workers == 1:
            yield from ((task, check_shard(task)) for task in tasks)
            return
        pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
        waiting: deque[tuple[ShardTask, Future[ShardResult]]] = deque()
        with pool:
            for task in tasks:
                waiting.append((task, pool.submit(check_shard, task)))
                if len(waiting) > 2 * self._workers:
                    yield self._collected(*waiting.popleft())
            while waiting:
                yield self._collected(*waiting.popleft())

    def _collected(
        self, task: ShardTask, future: Future[ShardResult]
    ) -> tuple[ShardTask, ShardResult]:
        result = ShardResult()
        with caught(result.faults, INDEX, shard=task.number):
            result = future.result()
        return task, result

    def _compare_sums(self) -> None:
        """Where SHA256SUMS itself is damaged, tell whether the files are what it once listed."""
        if self._sums_whole or self._card is None:
            return
        if self._sample is not None:
            return  # the tars' sums are not known
        text = checksum_text(self._found.items()).encode()
        if hashlib.sha256(text).hexdigest() == self._card["sha256sums"]:
            return  # every file is the one that was written
        for name, digest in sorted(self._found.items()):
            listed = self._listed.get(name)
            if listed is not None and listed != digest:
                self._fault(
                    name, f"SHA-256 is {digest}, the damaged {SUMS} says {listed}", **_place(name)
                )


def _counted(values: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted(Counter(values.to_pylist()).items()))


def _place(name: str) -> dict[str, Any]:
    """Column and shard of a tar or marker, as its name tells."""
    match = _TAR.fullmatch(name)
    return {} if match is None else {"column": match[2], "shard": int(match[3])}


