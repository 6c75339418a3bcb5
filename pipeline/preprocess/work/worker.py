"""Carries out a batch: runs the stages that its utterances need, and encodes what they make.

One worker lives in each process of an executor. Whatever happens to one utterance is caught here
and touches no other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.dataset.shards import Member, decode_value, encode_value
from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.failure import as_failure, screen_failure
from ns2.pipeline.preprocess.work.messages import (
    Batch,
    BatchResult,
    HandedOn,
    Outcome,
    SourceFile,
    Task,
)
from ns2.pipeline.stages.graph import SCREEN, Graph
from ns2.pipeline.stages.stage import Item, Product, Stage


@dataclass(kw_only=True)
class _InWork:
    """An utterance while a worker has it.

    Attributes:
        stages: names of the stages that it needs here.
        values: what is there of it, by source and stage.
        aside: what products bring along, by stage.
        scalars: scalars of transient stages, by stage.
        samples: S of its audio, once that is known.
    """

    task: Task
    outcome: Outcome
    stages: frozenset[str]
    values: dict[str, Any]
    aside: dict[str, Any] = field(default_factory=dict)
    scalars: dict[str, Mapping[str, float]] = field(default_factory=dict)
    samples: int | None = None

    def item(self, stage: Stage) -> Item:
        """The utterance as a stage sees it."""
        inputs = {name: self.values[name] for name in stage.requires if name != "record"}
        return Item(key=self.task.key, record=self.task.record, inputs=inputs, aside=self.aside)


class Worker:
    """Runs the stages of a graph on batches."""

    def __init__(
        self,
        graph: Graph,
        limits: Limits,
        *,
        device: str = "cpu",
        leave: Sequence[str] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take a graph; its stages are set up when they are first needed.

        Args:
            limits: lengths that an utterance may have.
            device: torch's name of the device on which accelerated stages work.
            leave: stages that another worker carries out; what they need is handed on.
            clock: gives seconds, by which stages are timed.
        """
        self._clock = clock
        self._graph, self._limits, self._device = graph, limits, device
        self._leave = frozenset(leave)
        self._ready: set[str] = set()

    def process(
        self, batch: Batch, handed: Mapping[str, HandedOn] | None = None
    ) -> tuple[BatchResult, dict[str, HandedOn]]:
        """Screen the utterances that were not screened, and make the columns that are asked for.

        Args:
            handed: what another worker handed on, by key.

        Returns:
            the batch's result, and what the stages that are left to others need, by key.

        Raises:
            UserError: the fault lies in the machine or the corpus, not in an utterance.
        """
        given = handed or {}
        in_work = [self._begin(task, given.get(task.key)) for task in batch.tasks]
        seconds: dict[str, float] = {}
        audio_seconds: dict[str, float] = {}
        for stage in self._graph.stages.values():
            due = [utterance for utterance in in_work if self._is_due(stage.name, utterance)]
            if not due:
                continue
            self._set_up(stage)
            start = self._clock()
            products = stage.compute_batch([utterance.item(stage) for utterance in due])
            seconds[stage.name] = self._clock() - start
            for utterance, product in zip(due, products, strict=True):
                self._take(stage, utterance, product)
            samples = sum(utterance.samples or 0 for utterance in due)
            audio_seconds[stage.name] = samples / self._graph.grid.sample_rate
        for utterance in in_work:
            if utterance.outcome.failure is not None:
                utterance.outcome.members.clear()
        result = BatchResult(
            shard=batch.shard,
            number=batch.number,
            outcomes=tuple(utterance.outcome for utterance in in_work),
            seconds=seconds,
            audio_seconds=audio_seconds,
        )
        return result, self._hand_on(in_work)

    def _begin(self, task: Task, handed: HandedOn | None) -> _InWork:
        """Gather what an utterance brings along: sources, stored columns, what was handed on."""
        begun = _InWork(
            task=task,
            outcome=Outcome(key=task.key),
            stages=self._needed(task),
            values={"text": task.record["text"]},
            samples=task.samples,
        )
        begun.values.update((name, file.place) for name, file in task.files.items())
        for column, stored in task.stored.items():
            begun.values[column] = decode_value(self._graph.spec(column), stored.read())
        if handed is not None:
            begun.values.update(handed.values)
            begun.scalars.update(handed.scalars)
            begun.samples = handed.samples
        return begun

    def _needed(self, task: Task) -> frozenset[str]:
        """Stages that a task needs here; nothing behind columns that are stored."""
        needed: set[str] = set()
        waiting = [*task.columns, *(SCREEN if task.samples is None else ())]
        while waiting:
            name = waiting.pop()
            if name in self._graph.stages and name not in needed and name not in task.stored:
                if name not in self._leave:
                    needed.add(name)
                waiting.extend(self._graph.stages[name].requires)
        return frozenset(needed)

    def _is_due(self, name: str, utterance: _InWork) -> bool:
        """Whether a stage is to work on an utterance now."""
        return (
            name in utterance.stages
            and self._goes_on(name, utterance)
            and name not in utterance.values
        )

    def _goes_on(self, name: str, utterance: _InWork) -> bool:
        """Whether an utterance comes as far as a stage, after all that was found out about it."""
        outcome = utterance.outcome
        if name not in SCREEN and utterance.task.samples is None and not outcome.ended:
            # before anything expensive is made of it
            failure = screen_failure(outcome.screened or {}, self._limits, self._graph.grid)
            outcome.excluded = failure is not None
        return not outcome.ended

    def _set_up(self, stage: Stage) -> None:
        """Set a stage up, once."""
        if stage.name not in self._ready:
            if stage.accelerated:
                stage.device = self._device
            stage.setup()
            self._ready.add(stage.name)

    def _take(self, stage: Stage, utterance: _InWork, product: Product | Exception) -> None:
        """Keep what a stage made of an utterance, or why it failed.

        Raises:
            UserError: the fault lies in the machine or the corpus.
        """
        for name, file in utterance.task.files.items():
            if name in stage.requires:
                _check_unchanged(file)
        _check_machine(stage.name, utterance.task, product)
        try:
            if isinstance(product, Exception):
                raise product
            self._keep(stage, utterance, product)
        except UserError:
            raise
        except Exception as error:
            utterance.outcome.failure = as_failure(stage.name, error)
        self._check_length(utterance)

    def _keep(self, stage: Stage, utterance: _InWork, product: Product) -> None:
        """Keep a product: its value for later stages, its member for the tar.

        Raises:
            ValueError: it breaks the frame contract.
        """
        name, task, outcome = stage.name, utterance.task, utterance.outcome
        _check_scalars(stage, product)
        utterance.values[name] = product.value
        if product.aside is not None:
            utterance.aside[name] = product.aside
        if "samples" in product.scalars:
            samples = int(product.scalars["samples"])
            if task.samples not in (None, samples):
                raise UtteranceError(
                    Reason.STAGE_FAILED,
                    f"it has {samples} samples, and had {task.samples} when its other columns were "
                    "made by an earlier version; make the dataset in a new folder to have it again",
                )
            utterance.samples = samples
        if task.samples is None and name in SCREEN:
            outcome.screened = {**(outcome.screened or {}), **product.scalars}
        if stage.column is None:
            utterance.scalars[name] = product.scalars
        if name not in task.columns:
            return
        frames, tokens = self._sizes(utterance)
        stage.check(utterance.item(stage), product.value, frames=frames, tokens=tokens)
        data, shape = encode_value(self._graph.spec(name), product.value)
        # what screening found goes into markers too: they alone must tell the index
        scalars = dict(product.scalars)
        for required in stage.requires:
            scalars.update(utterance.scalars.get(required, {}))
        outcome.members[name] = Member(
            key=task.key, data=data, shape=shape, source=task.columns[name], scalars=scalars
        )

    def _sizes(self, utterance: _InWork) -> tuple[int, int | None]:
        """T and N of an utterance: T by its audio, or else both by the arrays that are there."""
        sizes: dict[str | int, int] = {}
        for name, value in utterance.values.items():
            spec = self._graph.stages[name].column if name in self._graph.stages else None
            if spec is not None and spec.dims:
                sizes = {**dict(zip(spec.dims, value.shape, strict=False)), **sizes}
        if utterance.samples is not None:
            return self._graph.grid.frames(utterance.samples), sizes.get("N")
        return sizes.get("T", 0), sizes.get("N")

    def _check_length(self, utterance: _InWork) -> None:
        """Let go of audio that is too short or too long as soon as that is known."""
        if (
            utterance.task.samples is None
            and utterance.outcome.failure is None
            and utterance.samples is not None
        ):
            length = {"samples": float(utterance.samples)}
            if screen_failure(length, self._limits, self._graph.grid) is not None:
                utterance.outcome.excluded = True
        if utterance.outcome.ended:
            utterance.values.clear()

    def _hand_on(self, in_work: Sequence[_InWork]) -> dict[str, HandedOn]:
        """What the stages that are left to others need, by key."""
        handed: dict[str, HandedOn] = {}
        for utterance in in_work:
            left = self._leave.intersection(utterance.task.columns)
            if not any(self._goes_on(name, utterance) for name in left):
                continue
            needed = {r for name in left for r in self._graph.stages[name].requires}
            values = {name: value for name, value in utterance.values.items() if name in needed}
            handed[utterance.task.key] = HandedOn(
                values=values, scalars=utterance.scalars, samples=utterance.samples
            )
        return handed


