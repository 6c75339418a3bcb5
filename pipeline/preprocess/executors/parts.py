"""The parts that batches are carried out in: cut, done again after a crash, put together."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ns2.pipeline.core.schema import Kind, Reason
from ns2.pipeline.preprocess.work.failure import Failure
from ns2.pipeline.preprocess.work.messages import CRASHED, Batch, BatchResult, Done, Work

CRASHES_ALONE = 3
"""Crashes with one utterance alone before it is blamed."""
PART_UTTERANCES = 8
"""Utterances that a worker takes at once, so that towards the end none waits long for others."""


@dataclass(frozen=True)
class Part:
    """A batch, or a part of one.

    Attributes:
        whole: the batch that it belongs to.
        gpu: it is for a worker with a GPU.
        given: references to what was handed on for it.
        crashes: of this very part.
    """

    whole: Batch
    batch: Batch
    gpu: bool = False
    given: tuple[Any, ...] = ()
    crashes: int = 0


@dataclass(frozen=True)
class Came:
    """What has become of a part; without a result its worker crashed over it.

    Attributes:
        handed: a reference to what it hands on.
        lost: what was handed on for it, or what it gave, is gone with the machine that held it.
    """

    result: BatchResult | None = None
    handed: Any = None
    lost: bool = False


class Workers(Protocol):
    """Those who carry out parts; see `pools.Crew`."""

    @property
    def at_work(self) -> bool:
        """Whether anything is on its way."""
        ...

    def free(self, *, gpu: bool) -> bool:
        """Whether somebody of that kind has nothing to do."""
        ...

    def give(self, part: Part) -> None:
        """Hand a part to somebody who is free."""
        ...

    def wait(self) -> Iterator[tuple[Part, Came]]:
        """What has come back since."""
        ...


@dataclass
class _Collected:
    """What has come of a batch so far.

    Attributes:
        done: what became of its utterances; those of `back` or `final` count.
        back: keys that workers on CPUs are through with.
        sent: keys that workers with a GPU have, or wait for them.
        final: keys with which all is done.
        handed: references to what is handed on for the rest.
    """

    batch: Batch
    left: frozenset[str]
    done: dict[str, Done] = field(default_factory=dict)
    back: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    final: set[str] = field(default_factory=set)
    handed: list[Any] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    audio_seconds: Counter[str] = field(default_factory=Counter)

    def take(self, part: Part, result: BatchResult, handed: Any) -> None:
        """Take a part's result; that of a GPU adds to what is there."""
        self.seconds.update(result.seconds)
        self.audio_seconds.update(result.audio_seconds)
        for work, one in zip(part.batch.works, result.done, strict=True):
            if part.gpu:
                self.sent.discard(one.key)
                self.final.add(one.key)
                before = self.done[one.key]
                before.failure = one.failure
                before.members = {**before.members, **one.members} if not one.failure else {}
                continue
            self.done[one.key] = one
            self.back.add(one.key)
            if one.out or not self.left.intersection(work.columns):
                self.final.add(one.key)
        if not part.gpu and handed is not None:
            self.handed.append(handed)

    def for_gpu(self) -> list[Part]:
        """What is left for a GPU, once all utterances are back: the same whatever the order."""
        works = [
            replace(
                work,
                columns=tuple(name for name in work.columns if name in self.left),
                stored={},
                samples=self._samples(work),
            )
            for work in self.batch.works
            if work.key in self.back and work.key not in self.final | self.sent
        ]
        if not works or len(self.back) < len(self.batch.works):
            return []
        self.sent.update(work.key for work in works)
        given, self.handed = tuple(self.handed), []
        batch = replace(self.batch, works=tuple(works))
        return [Part(self.batch, batch, gpu=True, given=given)]

    def _samples(self, work: Work) -> int | None:
        screened = self.done[work.key].screened
        return work.samples if screened is None else int(screened["samples"])

    def lose(self, part: Part) -> list[Part]:
        """Begin again with utterances whose audio is gone."""
        for work in part.batch.works:
            self.sent.discard(work.key)
            self.back.discard(work.key)
        by_key = {work.key: work for work in self.batch.works}
        works = tuple(by_key[work.key] for work in part.batch.works)
        return _cut(self.batch, works)

    def result(self) -> BatchResult | None:
        """The batch's result, once it is whole."""
        if len(self.final) < len(self.batch.works):
            return None
        return BatchResult(
            shard=self.batch.shard,
            number=self.batch.number,
            done=tuple(self.done[work.key] for work in self.batch.works),
            seconds=self.seconds,
            audio_seconds=self.audio_seconds,
        )


def carry_out(
    workers: Workers, batches: Iterator[Batch], *, left: Sequence[str] = (), waiting: int = 0
) -> Iterator[BatchResult]:
    """Feed the workers, take results, and do again what crashed.

    Args:
        left: stages that workers without a GPU leave to those that have one.
        waiting: batches that may wait for a GPU before no new one is begun.
    """
    queues = {False: deque[Part](), True: deque[Part]()}  # for workers without and with a GPU
    collected: dict[tuple[int, int], _Collected] = {}
    exhausted = False
    while True:
        while queues[True] and workers.free(gpu=True):
            workers.give(queues[True].popleft())
        while workers.free(gpu=False) and (queues[False] or not exhausted):
            if queues[False]:
                workers.give(queues[False].popleft())
            elif left and len(queues[True]) >= waiting:
                break
            elif (batch := next(batches, None)) is None:
                exhausted = True
            else:
                collected[batch.shard, batch.number] = _Collected(batch, frozenset(left))
                queues[False].extend(_cut(batch, batch.works))
        if not workers.at_work:
            return
        for part, came in workers.wait():
            name = (part.whole.shard, part.whole.number)
            found = collected[name]
            if came.lost and part.gpu:
                queues[False].extend(found.lose(part))
                continue
            retries = _after_crash(part) if came.result is None else []
            queues[part.gpu].extend(retries)
            if retries:
                continue
            found.take(part, came.result or _blamed(part.batch), came.handed)
            queues[True].extend(found.for_gpu())
            whole = found.result()
            if whole is not None:
                del collected[name]
                yield whole


def _cut(whole: Batch, works: Sequence[Work]) -> list[Part]:
    """Utterances of a batch in parts."""
    return [
        Part(whole, replace(whole, works=tuple(works[i : i + PART_UTTERANCES])))
        for i in range(0, len(works), PART_UTTERANCES)
    ]


def _after_crash(part: Part) -> list[Part]:
    """What to try after a crash: the same once more, then halves; nothing more for a culprit."""
    works, crashes = part.batch.works, part.crashes + 1
    if len(works) == 1:
        return [] if crashes >= CRASHES_ALONE else [replace(part, crashes=crashes)]
    if crashes < 2:
        return [replace(part, crashes=crashes)]
    middle = len(works) // 2
    return [
        replace(part, batch=replace(part.batch, works=half), crashes=0)
        for half in (works[:middle], works[middle:])
    ]


def _blamed(batch: Batch) -> BatchResult:
    """The result of a batch of one utterance that crashes every worker."""
    failure = Failure(
        stage=CRASHED,
        kind=Kind.REJECTED,
        reason=Reason.WORKER_CRASHED,
        message=f"crashed a worker {CRASHES_ALONE} times when it was alone",
    )
    done = tuple(Done(key=work.key, failure=failure) for work in batch.works)
    return BatchResult(
        shard=batch.shard, number=batch.number, done=done, seconds={}, audio_seconds={}
    )
