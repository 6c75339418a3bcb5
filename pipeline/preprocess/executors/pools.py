"""Pools of Ray actors by resource, and which of them is at work on what."""

from __future__ import annotations

import time
from collections import ChainMap, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ns2.pipeline.preprocess.executors.parts import Part, Returned, Writing
from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult, HandedOn, Sent
from ns2.pipeline.preprocess.work.worker import Worker
from ns2.pipeline.preprocess.work.writing import Order, Parcel, Written, keep, write_far
from ns2.pipeline.stages.graph import Graph

_EVERY_SECONDS = 2.0
"""How often nodes are looked for that joined or were lost."""


class _Actor:
    """What runs inside a Ray actor: one worker."""

    def __init__(
        self, graph: Graph, limits: Limits, device: str, leave: Sequence[str], *, keeps: bool
    ) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        self.begin(graph, limits, device, leave, keeps=keeps)

    def begin(
        self, graph: Graph, limits: Limits, device: str, leave: Sequence[str], *, keeps: bool
    ) -> None:
        """Take other work than it was made for."""
        self._graph, self._keeps = graph, keeps
        self._worker = Worker(graph, limits, device=device, leave=leave)

    def warm_up(self) -> None:
        """Import what stages need; a stage that can't be set up tells so where it is needed."""
        for stage in self._graph.stages.values():
            with suppress(Exception):
                stage.setup()

    def node(self) -> str:
        """The node that it runs on."""
        return self._node

    def process(
        self, batch: Batch, *given: Mapping[str, HandedOn]
    ) -> tuple[BatchResult, dict[str, HandedOn], Parcel]:
        """Carry out a batch; what was handed on for it may come in several pieces.

        What comes last is what was made, where workers write it.
        """
        pieces = dict(ChainMap(*(dict(piece) for piece in given)))
        result, handed = self._worker.process(batch, pieces)
        return result, handed, keep(result) if self._keeps else {}

    def write(self, order: Order, *parcels: Parcel) -> Written:
        """Write targets into the bucket."""
        return write_far(self._graph, order, parcels)


class Pool:
    """Actors of one kind; each is made when it is first needed."""

    def __init__(
        self,
        graph: Graph,
        limits: Limits,
        size: int,
        *,
        device: str = "cpu",
        leave: Sequence[str] = (),
        gpu: bool = False,
        keeps: bool = False,
        early: deque[Any] | None = None,
    ) -> None:
        """Describe the actors; Ray must run.

        Args:
            size: the number of actors.
            device: torch's name of the device on which their accelerated stages work.
            leave: stages that they leave to another pool.
            gpu: each takes one of Ray's GPUs, instead of a CPU.
            keeps: they keep what they make until one of them writes it.
            early: actors that `early_actors` made, which are taken first.
        """
        import ray

        # an actor of one CPU may use one thread; one that waits for its GPU needs none for itself
        resources = {"num_cpus": 0, "num_gpus": 1} if gpu else {"num_cpus": 1}
        self._actor = _actor(**resources)
        self._arguments = (ray.put(graph), ray.put(limits), device, tuple(leave))
        self._keeps, self._early = keeps, deque[Any]() if early is None else early
        self._idle: deque[Any] = deque()
        self._made: dict[Any, Any] = {}
        self.size = size

    @property
    def free(self) -> bool:
        """Whether an actor has nothing to do, or can be made."""
        return bool(self._idle) or len(self._made) < self.size

    @property
    def too_many(self) -> bool:
        """Whether there are more actors than there is room for."""
        return len(self._made) > self.size

    def take(self) -> Any:
        """An actor that is free."""
        if self._idle:
            return self._idle.popleft()
        actor: Any
        if self._early:
            actor = self._early.popleft()
            actor.begin.remote(*self._arguments, keeps=self._keeps)
        else:
            actor = self._actor.remote(*self._arguments, keeps=self._keeps)
        self._made[actor] = actor.node.remote()
        return actor

    def give_back(self, actor: Any) -> None:
        """Take back an actor that has done its work."""
        self._idle.append(actor)

    def lose(self, actor: Any) -> None:
        """Give up an actor that crashed; another takes its place."""
        import ray

        ray.kill(actor)
        self._made.pop(actor, None)

    def waits(self, actor: Any) -> bool:
        """Whether no node has room for an actor yet."""
        import ray

        return not ray.wait([self._made[actor]], timeout=0)[0]

    def node_is_lost(self, actor: Any) -> bool:
        """Whether the node of an actor that crashed is gone, or was never found."""
        import ray

        try:
            node = ray.get(self._made[actor], timeout=0)
        except (ray.exceptions.RayError, KeyError):
            return True
        return node not in alive_nodes()

    def dismiss(self) -> None:
        """Stop the actors that have nothing to do."""
        import ray

        while self._idle:
            ray.kill(self._idle.popleft())
        self._made.clear()


