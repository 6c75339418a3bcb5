"""Steps of a run, fetched ahead of use.

    with Reader(data, collate, seed=0, global_frames=16_000) as reader:
        for step in reader:
            train(step.batch)

Threads check arrays in mapped files and collate them, which makes the only copy: checking and
copying release Python's lock, and nothing has to be sent between processes. Steps come in order,
and the place where a reader starts, (epoch, step), decides all that follows: a run goes on from
there. torch is not imported here.

A step goes through these phases: its place is planned (`_places_from`), the place is ordered ahead
of use (`__next__`), a thread fetches and collates its utterances (`_fetch_step`), and `__next__`
hands it out.

Letters for shapes: T frames, Q quantizers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.core.errors import DamageError
from ns2.pipeline.remote.objects import nobody_waits
from ns2.train.data.ahead import Ahead
from ns2.train.data.epochs import EpochPlan
from ns2.train.data.in_turn import InTurn
from ns2.train.data.selection import Data

OnDamage = Literal["raise", "skip"]


class Place(NamedTuple):
    """A step to fetch: the plan of its epoch, the epoch, and the step's number in it."""

    plan: EpochPlan
    epoch: int
    step: int


@dataclass(slots=True, kw_only=True)  # not frozen: that would take three times as long to make
class Fetched:
    """One utterance of a step.

    Attributes:
        key: the utterance's key in its dataset.
        number: the utterance's number in the `Data`.
        arrays: by column; they are read-only views of the mapped files.
        seed: 63 bits of (seed, epoch, utterance), for all that is random about it in this step.
        other: codes of another utterance of the speaker, (Q, T'), where they were asked for.
        share: by which its prompt is cut out of it, in [0, 1); None in plan 1.
    """

    key: str
    number: int
    arrays: dict[str, Any]
    seed: int
    other: np.ndarray | None = None
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A rank's share of one step.

    Attributes:
        epoch, step: the step's place; `step` counts within the epoch.
        next: the place after it, where a run goes on that has done this step.
        batch: the result of `collate`; None where this rank has no utterance in this step.
        utterances, frames: how many this rank has of them.
        global_utterances, global_frames: how many all ranks together have, as planned.
        numbers: of the utterances that all ranks together have, as planned.
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
    numbers: np.ndarray
    skipped: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Meter:
    """The time that a reader took.

    Attributes:
        waited: seconds that the caller waited in `next`.
        steps: the number of steps so far.
        skipped: the number of utterances that were left out so far.
        fetching: seconds that all threads together took for reading and collating.
    """

    waited: float = 0.0
    steps: int = 0
    skipped: int = 0
    fetching: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Reader:
    """Endless steps of a rank, epoch after epoch, fetched by threads that run ahead.

    Attributes:
        meter: the time that it took.
        stop: is asked while a step is waited for; once it says so, no server is waited for any
            more, and the step is an error if it needs one.
    """

    def __init__(
        self,
        data: Data,
        collate: Callable[[list[Fetched]], Any],
        *,
        seed: int,
        global_frames: int,
        start: tuple[int, int] = (0, 0),
        plan: EpochPlan | None = None,
        epochs: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        threads: int = 2,
        ahead: int = 4,
        check: bool = True,
        on_damage: OnDamage = "raise",
        other_below: int = 0,
        prompts: PromptConfig | None = None,
        pin: bool = False,
    ) -> None:
        """Get ready; fetching begins with the first `next`.

        Args:
            collate: makes a batch of utterances, in a thread of this reader.
            seed: of the order of utterances, and of their random numbers.
            global_frames: the most frames of a step, of all ranks together.
            start: epoch and step to begin with, which may be the one behind the epoch's last.
            plan: the plan of the epoch that it begins with, if it is known; None makes it.
            epochs: the reader ends before this epoch; None for never.
            rank, ranks: the share of each step that is read, and the number of shares.
            ahead: the number of steps that are fetched before they are asked for.
            check: compare the CRC-32 of every array with the index.
            on_damage: "raise" at the step of a damaged utterance, or "skip" it and count it.
            other_below: utterances of fewer frames come with codes of another of their speaker.
            prompts: the lengths of prompts, with which steps are planned (plan 2); None for plan 1.
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
        self.stop: Callable[[], bool] = _never
        self._no_servers = ExitStack()
        self._data, self._collate, self._seed = data, collate, seed
        self._global_frames, self._epochs, self._prompts = global_frames, epochs, prompts
        self._rank, self._ranks, self._pin, self._other_below = rank, ranks, pin, other_below
        self._check, self._on_damage, self._ahead = check, on_damage, ahead
        self._planner = ThreadPoolExecutor(1, thread_name_prefix="ns2-planner")
        self._plans: dict[int, Future[EpochPlan]] = {}
        if plan is not None:
            self._plans[start[0]] = Future()
            self._plans[start[0]].set_result(plan)
        self._far = Ahead(data, seed=seed, rank=rank, ranks=ranks, other_below=other_below)
        self._ordered: dict[tuple[int, int], Future[None]] = {}
        self._places = self._places_from(*start)
        self._fetchers = InTurn(self._fetch_step, threads, "ns2-reader")
        if epochs is None or start[0] < epochs:
            self._plan(start[0]).result()  # an epoch without a plan is an error before any step

    def steps(self, epoch: int) -> int:
        """The number of steps of an epoch."""
        return len(self._plan(epoch).result())

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        """The next step.

        Raises:
            DamageError: an utterance of it is damaged, and damage is not skipped.
            UserError: a dataset has changed since the run began, or can't be reached.
        """
        began = time.perf_counter()
        # so many steps are always on their way, until the last epoch ends
        while self._fetchers.waiting < self._ahead and (place := next(self._places, None)):
            if self._far.needed and self._far.is_due(*place):
                self._ordered[place[1:]] = self._planner.submit(self._far.reach, *place)
            self._fetchers.order(place)
        if not self._fetchers.waiting:
            raise StopIteration
        step = self._fetchers.take(self._look_up)
        self.meter.waited += time.perf_counter() - began
        self.meter.steps += 1
        self.meter.skipped += len(step.skipped)
        return step

    def close(self) -> None:
        """Stop the threads; steps that were fetched ahead are dropped, and no other comes."""
        self._places = iter(())
        self._fetchers.close()
        self._planner.shutdown(wait=True, cancel_futures=True)
        self._far.stop()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # each of the threads would wait for a server in its turn
            self._no_servers.enter_context(nobody_waits())
        with self._no_servers:
            self.close()

    def _look_up(self) -> None:
        if self.stop():
            self.stop = _never
            self._no_servers.enter_context(nobody_waits())

    # -- which steps there are -------------------------------------------------------------------

    def _places_from(self, epoch: int, step: int) -> Iterator[Place]:
        """All places from one on; the next epoch is planned while the current one is read."""
        while self._epochs is None or epoch < self._epochs:
            plan = self._plan(epoch).result()
            if step < len(plan) and (self._epochs is None or epoch + 1 < self._epochs):
                self._plan(epoch + 1)
            for number in range(step, len(plan)):
                yield Place(plan, epoch, number)
            self._plans.pop(epoch, None)
            epoch, step = epoch + 1, 0

    def _plan(self, epoch: int) -> Future[EpochPlan]:
        if epoch not in self._plans:
            self._plans[epoch] = self._planner.submit(
                self._data.plan,
                seed=self._seed,
                epoch=epoch,
                global_frames=self._global_frames,
                prompts=self._prompts,
            )
        return self._plans[epoch]

    # -- fetching a step, in a thread ------------------------------------------------------------

    def _fetch_step(self, place: Place) -> Step:
        """This rank's share of a step, collated."""
        began = time.perf_counter()
        plan, epoch, number = place
        if (ordered := self._ordered.pop((epoch, number), None)) is not None:
            ordered.result()  # what this step needs is on its way
        self._data.check_unchanged()
        own = plan.rank_of(number, self._ranks) == self._rank
        seeds = plan.seeds(number, self._seed, epoch)[own]
        fetched, skipped = self._fetch_sound(plan.step(number)[own], seeds)
        for one in fetched:
            one.share = plan.prompt_share(number)
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
            numbers=whole,
            skipped=tuple(skipped),
        )

    def _fetch_sound(
        self, numbers: np.ndarray, seeds: np.ndarray
    ) -> tuple[list[Fetched], list[str]]:
        """The utterances of a share that are not damaged, and messages on those that are.

        Raises:
            DamageError: an utterance is damaged, and damage is not skipped.
        """
        try:
            return self._fetch(numbers, seeds), []
        except DamageError:
            if self._on_damage == "raise":
                raise
        # one by one, to find which of them are damaged
        fetched: list[Fetched] = []
        skipped: list[str] = []
        for i in range(len(numbers)):
            try:
                fetched += self._fetch(numbers[i : i + 1], seeds[i : i + 1])
            except DamageError as error:
                skipped.append(str(error))
        return fetched, skipped

    def _fetch(self, numbers: np.ndarray, seeds: np.ndarray) -> list[Fetched]:
        """The utterances of a share, or of a part of it, with all their arrays."""
        data, check = self._data, self._check
        arrays = [data.read_many(name, numbers, check=check) for name in data.columns]
        _check_together(data, numbers, dict(zip(data.columns, arrays, strict=True)))
        others: list[np.ndarray | None] = [None] * len(numbers)
        for i in np.flatnonzero(data.frames[numbers] < self._other_below).tolist():
            which = data.other(int(numbers[i]), int(seeds[i]))
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
                data.keys(numbers), numbers.tolist(), seeds.tolist(), others, *arrays, strict=True
            )
        ]


def _never() -> bool:
    return False


def _check_together(data: Data, numbers: np.ndarray, arrays: dict[str, list[np.ndarray]]) -> None:
    """See that each utterance has as many durations as phonemes, where both are read.

    Raises:
        DamageError: one has not.
    """
    pairs = zip(arrays.get("phonemes", ()), arrays.get("durations", ()), strict=False)
    for i, (phonemes, durations) in enumerate(pairs):
        if len(phonemes) != len(durations):
            raise DamageError(
                f"{data.key(int(numbers[i]))} has {len(phonemes)} phonemes and {len(durations)} "
                "durations; `ns2 verify` lists all that is damaged"
            )
