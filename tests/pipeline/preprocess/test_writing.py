"""Workers that write into a bucket themselves: the bytes of a folder, whatever becomes of them.

The workers are real and live in this process; what they keep lies in a dict, and which of them
"crashes" when, or takes arrays along, is decided here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.bucket.staging import Staging
from ns2.pipeline.preprocess.executors.parts import Part, Returned, Writing, carry_out
from ns2.pipeline.preprocess.options import Limits, Options
from ns2.pipeline.preprocess.run import preprocess
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult, Sent
from ns2.pipeline.preprocess.work.worker import Worker
from ns2.pipeline.preprocess.work.writing import Order, Parcel, Written, keep, write_far
from ns2.pipeline.stages.graph import Graph
from tests.support.bucket.server import S3Server, reach
from tests.support.preprocessing import contents


class Crew:
    """Workers that keep what they make."""

    def __init__(self, graph: Graph, limits: Limits, fates: deque[str]) -> None:
        self._graph, self._worker = graph, Worker(graph, limits)
        self._busy = deque[Part | Writing]()
        self._parcels: list[Parcel] = []
        self.fates, self.met = fates, Counter[str]()

    @property
    def at_work(self) -> bool:
        return bool(self._busy)

    def free(self, *, gpu: bool) -> bool:
        return not gpu and len(self._busy) < 2

    def give(self, part: Part | Writing) -> None:
        self._busy.append(part)

    def wait(self) -> Iterator[tuple[Part | Writing, Returned]]:
        part = self._busy.pop()  # not in the order in which they were given
        yield part, self._write(part.order) if isinstance(part, Writing) else self._make(part)

    def _make(self, part: Part) -> Returned:
        result, handed = self._worker.process(part.batch)
        self._parcels.append(keep(result))
        for outcome in result.outcomes:
            assert not outcome.arrays  # none travels
            for column, one in outcome.members.items():
                assert isinstance(one, Sent)
                outcome.members[column] = replace(one, parcel=len(self._parcels) - 1)
        return Returned(result=result, handed=handed)

    def _write(self, order: Order) -> Returned:
        fate = self.fates.popleft() if self.fates else "written"
        self.met[fate] += 1
        if fate != "lost":
            written = write_far(self._graph, order, [self._parcels[i] for i in order.parcels])
            if fate == "written":
                return Returned(result=written)
        return Returned(lost=fate == "lost")  # else it crashed when all was put


class Executor:
    """What Ray's executor does, without Ray."""

    def __init__(self, *fates: str) -> None:
        self.orders = deque[Order]()
        self._fates, self.met = deque(fates), Counter[str]()

    def run(
        self, graph: Graph, limits: Limits, batches: Iterable[Batch], *, url: str = ""
    ) -> Iterator[BatchResult | Written]:
        crew = Crew(graph, limits, self._fates)
        yield from carry_out(crew, iter(batches), orders=self.orders)
        self.met += crew.met

    def get_ready(self, graph: Graph, limits: Limits) -> None:
        """It needs nothing."""


def made(corpus: Path, url: str, executor: Executor) -> None:
    options = Options(codec="mini", quantizers=4, shard_utterances=4, val_share=0.3)
    with Staging(url).held() as staging:
        preprocess(corpus, staging.root, options, executor, Progress())


@pytest.mark.parametrize("fates", [(), ("crashed", "lost", "written", "crashed", "crashed")])
def test_the_bytes_are_those_of_a_folder(
    s3: S3Server, spoken: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fates: tuple[str, ...],
) -> None:  # fmt: skip
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    executor, prefix = Executor(*fates), f"written{len(fates)}"
    made(spoken, f"s3://bucket/{prefix}", executor)
    found = s3.contents(prefix)
    assert {n: data for n, data in found.items() if not n.startswith(".state")} == contents(speech)
    assert executor.met["written"] >= 3 and executor.met["crashed"] == fates.count("crashed")
    assert not executor.met["lost"] or executor.met["lost"] == fates.count("lost")
    # on another machine there is nothing to do
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "other"))
    again = Executor()
    made(spoken, f"s3://bucket/{prefix}", again)
    assert not again.met


def test_workers_that_crash_again_and_again_end_the_run(
    s3: S3Server, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    with pytest.raises(
        UserError, match=r"crashed 3 times while it wrote shard \d to s3://bucket/x"
    ):
        made(spoken, "s3://bucket/x", Executor("crashed", "crashed", "crashed"))
