"""Batches on Ray: actors on this machine's cores or a cluster's, and crashes that cost little.

What was learned the hard way: a bare `ray.init` joins whatever cluster the machine has; actors at
one CPU each need a CPU more than there are actors, or nothing starts; what an actor puts into the
object store dies with it, so actors return arrays; and Ray's own retries would run a crashing
batch again without end, so this driver resubmits, halves, and blames an utterance only after it
crashed a worker several times alone.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from ns2.pipeline.graph import Graph
from ns2.pipeline.schema import Kind, Reason, UserError
from ns2.pipeline.worker import CRASHED, Batch, BatchResult, Done, Failure, Limits, Worker

CRASHES_ALONE = 3
"""Crashes with one utterance alone before it is blamed."""
PART_UTTERANCES = 8
"""Utterances an actor takes at once; a batch's result is put together from its parts."""
OBJECT_STORE = 512 * 2**20
"""Bytes of the object store: results of batches pass through it, one a worker at a time."""


@dataclass
class _Part:
    """A batch, or a part of one that crashed.

    Attributes:
        whole: the batch that it belongs to.
        crashes: of this very part.
    """

    whole: Batch
    batch: Batch
    crashes: int = 0


@dataclass
class _Collected:
    """What has come of a batch that is carried out in parts."""

    done: dict[str, Done] = field(default_factory=dict)
    seconds: Counter[str] = field(default_factory=Counter)
    audio_seconds: Counter[str] = field(default_factory=Counter)


class RayExecutor:
    """Runs batches on actors, one batch at a time on each.

    A context manager: Ray is started at first use, and what was started is stopped at the end.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        """Say how many and where.

        Args:
            workers: actors; all cores of the machine or cluster where None.
            address: of a running cluster, as `ray start` prints it; None starts Ray here.
        """
        self._workers, self._address = workers, address
        self._started = False

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def run(self, graph: Graph, limits: Limits, batches: Iterable[Batch]) -> Iterator[BatchResult]:
        """Results of batches as they come; never more batches on the way than workers."""
        self._start()
        crew = _Crew(graph, limits, self._workers or 1)
        try:
            yield from _carry_out(crew, iter(batches))
        finally:
            crew.dismiss()

    def _start(self) -> None:
        """Start Ray here, or join the cluster that was named.

        Raises:
            UserError: the cluster can't be joined, or runs another ns2.
        """
        if self._started:
            return
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        if self._address is None:
            self._workers = self._workers or os.cpu_count() or 1
            ray.init(
                address="local",
                num_cpus=self._workers + 1,  # one stays free, or two actors hang two cores
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        else:
            try:
                ray.init(address=self._address, log_to_driver=False, configure_logging=False)
            except Exception as error:
                raise UserError(
                    f"can't join the Ray cluster at {self._address}: {error}. Start one with "
                    "`ray start --head`, name its address, and set RAY_AUTH_MODE=token on every "
                    "node and here if it asks for a token."
                ) from error
            cores = int(ray.cluster_resources().get("CPU", 1))
            self._workers = self._workers or max(cores - 1, 1)
        self._started = True
        if self._address is not None:
            _check_versions()


def _check_versions() -> None:
    """Every node must run this version of ns2: nothing is shipped to it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = version("ns2")
    ask = ray.remote(num_cpus=0)(lambda: version("ns2"))
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = node["NodeManagerHostname"]
        try:
            there = ray.get(ask.options(scheduling_strategy=strategy).remote())
        except Exception as error:
            raise UserError(
                f"ns2 does not run on node {name}: {error}; install it there"
            ) from error
        if there != here:
            raise UserError(f"node {name} has ns2 {there} and this machine {here}; make them equal")


class _Hand:
    """What runs inside an actor."""

    def __init__(self, graph: Graph, limits: Limits) -> None:
        self._worker = Worker(graph, limits)

    def process(self, batch: Batch) -> BatchResult:
        """Carry out a batch."""
        return self._worker.process(batch)