def _actor(**resources: float) -> Any:
    """The kind of actors that take some resources; what crashes is done again by the driver."""
    import ray

    return ray.remote(_Actor).options(max_restarts=0, max_task_retries=0, **resources)


def early_actors(graph: Graph, limits: Limits, count: int) -> deque[Any]:
    """Actors on CPUs that are made before there is work, and import meanwhile what it will need.

    Args:
        graph: one with the same kinds of stages as those of the work.
    """
    import ray

    arguments = (ray.put(graph), ray.put(limits), "cpu", ())
    actors = deque(_actor(num_cpus=1).remote(*arguments, keeps=False) for _ in range(count))
    for actor in actors:
        actor.warm_up.remote()
    return actors


def alive_nodes() -> set[str]:
    """The nodes of the cluster that are there now."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


class Crew:
    """A pool that works on CPUs, one that has GPUs, and the parts that they are at work on."""

    def __init__(
        self, cpus: Pool, gpus: Pool | None, room: Callable[[], tuple[int, int]] | None = None
    ) -> None:
        """Put pools together.

        Args:
            room: how many actors of each kind the cluster has room for; None where that stays.
        """
        self._cpus, self._gpus, self._room = cpus, gpus, room
        self._looked = time.monotonic()
        self._busy: dict[Any, tuple[Pool, Any, tuple[Any, ...], Part | Writing]] = {}

    @property
    def at_work(self) -> bool:
        """Whether any part is on its way."""
        return bool(self._busy)

    def free(self, *, gpu: bool) -> bool:
        """Whether an actor of that kind has nothing to do."""
        pool = self._gpus if gpu else self._cpus
        return pool is not None and pool.free

    def give(self, part: Part | Writing) -> None:
        """Hand a part or an order to an actor that is free."""
        pool = self._gpus if part.gpu else self._cpus
        assert pool is not None
        actor = pool.take()
        if isinstance(part, Writing):
            order = part.order
            result = actor.write.remote(replace(order, parcels=()), *order.parcels)
            self._busy[result] = (pool, actor, (), part)
            return
        result, *others = actor.process.options(num_returns=3).remote(part.batch, *part.given)
        self._busy[result] = (pool, actor, tuple(others), part)

    def wait(self) -> Iterator[tuple[Part | Writing, Returned]]:
        """Parts and orders that have come back since, at least one.

        Raises:
            Exception: what a worker raised, such as `UserError`: it concerns the whole run.
        """
        import ray

        every = None if self._room is None else _EVERY_SECONDS
        ready, _ = ray.wait(list(self._busy), num_returns=1, timeout=every)
        yield from self._follow_cluster()
        for reference in ready:
            if reference not in self._busy:
                continue
            pool, actor, others, part = self._busy.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, ray.exceptions.ObjectLostError):
                    raise error.as_instanceof_cause() from error
                pool.give_back(actor)
                yield part, Returned(lost=True)
            except ray.exceptions.RayError as error:
                lost = isinstance(error, ray.exceptions.ObjectLostError)
                lost = lost or (self._room is not None and pool.node_is_lost(actor))
                pool.lose(actor)
                yield part, Returned(lost=lost)
            else:
                pool.give_back(actor)
                yield part, _returned(result, *others)

    def _follow_cluster(self) -> Iterator[tuple[Part | Writing, Returned]]:
        """Every now and then make room for actors on nodes that joined, and give up those that wait
        for a node that is gone; the parts that they were given come back."""
        if self._room is None or time.monotonic() < self._looked + _EVERY_SECONDS:
            return
        self._looked = time.monotonic()
        for pool, size in zip((self._cpus, self._gpus), self._room(), strict=True):
            if pool is not None:
                pool.size = max(size, 1)  # one that waits until a node comes
        for reference, (pool, actor, _, part) in list(self._busy.items()):
            if pool.too_many and pool.waits(actor):
                del self._busy[reference]
                pool.lose(actor)
                yield part, Returned(lost=True)

    def dismiss(self) -> None:
        """Stop all actors."""
        import ray

        for _, actor, _, _ in self._busy.values():
            ray.kill(actor)
        self._busy.clear()
        for pool in (self._cpus, self._gpus):
            if pool is not None:
                pool.dismiss()


def _returned(result: BatchResult | Written, handed: Any = None, parcel: Any = None) -> Returned:
    """A result whose arrays, where they are kept, tell in which parcel."""
    if isinstance(result, BatchResult):
        for outcome in result.outcomes:
            for column, one in outcome.members.items():
                if isinstance(one, Sent):
                    outcome.members[column] = replace(one, parcel=parcel)
    return Returned(result=result, handed=handed)
