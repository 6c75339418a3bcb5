"""`ns2 verify`: is every byte of a dataset what was written, and does it keep the contract?

A file that is not what was written is named, and its content is not used any more: so one fault
gives one report, and the rest is still checked.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.names import shown
from ns2.pipeline.core.processes import fresh_pool
from ns2.pipeline.dataset.bucket.scratch import Scratch, scratch_copy
from ns2.pipeline.dataset.layout import ASSETS, CARD, INDEX, REJECTED, SUMS, TARGET
from ns2.pipeline.remote.traffic import TRAFFIC
from ns2.pipeline.remote.urls import is_url
from ns2.pipeline.tools.tool_options import VerifyOptions
from ns2.pipeline.tools.verify.fault import Fault, caught
from ns2.pipeline.tools.verify.index_file import index_shards
from ns2.pipeline.tools.verify.shard import ShardResult, ShardTask, check_shard
from ns2.pipeline.tools.verify.small_files import SmallFiles, place_of
from ns2.pipeline.tools.verify.tar import Target, marker_name

SAMPLE_SEED = 0
"""The seed by which `--sample` draws arrays, so that it always draws the same ones."""


@dataclass(kw_only=True)
class Report:
    """What a verification found.

    Attributes:
        faults: small files first, then shards; empty if all is well.
        utterances, shards: of the dataset.
        files: the number of files that were read completely.
        arrays: the number of arrays that were read.
        bytes: the size of the tars that were read completely.
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

    def summary(self) -> str:
        """One line for people."""
        faults = f"{len(self.faults)} faults" if self.faults else "no faults"
        return (
            f"{self.utterances:,} utterances in {self.shards:,} shards: {self.files:,} files, "
            f"{self.arrays:,} arrays, {self.bytes / 1e6:,.1f} MB of tars read: {faults}"
        )

    def render(self, root: str | Path) -> str:
        """All faults, a line each, and the summary, for people."""
        return "\n".join([*map(str, self.faults), f"{root}: {self.summary()}"])


