"""Batches on Ray: actors on this machine's cores or a cluster's, and crashes that cost little.

What was learned the hard way: a bare `ray.init` joins whatever cluster the machine has; actors at
one CPU each need a CPU more than there are actors, or nothing starts; what an actor puts into the
object store dies with it, so actors return arrays; and Ray's own retries would run a crashing
batch again without end, so this driver resubmits, halves, and blames an utterance only after it
crashed a worker several times alone (`parts`).

Where there are GPUs, workers on CPUs decode, screen and make what needs no GPU; a batch then goes
on to a worker that has one, with its audio, for the rest (`pools`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.core.ending import hear_sigterm
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.preprocess.executors.parts import carry_out
from ns2.pipeline.preprocess.executors.pools import Crew, Pool, alive_nodes, early_actors
from ns2.pipeline.preprocess.executors.ray_start import RayFolder, start_ray
from ns2.pipeline.preprocess.executors.warming import InThread
from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult
from ns2.pipeline.preprocess.work.writing import Order, Written
from ns2.pipeline.stages.graph import Graph

OBJECT_STORE = 512 * 2**20
"""Bytes of the object store: results of batches pass through it, one a worker at a time; as much
again where the arrays of some shards lie in it. What does not fit is spilled to the disk by Ray."""
GPU_OBJECT_STORE = 512 * 2**20
"""More of it for each GPU: audio of the batches that wait for it."""
GPU_WAITING = 2
"""Batches that may wait for each GPU: enough to keep it busy, and a bound on memory."""


class RayExecutor:
    """Runs batches on actors, one batch at a time on each.

    A context manager: Ray is started at first use, and what was started is stopped at the end.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        gpus: int | None = None,
        device: str = "cuda",
    ) -> None:
        """Choose the workers; Ray is started when it is first needed.

        Args:
            workers: the number of actors on CPUs; None takes all cores of the machine or cluster.
            address: of a running cluster, as `ray start` prints it; None starts Ray here.
            gpus: the number of actors that each have a GPU; None takes all GPUs.
            device: of those actors. With "cpu" they need no GPU, and give the bytes of the CPU.
        """
        self._workers, self._address, self._device = workers, address, device
        self._gpus = gpus
        self._asked = workers, gpus
        self._known: set[str] = set()
        self._modules: Sequence[str] = ()
        self._started = False
        self._folder = RayFolder()
        self._begun: InThread | None = None
        self._early = deque[Any]()
        self.orders: deque[Order] | None = None

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun is not None:
            self._begun.wait()
        if self._started:
            import ray

            ray.shutdown()
            self._started = False
        if self._begun is not None:
            self._begun.end()
            self._begun = None
        self._folder.remove()

    def get_ready(self, graph: Graph, limits: Limits) -> None:
        """Start Ray in a thread, and actors, which import what stages need.

        Nothing is done where a cluster is named, whose workers are not ours to keep busy.
        """
        if self._started or self._begun is not None or self._address is not None:
            return

        def begin() -> None:
            # it says that only a main thread can hear SIGTERM, which ours does
            logging.getLogger("ray._private.worker").addFilter(_is_not_of_signals)
            self._start(_own_modules(graph))
            self._early = early_actors(graph, limits, self._workers or 1)

        self._begun = InThread(begin)

    def run(
        self, graph: Graph, limits: Limits, batches: Iterable[Batch], *, url: str = ""
    ) -> Iterator[BatchResult | Written]:
        """Results of batches as they come; never more on the way than workers and GPUs take.

        Of a dataset in a bucket the workers keep what they make, until one of them writes it.
        """
        if self._begun is not None:
            self._begun.result()
        self._start(_own_modules(graph), keeps=bool(url))
        self.orders = deque[Order]() if url else None
        gpus = self._gpus or 0
        accelerated = [name for name, stage in graph.stages.items() if stage.accelerated and gpus]
        keeps = bool(url)
        crew = Crew(
            Pool(
                graph,
                limits,
                self._workers or 1,
                leave=accelerated,
                keeps=keeps,
                early=self._early,
            ),
            Pool(graph, limits, gpus, device=self._device, gpu=True, keeps=keeps)
            if accelerated
            else None,
            room=None if self._address is None else self._room,
        )
        try:
            yield from carry_out(
                crew,
                iter(batches),
                gpu_stages=accelerated,
                most_waiting=GPU_WAITING * gpus,
                orders=self.orders,
            )
        finally:
            crew.dismiss()

    def _start(self, modules: Sequence[str], *, keeps: bool = False) -> None:
        """Start Ray here, or join the cluster that was named.

        Args:
            modules: what workers must be able to import, beside ns2.
            keeps: what workers make stays in the object store until it is written.

        Raises:
            UserError: Ray does not start, the cluster can't be joined, runs another ns2, or lacks
                the GPUs or modules.
        """
        if self._started:
            return
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # a record of every task ever run, for a dashboard: it would grow with the corpus
        os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent, or kept in HOME
        import ray

        if self._address is None:
            self._workers = self._workers or usable_cores()
            self._count_gpus(_gpus_here())
            start_ray(
                self._folder,
                num_cpus=self._workers + 1,  # one stays free, or two actors hang two cores
                num_gpus=self._gpus,
                object_store_memory=OBJECT_STORE * (2 if keeps else 1)
                + GPU_OBJECT_STORE * (self._gpus or 0),
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
            self._started = True
            hear_sigterm()  # Ray's own handler prints stacks, and ends without cleaning up
            return
        try:
            with self._folder.neutral():
                ray.init(address=self._address, log_to_driver=False, configure_logging=False)
        except Exception as error:
            raise UserError(
                f"can't join the Ray cluster at {self._address}: {error}. Start one with "
                "`ray start --head`, name its address, and set RAY_AUTH_MODE=token on every "
                "node and here if it asks for a token."
            ) from error
        self._started = True
        hear_sigterm()
        self._count_gpus(int(ray.cluster_resources().get("GPU", 0)))
        self._modules = modules
        self._workers, _ = self._room()

    def _room(self) -> tuple[int, int]:
        """How many actors on CPUs and on GPUs the cluster has room for, as it is now.

        Raises:
            UserError: a node that has joined runs another ns2.
        """
        import ray

        joined = alive_nodes() - self._known
        if joined:
            _check_nodes(self._modules, joined)
            self._known |= joined
        there = ray.cluster_resources()
        cores, gpus = (int(there.get(name, 0)) for name in ("CPU", "GPU"))
        workers, most = self._asked
        return (
            max(cores - 1, 1) if workers is None else max(min(workers, cores), 1),
            gpus if most is None else min(most, gpus),
        )

    def _count_gpus(self, there: int) -> None:
        """Settle the number of GPUs.

        Raises:
            UserError: fewer are there than asked for.
        """
        if self._gpus is None:
            self._gpus = there
        elif self._gpus > there and self._device != "cpu":
            raise UserError(
                f"--gpus {self._gpus}, but there are {there}. Without --gpus all that there are "
                "get used, and with --gpus 0 none."
            )


def _is_not_of_signals(record: logging.LogRecord) -> bool:
    return "SIGTERM" not in record.getMessage()


def _gpus_here() -> int:
    import torch

    return torch.cuda.device_count()


def code_digest() -> str:
    """SHA-256 over all Python files of this installation of ns2.

    Ray pickles by the names of modules, so a node with the same version and other files would run
    other code, or none.
    """
    root = Path(__file__).parents[3]
    found = hashlib.sha256()
    for top in ("cli.py", "model", "pipeline", "train"):
        files = [root / top] if top.endswith(".py") else sorted((root / top).rglob("*.py"))
        for file in files:
            found.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return found.hexdigest()


def _own_modules(graph: Graph) -> list[str]:
    """The modules of a user's own stages."""
    modules = {type(stage).__module__ for stage in graph.stages.values()}
    return sorted(name for name in modules if not name.startswith("ns2."))


def _check_nodes(modules: Sequence[str], nodes: set[str]) -> None:
    """Check that nodes run the same ns2, file by file: nothing is shipped to them.

    Args:
        nodes: their ids.
        modules: what every node must have beside it.

    Raises:
        UserError: a node has another ns2, or none, or lacks a module.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def identify() -> tuple[str, str]:
        from importlib.metadata import version

        try:
            from ns2.pipeline.preprocess.executors.ray_executor import code_digest
        except ImportError:  # an older one
            return version("ns2"), ""
        return version("ns2"), code_digest()

    def lacks(modules: Sequence[str]) -> list[str]:
        from importlib import import_module

        missing = []
        for name in modules:
            try:
                import_module(name)
            except Exception as error:
                missing.append(f"{name} ({type(error).__name__}: {error})")
        return missing

    here = identify()
    ask, search = ray.remote(num_cpus=0)(identify), ray.remote(num_cpus=0)(lacks)
    for node in ray.nodes():
        if node["NodeID"] not in nodes:
            continue
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = node["NodeManagerHostname"]
        try:
            there = ray.get(ask.options(scheduling_strategy=strategy).remote())
        except Exception as error:
            if node["NodeID"] not in alive_nodes():
                continue  # it was lost meanwhile
            raise UserError(
                f"ns2 does not run on node {name}: {error}; install it there"
            ) from error
        if there[0] != here[0]:
            raise UserError(
                f"node {name} has ns2 {there[0]} and this machine {here[0]}; make them equal"
            )
        if there[1] != here[1]:
            raise UserError(
                f"node {name} and this machine have ns2 {here[0]} with different files; install "
                "the same one on both"
            )
        if missing := ray.get(search.options(scheduling_strategy=strategy).remote(modules)):
            raise UserError(f"node {name} can't import {', '.join(missing)}; install it there")
