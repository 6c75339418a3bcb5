"""The parts that batches are carried out in: cut, done again after a crash, put together.

    batch --cut--> parts for CPUs --once all of its utterances are back--> one part for a GPU
             ^          |                                                       |
             +-crashed--+-- the same again, then halves, then blamed <----------+

What is encoded together on a GPU is therefore fixed by the plan, not by who was faster.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Kind, Reason
from ns2.pipeline.preprocess.work.failure import Failure
from ns2.pipeline.preprocess.work.messages import CRASHED, Batch, BatchResult, Outcome, Task
from ns2.pipeline.preprocess.work.writing import Order, Written

CRASHES_ALONE = 3
"""Crashes with one utterance alone before it is blamed."""
PART_UTTERANCES = 8
"""Utterances that a worker takes at once, so that towards the end none waits long for others."""


@dataclass(frozen=True)
class Part:
    """A batch, or a part of one.

    Attributes:
        whole: the batch that it belongs to.
        gpu: whether it is for a worker with a GPU.
        given: references to what was handed on for it.
        crashes: how often a worker crashed over this very part.
    """

    whole: Batch
    batch: Batch
    gpu: bool = False
    given: tuple[Any, ...] = ()
    crashes: int = 0


@dataclass(frozen=True)
class Writing:
    """An order on its way.

    Attributes:
        crashes: how often a worker crashed over it.
    """

    order: Order
    crashes: int = 0
    gpu: bool = False


@dataclass(frozen=True)
class Returned:
    """What has become of a part or an order; without a result its worker crashed over it.

    Attributes:
        handed: a reference to what it hands on.
        lost: what was handed on for it, or what it gave, is gone with the machine that held it.
    """

    result: BatchResult | Written | None = None
    handed: Any = None
    lost: bool = False


class Workers(Protocol):
    """Those who carry out parts; see `pools.Crew`."""

    @property
    def at_work(self) -> bool:
        """Whether any part is on its way."""
        ...

    def free(self, *, gpu: bool) -> bool:
        """Whether a worker of that kind has nothing to do."""
        ...

    def give(self, part: Part | Writing) -> None:
        """Hand a part or an order to a worker that is free."""
        ...

    def wait(self) -> Iterator[tuple[Part | Writing, Returned]]:
        """Parts and orders that have come back since, at least one."""
        ...


@dataclass
class _Collected:
    """What has come of a batch so far.

    Attributes:
        gpu_stages: stages that are left to workers with a GPU.
        outcomes: what became of its utterances; those of `back` or `final` count.
        back: keys that workers on CPUs are through with.
        sent: keys that workers with a GPU have, or that wait for them.
        final: keys with which all is done.
        handed: references to what is handed on for the rest.
    """

    batch: Batch
    gpu_stages: frozenset[str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
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
        for task, outcome in zip(part.batch.tasks, result.outcomes, strict=True):
            if part.gpu:
                self._complete(outcome)
                continue
            self.outcomes[outcome.key] = outcome
            self.back.add(outcome.key)
            if outcome.ended or not self.gpu_stages & task.columns.keys():
                self.final.add(outcome.key)
        if not part.gpu and handed is not None:
            self.handed.append(handed)

    def _complete(self, outcome: Outcome) -> None:
        """Add what a GPU made of an utterance to what a CPU made of it."""
        self.sent.discard(outcome.key)
        self.final.add(outcome.key)
        before = self.outcomes[outcome.key]
        before.failure = outcome.failure
        before.members = {} if outcome.failure else {**before.members, **outcome.members}

    def for_gpu(self) -> list[Part]:
        """What is left for a GPU, once all utterances are back: the same whatever the order."""
        tasks = tuple(
            replace(
                task,
                columns={c: s for c, s in task.columns.items() if c in self.gpu_stages},
                stored={},
                samples=self._samples(task),
            )
            for task in self.batch.tasks
            if task.key in self.back and task.key not in self.final | self.sent
        )
        if not tasks or len(self.back) < len(self.batch.tasks):
            return []
        self.sent.update(task.key for task in tasks)
        given, self.handed = tuple(self.handed), []
        return [Part(self.batch, replace(self.batch, tasks=tasks), gpu=True, given=given)]

    def _samples(self, task: Task) -> int | None:
        screened = self.outcomes[task.key].screened
        return task.samples if screened is None else int(screened["samples"])

    def lose(self, part: Part) -> list[Part]:
        """Begin again with utterances whose audio is gone."""
        keys = {task.key for task in part.batch.tasks}
        self.sent -= keys
        self.back -= keys
        return _cut(self.batch, [task for task in self.batch.tasks if task.key in keys])

    def result(self) -> BatchResult | None:
        """The batch's result, once it is whole."""
        if len(self.final) < len(self.batch.tasks):
            return None
        return BatchResult(
            shard=self.batch.shard,
            number=self.batch.number,
            outcomes=tuple(self.outcomes[task.key] for task in self.batch.tasks),
            seconds=self.seconds,
            audio_seconds=self.audio_seconds,
        )