def verify(
    root: str | Path,
    options: VerifyOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check everything in a dataset.

    Args:
        root: the dataset's folder, or its URL; what is there is read past the cache.
        options: how much is read, and with how many processes.
        progress: called with the number of shards done and of all shards.

    Returns:
        a report; whatever is wrong inside the folder is a fault in it, not an exception.

    Raises:
        UserError: there is no such folder.
    """
    options = options or VerifyOptions()
    if is_url(root):
        with scratch_copy(str(root)) as scratch:
            return _verify(scratch.root, scratch, options, progress or _silent)
    if not Path(root).is_dir():
        raise UserError(f"{root} is not a folder")
    return _verify(Path(root), None, options, progress or _silent)


def _verify(
    root: Path,
    scratch: Scratch | None,
    options: VerifyOptions,
    progress: Callable[[int, int], None],
) -> Report:
    report = Report()
    files = SmallFiles(root, report.faults)
    if files.check():
        with caught(report.faults, SUMS):
            shards = _Shards(files, options.sample, report, scratch)
            shards.carry_out(options.workers, progress)
        if options.sample is None:
            with caught(report.faults, SUMS):
                files.compare_sums()
    report.files = len(files.found)
    return report


def _silent(done: int, total: int) -> None:
    pass


class _Shards:
    """The shards of a dataset, one task each."""

    def __init__(
        self, files: SmallFiles, sample: int | None, report: Report, scratch: Scratch | None
    ) -> None:
        self._scratch = scratch
        self._files, self._sample, self._report = files, sample, report
        self._specs = files.specs()
        self._rows = Counter[int]()  # in the index, by shard
        if files.index_whole:
            shards = pq.read_table(files.root / INDEX, columns=["shard"])["shard"]
            counted = pc.value_counts(shards.combine_chunks()).to_pylist()
            self._rows.update({count["values"]: count["counts"] for count in counted})
            report.utterances = len(shards)

    def carry_out(self, workers: int, progress: Callable[[int, int], None]) -> None:
        """Check all shards, then whether they are those of the card and SHA256SUMS."""
        files, report = self._files, self._report
        total = len(self._rows) or len(files.listed_targets())
        named, sizes, tars = set[str](), Counter[str](), Counter[str]()
        for done, (task, result) in enumerate(_results(self._tasks(), workers), 1):
            report.faults += result.faults
            report.arrays += result.arrays
            report.bytes += result.bytes
            report.shards = done
            files.found.update(result.sums)
            for target in task.targets:
                named |= {target.tar, target.marker}
            sizes.update(result.sizes)
            tars.update(result.sizes.keys())
            progress(done, total)
        if not files.index_whole:
            return
        if files.sums_whole:
            self._compare_listed(named | {INDEX, REJECTED, *files.named_assets()})
        if files.card is not None and not report.faults:
            for column, entry in files.card.columns.items():
                here, there = (tars[column], sizes[column]), (entry.tars, entry.bytes)
                if here != there:
                    message = "{} tars of {} bytes; the card says {} of {}".format(*here, *there)
                    files.fault(CARD, message, column=column)

    def _compare_listed(self, named: set[str]) -> None:
        """SHA256SUMS lists the files that card and index name, and no others."""
        files = self._files
        for name in sorted(named - set(files.listed)):
            files.fault(SUMS, f"does not list {name}", **place_of(name))
        for name in sorted(set(files.listed) - named):
            message = f"lists {name}, which does not belong to the dataset"
            files.fault(SUMS, message, **place_of(name))

    def _tasks(self) -> Iterator[ShardTask]:
        files, faults = self._files, self._report.faults
        entries = table = None
        with caught(faults, ASSETS):
            entries = files.entries()
        with caught(faults, ASSETS):
            path = files.asset("phonemes")
            table = path.read_text("utf-8") if path is not None else None
        grid, shares, seen = files.grid(), self._shares(), set[int]()
        for number, rows in self._shards():
            if number in seen:
                files.fault(INDEX, "its rows are not together", shard=number)
            seen.add(number)
            yield ShardTask(
                root=files.root,
                number=number,
                grid=grid,
                targets=self._targets(number, rows),
                rows=rows,
                entries=entries,
                table=table,
                sample=None if shares is None else shares[number],
                scratch=self._scratch,
            )

    def _shards(self) -> Iterator[tuple[int, pa.Table | None]]:
        """Shards with their index rows, or without them where the index can't be trusted."""
        files = self._files
        if files.index_whole:
            yield from index_shards(files.root / INDEX)
        elif files.sums_whole:
            yield from ((number, None) for number in sorted(files.listed_targets()))
        else:
            files.fault(
                INDEX, f"no tar was checked: neither this file nor {SUMS} names them reliably"
            )

    def _targets(self, number: int, rows: pa.Table | None) -> tuple[Target, ...]:
        files = self._files
        if rows is None:
            tars: Mapping[str, str | None] = files.listed_targets()[number]
        else:
            tars = {column: self._indexed_tar(number, column, rows) for column in self._specs}
        return tuple(  # what is not a tar's name is named as a fault, and never opened
            Target(
                spec=self._specs[column],
                shard=number,
                tar=tar,
                tar_sha256=files.vouched(tar),
                marker_sha256=files.vouched(marker_name(tar)),
            )
            for column, tar in tars.items()
            if tar is not None
        )

    def _indexed_tar(self, number: int, column: str, rows: pa.Table) -> str | None:
        """The tar that a shard's rows refer to: one for all of them, in the column's folder.

        None where the name is not one of a tar.
        """
        files = self._files
        names = Counter(str(name) for name in rows[f"{column}_file"].to_pylist()).most_common()
        tar = names[0][0]
        match = TARGET.fullmatch(tar)
        folder = files.card.columns[column].folder if files.card else match and match["folder"]
        if len(names) > 1:
            message = f"its rows refer to several tars: {', '.join(shown(n) for n, _ in names[:3])}"
            files.fault(INDEX, message, column=column, shard=number)
        fits = match is not None and (int(match["shard"]), match["folder"]) == (number, folder)
        if not fits or not tar.endswith(".tar"):
            files.fault(INDEX, f"{shown(tar)} is not its tar", column=column, shard=number)
        return tar if match is not None else None

    def _shares(self) -> Counter[int] | None:
        """How many arrays of each shard are read; None for all."""
        if self._sample is None:
            return None
        files = self._files
        columns = len(self._specs)
        if not files.index_whole:
            shards = files.listed_targets()
            return Counter(dict.fromkeys(shards, -(-self._sample // max(len(shards), 1))))
        numbers = [number for number in sorted(self._rows) for _ in range(self._rows[number])]
        there = len(numbers) * columns
        drawn = Random(SAMPLE_SEED).sample(range(there), min(self._sample, there))
        return Counter(numbers[i // columns] for i in drawn)


def _results(tasks: Iterator[ShardTask], workers: int) -> Iterator[tuple[ShardTask, ShardResult]]:
    """Carry out tasks; results come in the order of tasks, and only few tasks wait at a time."""
    if workers == 1:
        yield from ((task, check_shard(task)) for task in tasks)
        return
    waiting: deque[tuple[ShardTask, Future[ShardResult]]] = deque()
    with fresh_pool(workers) as pool:
        for task in tasks:
            waiting.append((task, pool.submit(check_shard, task)))
            if len(waiting) > 2 * workers:
                yield _collected(*waiting.popleft())
        while waiting:
            yield _collected(*waiting.popleft())


def _collected(task: ShardTask, future: Future[ShardResult]) -> tuple[ShardTask, ShardResult]:
    result = ShardResult()
    with caught(result.faults, INDEX, shard=task.number):  # a process may have died
        result = future.result()
        TRAFFIC.join(result.traffic)
    return task, result