class _Crew:
    """Actors, and which of them is at work on what."""

    def __init__(self, graph: Graph, limits: Limits, workers: int) -> None:
        import ray

        self._actor = ray.remote(_Hand).options(num_cpus=1, max_restarts=0, max_task_retries=0)
        # of one CPU, so Ray lets it use one thread
        self._graph, self._limits = ray.put(graph), ray.put(limits)
        self._idle: deque[Any] = deque()
        self._busy: dict[Any, tuple[Any, _Part]] = {}
        self._missing = workers

    @property
    def at_work(self) -> bool:
        """Whether any batch is on its way."""
        return bool(self._busy)

    @property
    def free(self) -> bool:
        """Whether somebody has nothing to do."""
        return bool(self._idle or self._missing)

    def give(self, part: _Part) -> None:
        """Hand a batch to somebody who is free; actors are made when they are first needed."""
        if self._idle:
            actor = self._idle.popleft()
        else:
            actor = self._actor.remote(self._graph, self._limits)
            self._missing -= 1
        self._busy[actor.process.remote(part.batch)] = (actor, part)

    def wait(self) -> Iterator[tuple[_Part, BatchResult | None]]:
        """What has come back since; None stands for a worker that crashed over it.

        Raises:
            Exception: what a worker raised, such as `UserError`: it concerns the whole run.
        """
        import ray

        ready, _ = ray.wait(list(self._busy), num_returns=1)
        for reference in ready:
            actor, part = self._busy.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.as_instanceof_cause() from error
            except ray.exceptions.RayError:
                self._missing += 1  # another takes its place
                ray.kill(actor)
                yield part, None
            else:
                self._idle.append(actor)
                yield part, result

    def dismiss(self) -> None:
        """Stop all actors."""
        import ray

        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)
        self._idle.clear()
        self._busy.clear()


def _carry_out(crew: _Crew, batches: Iterator[Batch]) -> Iterator[BatchResult]:
    """Feed the crew, take results, and do again what crashed."""
    again: deque[_Part] = deque()
    collected: dict[tuple[int, int], _Collected] = {}
    exhausted = False
    while True:
        while crew.free:
            if again:
                crew.give(again.popleft())
                continue
            batch = None if exhausted else next(batches, None)
            if batch is None:
                exhausted = True
                break
            first, *rest = _parts(batch)
            again.extend(rest)
            crew.give(first)
        if not crew.at_work:
            return
        for part, found in crew.wait():
            result = found
            if result is None:
                parts = _after_crash(part)
                again.extend(parts)
                if parts:
                    continue
                result = _blamed(part.batch)
            name = (part.whole.shard, part.whole.number)
            got = collected.setdefault(name, _Collected())
            got.done.update((one.key, one) for one in result.done)
            got.seconds.update(result.seconds)
            got.audio_seconds.update(result.audio_seconds)
            if len(got.done) == len(part.whole.works):
                del collected[name]
                yield BatchResult(
                    shard=part.whole.shard,
                    number=part.whole.number,
                    done=tuple(got.done[work.key] for work in part.whole.works),
                    seconds=got.seconds,
                    audio_seconds=got.audio_seconds,
                )


def _parts(batch: Batch) -> list[_Part]:
    """A batch in smaller parts: towards the end no worker waits long for the others."""
    return [
        _Part(batch, replace(batch, works=batch.works[i : i + PART_UTTERANCES]))
        for i in range(0, len(batch.works), PART_UTTERANCES)
    ]


def _after_crash(part: _Part) -> list[_Part]:
    """What to try after a crash: the same once more, then halves; nothing more for a culprit."""
    works, crashes = part.batch.works, part.crashes + 1
    if len(works) == 1:
        return [] if crashes >= CRASHES_ALONE else [replace(part, crashes=crashes)]
    if crashes < 2:
        return [replace(part, crashes=crashes)]
    middle = len(works) // 2
    return [
        _Part(part.whole, replace(part.batch, works=half))
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