def _check_scalars(stage: Stage, product: Product) -> None:
    """Raise ValueError if a stage gives numbers that it did not declare, or that are none."""
    for name, value in product.scalars.items():
        if name not in stage.scalars:
            raise ValueError(f"{stage.name} gives the scalar {name}, which it does not declare")
        if not math.isfinite(value):
            raise ValueError(f"{stage.name} gives {value} for {name}: leave out what is no number")


def _check_machine(stage: str, task: Task, product: Product | Exception) -> None:
    """Raise UserError if it was the machine that failed, and not the utterance."""
    cause = product.__cause__ if isinstance(product, UtteranceError) else product
    if isinstance(cause, OSError | MemoryError):
        raise UserError(
            f"{stage} of {task.record['source']}: {cause or type(cause).__name__}. "
            "Put it right and run again: what is written stays."
        ) from cause


def _check_unchanged(file: SourceFile) -> None:
    """Raise UserError if a file is no longer what was hashed: targets would have wrong names.

    Of an object in a bucket nothing else is read in the first place.
    """
    if file.recording is not None and file.recording.url:
        return
    try:
        unchanged = file.stamp in (None, stamp(Path(file.path)))
    except OSError:
        unchanged = False
    if not unchanged:
        raise UserError(
            f"{file.name} has changed or vanished since it was hashed. "
            "Run again once the corpus is at rest: what is written stays."
        )
