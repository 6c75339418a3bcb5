"""Carries out a batch: runs the stages that its utterances need and encodes what they make.

One worker lives in each process of an executor. Whatever happens to one utterance is caught here
and touches no other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import ColumnSpec, check_array, check_durations
from ns2.pipeline.dataset.shards import decode_value, encode_value
from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.failure import as_failure, screen_failure
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult, Done, Encoded, Handed, Work
from ns2.pipeline.stages.graph import SCREEN, Graph
from ns2.pipeline.stages.stage import Item, Product

_SCALARS = "scalars of transient stages"


class Worker:
    """Runs the stages of a graph on batches."""

    def __init__(
        self, graph: Graph, limits: Limits, *, device: str = "cpu", leave: Sequence[str] = ()
    ) -> None:
        """Take a graph.

        Args:
            device: where accelerated stages work.
            leave: stages that another worker carries out, see `handed`.
        """
        self._graph, self._limits, self._device = graph, limits, device
        self._leave = frozenset(leave)
        self._ready: set[str] = set()

    def process(self, batch: Batch, given: Handed | None = None) -> BatchResult:
        """Screen the utterances that were not, and make the columns that are asked for.

        Args:
            given: what another worker handed on.
        """
        return self.process_and_hand_on(batch, given)[0]

    def process_and_hand_on(
        self, batch: Batch, given: Handed | None = None
    ) -> tuple[BatchResult, Handed]:
        """As `process`, and what the stages that were left to others require."""
        done = {work.key: Done(key=work.key) for work in batch.works}
        values = {work.key: self._given(work) for work in batch.works}
        for key, some in (given or {}).items():
            if key in values:
                values[key].update(some)
        seconds: dict[str, float] = {}
        audio_seconds: dict[str, float] = {}
        for name, stage in self._graph.stages.items():
            works = [
                work
                for work in batch.works
                if name in self._wanted(work)
                and self._goes_on(name, work, done[work.key])
                and name not in values[work.key]
            ]
            if not works:
                continue
            if name not in self._ready:
                if stage.accelerated:
                    stage.device = self._device
                stage.setup()
                self._ready.add(name)
            items = [
                Item(
                    key=work.key,
                    record=work.record,
                    inputs={r: values[work.key][r] for r in stage.requires if r != "record"},
                )
                for work in works
            ]
            start = time.perf_counter()
            results = stage.compute_batch(items)
            seconds[name] = time.perf_counter() - start
            for work, result in zip(works, results, strict=True):
                try:
                    self._take(name, work, result, done[work.key], values[work.key])
                except UserError:
                    raise
                except Exception as error:
                    done[work.key].failure = as_failure(name, error)
                self._check_length(work, done[work.key], values[work.key])
            samples = sum(values[work.key].get("samples", 0) for work in works)
            audio_seconds[name] = samples / self._graph.grid.sample_rate
        for one in done.values():
            if one.failure is not None:
                one.members.clear()
        whole = BatchResult(
            shard=batch.shard,
            number=batch.number,
            done=tuple(done[work.key] for work in batch.works),
            seconds=seconds,
            audio_seconds=audio_seconds,
        )
        handed: Handed = {}
        for work in batch.works:
            left = self._leave.intersection(work.columns)
            if any(self._goes_on(name, work, done[work.key]) for name in left):
                needed = {r for name in left for r in self._graph.stages[name].requires}
                needed |= {"samples", _SCALARS}
                handed[work.key] = {r: v for r, v in values[work.key].items() if r in needed}
        return whole, handed

    def _check_length(self, work: Work, done: Done, values: dict[str, Any]) -> None:
        """Let go of audio that is too short or too long as soon as that is known."""
        if work.samples is None and done.failure is None and "samples" in values:
            samples = {"samples": float(values["samples"])}
            if screen_failure(samples, self._limits, self._graph.grid) is not None:
                done.excluded = True
        if done.out:
            values.pop("audio", None)

    def _goes_on(self, name: str, work: Work, done: Done) -> bool:
        """Whether a stage is to work on an utterance, after all that was found out about it."""
        if name not in SCREEN and work.samples is None and not done.out:
            # before anything expensive is made of it
            scalars = done.screened or {}
            done.excluded = screen_failure(scalars, self._limits, self._graph.grid) is not None
        return not done.out

    def _given(self, work: Work) -> dict[str, Any]:
        """What an utterance brings along: sources, and columns that exist."""
        values: dict[str, Any] = {"audio_file": work.audio_file, "text": work.record["text"]}
        if work.textgrid is not None:
            values["textgrid"] = work.textgrid
        if work.samples is not None:
            values["samples"] = work.samples
        for column, stored in work.stored.items():
            values[column] = decode_value(self._graph.spec(column), stored.read())
        return values

    def _wanted(self, work: Work) -> set[str]:
        """Stages that an utterance needs, less what lies behind columns that exist."""
        wanted: set[str] = set()
        waiting = list(work.columns)
        if work.samples is None:
            waiting.extend(SCREEN)
        while waiting:
            name = waiting.pop()
            if name in self._graph.stages and name not in wanted and name not in work.stored:
                if name not in self._leave:
                    wanted.add(name)
                waiting.extend(self._graph.stages[name].requires)
        return wanted

    def _take(
        self, name: str, work: Work, result: Product | Exception, done: Done, values: dict[str, Any]
    ) -> None:
        """Keep a product: its value for later stages, its member for the tar."""
        if name == "audio":
            _check_unchanged(work.record["source"], work.audio_file, work.stamp)
        if "textgrid" in self._graph.stages[name].requires and work.textgrid is not None:
            _check_unchanged(Path(work.textgrid).name, work.textgrid, work.textgrid_stamp)
        cause = result.__cause__ if isinstance(result, UtteranceError) else result
        if isinstance(cause, OSError | MemoryError):  # the machine's fault, not the utterance's
            raise UserError(
                f"{name} of {work.record['source']}: {cause or type(cause).__name__}. "
                "Put it right and run again: what is written stays."
            ) from cause
        if isinstance(result, Exception):
            raise result
        values[name] = result.value
        if name == "audio":
            values["samples"] = len(result.value)
        if work.samples is None and name in SCREEN:
            done.screened = {**(done.screened or {}), **result.scalars}
        if self._graph.stages[name].column is None:
            values[_SCALARS] = {**values.get(_SCALARS, {}), name: result.scalars}
        if name in work.columns:
            spec = self._graph.spec(name)
            check_value(spec, work.key, result.value, values, self._graph)
            data, shape = encode_value(spec, result.value)
            # what screening found goes into markers too: they alone must tell the index
            scalars = dict(result.scalars)
            for required in self._graph.stages[name].requires:
                scalars.update(values.get(_SCALARS, {}).get(required, {}))
            done.members[name] = Encoded(data=data, shape=shape, scalars=scalars)


def _check_unchanged(name: str, file: str, hashed: tuple[int, int] | None) -> None:
    """Raise UserError if a source is no longer what was hashed: its target would lie."""
    try:
        unchanged = hashed in (None, stamp(Path(file)))
    except OSError:
        unchanged = False
    if not unchanged:
        raise UserError(
            f"{name} has changed or vanished since it was hashed. "
            "Run again once the corpus is at rest: what is written stays."
        )


def check_value(
    spec: ColumnSpec, key: str, value: Any, values: Mapping[str, Any], graph: Graph
) -> None:
    """Hold what a stage made against the frame contract before it is written.

    Raises:
        ValueError: naming the key, what was expected and what came.
    """
    if spec.dtype == "json":
        return
    if "samples" in values:
        frames = graph.grid.frames(values["samples"])
    elif "mel" in values:
        frames = values["mel"].shape[1]
    else:
        frames = 0
    tokens = len(values["phonemes"]) if "phonemes" in values else None
    check_array(spec, key, value, frames=frames, tokens=tokens)
    if spec.name == "durations":
        table = graph.stages["phonemes"].table  # type: ignore[attr-defined]
        symbols = table.symbols(values["phonemes"])
        check_durations(key, value, symbols, frames=frames, optional=table.optional)