class _Flow:
    """Batches on their way through the workers."""

    def __init__(
        self,
        workers: Workers,
        batches: Iterator[Batch],
        gpu_stages: Sequence[str],
        most_waiting: int,
        orders: deque[Order],
    ) -> None:
        self._workers, self._batches = workers, batches
        self._orders, self._writing = orders, deque[Writing]()
        self._gpu_stages, self._most_waiting = frozenset(gpu_stages), most_waiting
        self._for_cpus, self._for_gpus = deque[Part](), deque[Part]()
        self._collected: dict[tuple[int, int], _Collected] = {}
        self._exhausted = False

    def results(self) -> Iterator[BatchResult | Written]:
        """Results of batches, as they become whole, and what was written."""
        while True:
            self._feed_gpus()
            self._feed_cpus()
            if not self._workers.at_work:
                if self._orders:  # the last batch came with them
                    continue
                return
            for part, returned in self._workers.wait():
                if isinstance(part, Writing):
                    result: BatchResult | Written | None = self._receive_written(part, returned)
                else:
                    result = self._receive(part, returned)
                if result is not None:
                    yield result

    def _feed_gpus(self) -> None:
        while self._for_gpus and self._workers.free(gpu=True):
            self._workers.give(self._for_gpus.popleft())

    def _feed_cpus(self) -> None:
        """What is to be written comes first, then parts that wait, then a new batch, unless too
        much waits for the GPUs."""
        while self._workers.free(gpu=False):
            self._writing.extend(Writing(self._orders.popleft()) for _ in range(len(self._orders)))
            if self._writing:
                self._workers.give(self._writing.popleft())
            elif self._for_cpus:
                self._workers.give(self._for_cpus.popleft())
            elif not self._begin_batch():
                return

    def _begin_batch(self) -> bool:
        """Cut the next batch into parts, if there is one and it may be begun."""
        behind = bool(self._gpu_stages) and len(self._for_gpus) >= self._most_waiting
        if self._exhausted or behind:
            return False
        batch = next(self._batches, None)
        if batch is None:
            self._exhausted = True
            return False
        self._collected[batch.shard, batch.number] = _Collected(batch, self._gpu_stages)
        self._for_cpus.extend(_cut(batch, batch.tasks))
        return True

    def _receive(self, part: Part, returned: Returned) -> BatchResult | None:
        """Take what has become of a part; gives its batch's result once that is whole."""
        name = (part.whole.shard, part.whole.number)
        collected = self._collected[name]
        if returned.lost and part.gpu:  # the audio must be decoded again
            self._for_cpus.extend(collected.lose(part))
            return None
        if returned.lost:  # its worker's machine is gone, which is no fault of an utterance
            self._for_cpus.append(part)
            return None
        if returned.result is None:
            again = _after_crash(part)
            if again:
                (self._for_gpus if part.gpu else self._for_cpus).extend(again)
                return None
        result = returned.result or _blamed(part.batch)
        assert isinstance(result, BatchResult)
        collected.take(part, result, returned.handed)
        self._for_gpus.extend(collected.for_gpu())
        whole = collected.result()
        if whole is not None:
            del self._collected[name]
        return whole

    def _receive_written(self, writing: Writing, returned: Returned) -> Written | None:
        """Take what has become of an order; it is given once more where its worker crashed."""
        if isinstance(returned.result, Written):
            return returned.result
        order = writing.order
        if returned.lost:  # with the arrays: who ordered it makes them again
            return Written(shard=order.shard)
        again = replace(writing, crashes=writing.crashes + 1)
        if again.crashes >= CRASHES_ALONE:
            raise UserError(
                f"a worker crashed {again.crashes} times while it wrote shard {order.shard} to "
                f"{order.url}: is there memory, and room for temporary files? Run again: what is "
                "written stays."
            )
        self._writing.append(again)
        return None


def carry_out(
    workers: Workers,
    batches: Iterator[Batch],
    *,
    gpu_stages: Sequence[str] = (),
    most_waiting: int = 0,
    orders: deque[Order] | None = None,
) -> Iterator[BatchResult | Written]:
    """Feed the workers, take results, and do again what crashed.

    Args:
        gpu_stages: stages that workers without a GPU leave to those that have one.
        most_waiting: batches that may wait for a GPU before no new one is begun.
        orders: what is to be written; whoever takes results may add to it.

    Raises:
        UserError: workers crash again and again while they write.
    """
    waiting = deque[Order]() if orders is None else orders
    return _Flow(workers, batches, gpu_stages, most_waiting, waiting).results()


def _cut(whole: Batch, tasks: Sequence[Task]) -> list[Part]:
    """Utterances of a batch in parts."""
    return [
        Part(whole, replace(whole, tasks=tuple(tasks[i : i + PART_UTTERANCES])))
        for i in range(0, len(tasks), PART_UTTERANCES)
    ]


def _after_crash(part: Part) -> list[Part]:
    """What to try after a crash: the same once more, then halves; nothing more for a culprit."""
    tasks, crashes = part.batch.tasks, part.crashes + 1
    if len(tasks) == 1:
        return [] if crashes >= CRASHES_ALONE else [replace(part, crashes=crashes)]
    if crashes < 2:
        return [replace(part, crashes=crashes)]
    middle = len(tasks) // 2
    return [
        replace(part, batch=replace(part.batch, tasks=half), crashes=0)
        for half in (tasks[:middle], tasks[middle:])
    ]


def _blamed(batch: Batch) -> BatchResult:
    """The result of a batch of one utterance that crashes every worker."""
    failure = Failure(
        stage=CRASHED,
        kind=Kind.REJECTED,
        reason=Reason.WORKER_CRASHED,
        message=f"crashed a worker {CRASHES_ALONE} times when it was alone",
    )
    outcomes = tuple(Outcome(key=task.key, failure=failure) for task in batch.tasks)
    return BatchResult(
        shard=batch.shard, number=batch.number, outcomes=outcomes, seconds={}, audio_seconds={}
    )
