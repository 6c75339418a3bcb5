"""Steps of a run, fetched ahead of use.

    with Reader(data, collate, seed=0, global_frames=16_000) as reader:
        for step in reader:
            train(step.batch)

Arrays are checked in mapped files by threads, which also collate, the only copy: checking and
copying let go of Python's lock, and nothing has to be sent between processes. Steps come in order,
and where a reader starts decides all that follows, so a run goes on from a place (epoch, step).
torch is not imported here.

Letters for shapes: T frames, Q quantizers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Any, Literal

import numpy as np

from ns2.train.data.epochs import EpochPlan, mixed
from ns2.train.data.selection import DamageError, Data

OnDamage = Literal["raise", "skip"]
Place = tuple[EpochPlan, int, int]
"""A step to fetch: the plan of its epoch, the epoch, its number there."""


@dataclass(slots=True, kw_only=True)  # not frozen: that would take three times as long to make
class Fetched:
    """One utterance of a step.

    Attributes:
        number: its number in the `Data`.
        arrays: by column; read-only, they are the mapped files themselves.
        seed: 63 bits of (seed, epoch, utterance), for all that is random about it in this step.
        other: codes of another utterance of the speaker, (Q, T'), where they were asked for.
    """

    key: str
    number: int
    arrays: dict[str, Any]
    seed: int
    other: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A rank's share of one step.

    Attributes:
        epoch, step: the place; step counts within the epoch.
        next: the place after it, where a run that has done this one goes on.
        batch: what `collate` made; None where this rank has no utterance in this step.
        utterances, frames: that this rank has in it.
        global_utterances, global_frames: of all ranks together, as planned.
        skipped: messages on utterances that were left out as damaged.
    """

    epoch: int
    step: int
    next: tuple[int, int]
    batch: Any
    utterances: int
    frames: int
    global_utterances: int
    global_frames: int
    skipped: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Meter:
    """Where a reader's time went.

    Attributes:
        waited: seconds that the caller stood in `next`.
        steps, skipped: so far.
        fetching: seconds of all threads together for reading and collating.
    """

    waited: float = 0.0
    steps: int = 0
    skipped: int = 0
    fetching: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Reader:
    """Endless steps of a rank, epoch after epoch, fetched by threads that run ahead.

    Attributes:
        meter: where time went.
    """

    def __init__(
        self,
        data: Data,
        collate: Callable[[list[Fetched]], Any],
        *,
        seed: int,
        global_frames: int,
        start: tuple[int, int] = (0, 0),
        epochs: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        threads: int = 2,
        ahead: int = 4,
        check: bool = True,
        on_damage: OnDamage = "raise",
        other_below: int = 0,
        pin: bool = False,
    ) -> None:
        """Get ready; fetching begins with the first `next`.

        Args:
            collate: makes a batch of utterances, in a thread of this reader.
            start: epoch and step to begin with; a step behind the epoch's last one is the first
                of the next epoch.
            epochs: to end before this epoch; None for never.
            ahead: steps that are fetched before they are asked for.
            check: hold every array against its CRC-32.
            on_damage: "raise" when the step comes up, or "skip" the utterance and count it.
            other_below: utterances of fewer frames come with codes of another of their speaker.
            pin: call the batch's `pin_memory()`, so that copies to a GPU are asynchronous.

        Raises:
            ValueError: an argument is out of range.
            UserError: an utterance is longer than a step.
        """
        if not 0 <= rank < ranks:
            raise ValueError(f"rank {rank} of {ranks} does not exist")
        if threads < 1 or ahead < 1:
            raise ValueError(f"threads and ahead are at least 1, got {threads} and {ahead}")
        if on_damage not in ("raise", "skip"):
            raise ValueError(f"on_damage is raise or skip, got {on_damage!r}")
        if min(start) < 0:
            raise ValueError(f"a reader can't start at epoch {start[0]}, step {start[1]}")
        if other_below and "codes" not in data.columns:
            raise ValueError("codes of another utterance need the column codes")
        self.meter = Meter()
        self._data, self._collate = data, collate
        self._seed, self._global_frames = seed, global_frames
        self._rank, self._ranks, self._epochs = rank, ranks, epochs
        self._check, self._on_damage = check, on_damage
        self._other_below, self._pin, self._ahead = other_below, pin, ahead
        self._planner = ThreadPoolExecutor(1, thread_name_prefix="ns2-planner")
        self._plans: dict[int, Future[EpochPlan]] = {}
        self._places = self._all_places(start)
        self._ended, self._closed = False, False
        # plain queues, and threads in turn: a pool's futures take longer than fetching a step
        self._orders = [SimpleQueue[Place | None]() for _ in range(threads)]
        self._fetched = [SimpleQueue[Step | BaseException]() for _ in range(threads)]
        self._ordered, self._taken = 0, 0
        self._threads: list[Thread] = []
        if epochs is None or start[0] < epochs:
            self._plan(start[0]).result()  # what can't be planned is told before the first step

    def steps(self, epoch: int) -> int:
        """The number of steps of an epoch."""
        return len(self._plan(epoch).result())

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        """The next step.

        Raises:
            DamageError: an utterance of it is damaged, and damage is not skipped.
            UserError: a dataset has changed since the run began.
        """
        began = time.perf_counter()
        if not self._threads:
            self._start()
        count = len(self._threads)
        while not self._ended and self._ordered - self._taken < self._ahead:
            place = next(self._places, None)
            if place is None:
                self._ended = True
            else:
                self._orders[self._ordered % count].put(place)
                self._ordered += 1
        if self._taken == self._ordered:
            raise StopIteration
        step = self._fetched[self._taken % count].get()
        self._taken += 1
        if isinstance(step, BaseException):
            raise step
        self.meter.waited += time.perf_counter() - began
        self.meter.steps += 1
        self.meter.skipped += len(step.skipped)
        return step

    def close(self) -> None:
        """Stop the threads; steps that were fetched ahead are dropped."""
        self._ended, self._closed, self._taken = True, True, self._ordered
        for orders in self._orders:
            orders.put(None)
        for thread in self._threads:
            thread.join()
        self._planner.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        for number in range(len(self._orders)):
            thread = Thread(
                target=self._work, args=(number,), name=f"ns2-reader-{number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def _work(self, number: int) -> None:
        """Fetch what is ordered of a thread, until there is a None."""
        orders, fetched = self._orders[number], self._fetched[number]
        while (place := orders.get()) is not None:
            if self._closed:
                continue
            try:
                fetched.put(self._fetch_step(*place))
            except BaseException as error:
                fetched.put(error)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _all_places(self, start: tuple[int, int]) -> Iterator[Place]:
        epoch, step = start
        while self._epochs is None or epoch < self._epochs:
            plan = self._plan(epoch).result()
            if step < len(plan) and (self._epochs is None or epoch + 1 < self._epochs):
                self._plan(epoch + 1)  # in the background, long before it is needed
            for number in range(step, len(plan)):
                yield plan, epoch, number
            self._plans.pop(epoch, None)
            epoch, step = epoch + 1, 0

    def _plan(self, epoch: int) -> Future[EpochPlan]:
        if epoch not in self._plans:
            self._plans[epoch] = self._planner.submit(
                self._data.plan, seed=self._seed, epoch=epoch, global_frames=self._global_frames
            )
        return self._plans[epoch]

    def _fetch_step(self, plan: EpochPlan, epoch: int, number: int) -> Step:
        began = time.perf_counter()
        self._data.check_unchanged()
        share = plan.share(number, self._rank, self._ranks)
        skipped: list[str] = []
        try:
            fetched = self._fetch(share, epoch)
        except DamageError:
            if self._on_damage == "raise":
                raise
            fetched = []
            for i in range(len(share)):
                try:
                    fetched += self._fetch(share[i : i + 1], epoch)
                except DamageError as error:
                    skipped.append(str(error))
        batch = self._collate(fetched) if fetched else None
        if self._pin and batch is not None:
            batch = batch.pin_memory()
        whole = plan.step(number)
        with self.meter.lock:
            self.meter.fetching += time.perf_counter() - began
        return Step(
            epoch=epoch,
            step=number,
            next=(epoch, number + 1) if number + 1 < len(plan) else (epoch + 1, 0),
            batch=batch,
            utterances=len(fetched),
            frames=int(self._data.frames[[one.number for one in fetched]].sum()),
            global_utterances=len(whole),
            global_frames=int(self._data.frames[whole].sum()),
            skipped=tuple(skipped),
        )

    def _fetch(self, numbers: np.ndarray, epoch: int) -> list[Fetched]:
        """The utterances of a share, or of a part of it."""
        data, check = self._data, self._check
        arrays = [data.read_many(name, numbers, check=check) for name in data.columns]
        seeds = (mixed(self._seed, epoch, numbers) >> np.uint64(1)).tolist()
        others: list[np.ndarray | None] = [None] * len(numbers)
        for i in np.flatnonzero(data.frames[numbers] < self._other_below).tolist():
            which = data.other(int(numbers[i]), seeds[i])
            if which is not None:
                others[i] = data.read("codes", which, check=check)
        return [
            Fetched(
                key=key,
                number=one,
                arrays=dict(zip(data.columns, values, strict=True)),
                seed=seed,
                other=other,
            )
            for key, one, seed, other, *values in zip(
                data.keys(numbers), numbers.tolist(), seeds, others, *arrays, strict=True
            )
        ]
