"""A trial of a run: some of its utterances are really made, and what they take is scaled up.

Nothing is written but in a temporary folder, which is deleted. Times are those of one core, since
other work on the machine would stretch any other; the first utterance is not counted with the rest,
because networks are loaded and kernels compiled for it.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ns2.model.codec.interface import one_thread
from ns2.pipeline.align.aligner_file import train_and_save
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.progress import duration
from ns2.pipeline.dataset.shards import TarWriter, decode_value, encode_value
from ns2.pipeline.preprocess.aligner_asset import ALIGNER_HOURS, INPUTS
from ns2.pipeline.preprocess.executors.parts import PART_UTTERANCES
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.recipe import phoneme_table
from ns2.pipeline.preprocess.work.job import ShardJob
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult, Outcome, Task
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.worker import Worker
from ns2.pipeline.stages.durations import DurationsStage
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.stages.stage import Item, Product, Stage
from ns2.pipeline.stages.trust import TrustStage

_SHARDS = 16
"""Shards that utterances of a trial are taken from, at most."""
_FOR_ALIGNER = 0.6
"""The share of a trial's time after which an aligner is trained on what was made, if one is due."""
_HEADER, _BLOCK, _ROWS = 512, 512, 100
"""Bytes of a member in its tar besides its values, what those are filled up to, and about the bytes
of its rows in marker and index."""
_CORES = (1, 16, 64)
_EXAMPLES = 24
"""Utterances that an aligner is trained on in a trial, at most."""
_ALIGNER = "aligner.safetensors"
TRAINING, WRITING = "training the aligner", "writing"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a run takes, as far as some of its utterances show.

    Attributes:
        utterances: how many were made.
        speech: seconds of speech in them.
        seconds: of one core, by stage, for the whole run.
        start: seconds of a core that each process takes until it works.
        training: seconds in which an aligner is trained, by one process; 0 for none.
        bytes: of each column, for the whole run.
        left_out: columns that the trial did not make; their times are missing.
        problem: why none could be made; empty if some were.
    """

    utterances: int = 0
    speech: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    start: float = 0.0
    training: float = 0.0
    bytes: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    problem: str = ""

    def on(self, cores: int) -> float:
        """Seconds that the run takes with so many cores."""
        return self.start + self.training + sum(self.seconds.values()) / cores

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values, with the seconds on some numbers of cores."""
        return {**vars(self), "on": {str(cores): self.on(cores) for cores in _CORES}}

    def render(self, cores: int) -> list[str]:
        """The trial as a person reads it.

        Args:
            cores: of this machine.
        """
        if self.problem:
            return [f"no trial, so no time is told: {self.problem}"]
        stages = sorted(self.seconds.items(), key=lambda pair: -pair[1])
        named = [f"{name} {duration(of)}" for name, of in stages if of >= 0.5]
        if self.training:
            named.append(f"{TRAINING} {duration(self.training)}")
        return [
            f"a trial made {self.utterances} utterances, {self.speech:.0f} s of speech; a run "
            f"takes about {duration(self.on(1))} of one core",
            f"  {', '.join(named)}, start {duration(self.start)}"
            + (f"; without {', '.join(self.left_out)}" if self.left_out else ""),
            "  "
            + ", ".join(
                f"{duration(self.on(count))} on {count} core{'s' if count > 1 else ''}"
                for count in sorted({*_CORES, cores})
            ),
        ]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a run has to do.

    Attributes:
        tasks: utterances of which something is to be made.
        busy: the shards that these lie in.
        compute: how many arrays are to be made, by column.
        seconds: the mean length of an utterance; those beyond the limits count as 0.
        train: whether an aligner is to be trained.
    """

    tasks: int
    busy: Sequence[Shard]
    compute: Mapping[str, int]
    seconds: float
    train: bool


def try_some(scene: Scene, work: Workload, options: Options, limit: float) -> Trial:
    """Make some utterances, and say what all of them take.

    Args:
        scene: of the run; nothing in it is changed.
        limit: seconds that the trial takes, at most.
    """
    deadline = time.monotonic() + limit
    try:
        with tempfile.TemporaryDirectory(prefix="ns2-trial-") as folder, one_thread():
            return _Trying(scene, work, options, Path(folder), deadline, limit).carry_out()
    except Exception as error:  # a plan is told in any case
        return Trial(problem=str(error) or type(error).__name__)


def core_seconds() -> float:
    """The seconds of cores that this process and those that it waited for have taken."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class _Trying:
    """A trial while it goes on."""

    def __init__(
        self,
        scene: Scene,
        work: Workload,
        options: Options,
        folder: Path,
        deadline: float,
        limit: float,
    ) -> None:
        self._scene, self._work, self._options = scene, work, options
        self._folder, self._deadline, self._limit = folder, deadline, limit
        self._seconds: dict[str, float] = defaultdict(float)
        self._bytes: dict[str, float] = defaultdict(float)
        self._made: list[Outcome] = []
        self._tried, self._speech, self._training = 0, 0.0, 0.0
        self._start = core_seconds()  # reading and hashing are done again by the run
        self._failure = ""

    def carry_out(self) -> Trial:
        """Make utterances until the time is over, and train and use an aligner if one is due."""
        graph, columns = self._scene.graph, tuple(self._work.compute)
        later = self._work.train and "durations" in columns
        known = tuple(
            column
            for column in columns
            if not graph.missing_assets(column)
            and not (later and "aligner" in graph.stages[column].assets)
        )
        tasks = self._tasks(known)
        rest = self._deadline
        if later:
            rest -= (1 - _FOR_ALIGNER) * self._limit
        self._make(graph, iter(tasks), rest)
        if not self._made or not self._speech:
            over = f"{self._limit:g} s were too short; --trial-seconds gives it longer"
            raise ValueError(self._failure or over)
        if later:
            self._align(graph)
        whole = self._work.tasks * self._work.seconds / self._speech
        return Trial(
            utterances=len(self._made),
            speech=self._speech,
            seconds={name: whole * of for name, of in self._seconds.items()},
            start=self._start,
            training=self._training,
            bytes={name: round(whole * of) for name, of in self._bytes.items()},
            left_out=tuple(name for name in columns if name not in self._bytes),
        )

    def _tasks(self, columns: Sequence[str]) -> list[Task]:
        """Tasks of some shards, in an order that chance decides."""
        shards = sorted(self._work.busy, key=lambda s: unit_interval(str(s.number), "trial"))
        found = [
            task
            for shard in shards[:_SHARDS]
            for batch in ShardJob(self._scene, shard, columns).batches()
            for task in batch.tasks
        ]
        return sorted(found, key=lambda task: unit_interval(task.key, "trial"))

    def _make(self, graph: Graph, tasks: Iterator[Task], until: float) -> None:
        """Make utterances, the first one apart."""
        worker = Worker(graph, self._scene.limits, clock=core_seconds)
        size = 1
        while part := tuple(islice(tasks, size)):
            began = core_seconds()
            result, _ = worker.process(Batch(shard=0, number=self._tried, tasks=part))
            if size == 1:
                self._start += core_seconds() - began
                size = PART_UTTERANCES
                if len(part) == self._work.tasks:  # there is only one
                    self._count(result, part)
            else:
                self._count(result, part)
            if time.monotonic() > until:
                break

    def _count(self, result: BatchResult, tasks: Sequence[Task]) -> None:
        """Count what a part took, and write it."""
        for name, seconds in result.seconds.items():
            self._seconds[name] += seconds
        rate = self._scene.graph.grid.sample_rate
        for task, outcome in zip(tasks, result.outcomes, strict=True):
            if not outcome.excluded:
                samples = task.samples or (outcome.screened or {}).get("samples", 0)
                self._speech += samples / rate
            if outcome.failure is not None:
                self._failure = f"{outcome.failure.stage}: {outcome.failure.message}"
            elif outcome.excluded:
                self._failure = "the limits of length leave nothing of what was tried"
            else:
                self._made.append(outcome)
        self._tried += len(tasks)
        self._write(self._scene.graph, result.outcomes)

    def _write(self, graph: Graph, outcomes: Sequence[Outcome]) -> None:
        """Write the members of some utterances, as a run does."""
        began = core_seconds()
        for column in {name for outcome in outcomes for name in outcome.arrays}:
            writer = TarWriter(self._folder / column, self._tried, graph.spec(column))
            for outcome in outcomes:
                if (member := outcome.arrays.get(column)) is not None:
                    writer.add(member)
                    self._bytes[column] += _block(len(member.data))
            writer.commit({})
        self._seconds[WRITING] += core_seconds() - began

    def _align(self, graph: Graph) -> None:
        """Train an aligner on what was made, and make durations with it."""
        made = [one for one in self._made if one.members.keys() >= set(INPUTS)][:_EXAMPLES]
        examples = [
            tuple(decode_value(graph.spec(c), one.arrays[c].data) for c in INPUTS) for one in made
        ]
        if len(examples) < 2:
            return
        # a first one, whose loading and compiling are not the training's
        first, whole = self._train(examples[:1]), self._train(examples)
        speech = [len(mel[0]) / graph.grid.frame_rate for mel, _ in examples]
        sample = min(self._work.tasks * self._work.seconds, 3600 * ALIGNER_HOURS)
        self._training = first + max(0.0, whole - first) * sample / sum(speech[1:])
        items = [
            Item(key=one.key, record={}, inputs=dict(zip(INPUTS, arrays, strict=True)))
            for one, arrays in zip(made, examples, strict=True)
        ]
        # of all that was made, though only some were aligned
        share = self._speech / sum(speech)
        aligner = self._folder / _ALIGNER
        durations = DurationsStage(phoneme_table(self._options), aligner)
        items = self._follow(graph, durations, items, share)
        trust = graph.stages.get("trust")
        if isinstance(trust, TrustStage) and "trust" in self._work.compute:
            self._follow(graph, trust.with_aligner(aligner), items, share)

    def _follow(self, graph: Graph, stage: Stage, items: list[Item], share: float) -> list[Item]:
        """Count what a column takes of some utterances; returns those that have it, with it."""
        stage.setup()
        stage.compute_batch(items[:1])  # kernels are compiled for the first
        began = core_seconds()
        products = stage.compute_batch(items)
        self._seconds[stage.name] += (core_seconds() - began) * share
        found = []
        for item, product in zip(items, products, strict=True):
            if isinstance(product, Product):
                size = _block(len(encode_value(graph.spec(stage.name), product.value)[0]))
                self._bytes[stage.name] += size * share
                inputs = {**item.inputs, stage.name: product.value}
                found.append(replace(item, inputs=inputs, aside={stage.name: product.aside}))
        return found

    def _train(self, examples: Sequence[Any]) -> float:
        """Train an aligner in the folder; returns its seconds of a core."""
        began = core_seconds()
        train_and_save(
            examples,
            self._folder / _ALIGNER,
            init=self._options.aligner_init,
            seed=self._options.seed,
            table=phoneme_table(self._options),
        )
        return core_seconds() - began


def _block(size: int) -> int:
    """About the bytes that values of so many bytes take in a tar, its marker and the index."""
    return _HEADER + -(-size // _BLOCK) * _BLOCK + _ROWS
