"""How parts of batches are handed out, done again after crashes, and put together.

The workers are real and live in this process; which of them "crashes" when is decided here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ns2.pipeline.dataset.layout import state_file
from ns2.pipeline.preprocess.executors.parts import Part, Returned, carry_out
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import plan_shards
from ns2.pipeline.preprocess.plan.sources import find_sources, open_corpus
from ns2.pipeline.preprocess.plan.states import SourceStates
from ns2.pipeline.preprocess.recipe import build_graph
from ns2.pipeline.preprocess.work.job import ShardJob
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult, SourceFile
from ns2.pipeline.preprocess.work.remembered import Remembered
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.worker import Worker
from ns2.pipeline.stages.graph import Graph

LEFT = ("codes",)
Fate = Callable[[Part], Returned | None]


class Crew:
    """One worker without and one with a GPU, which finish their parts in any order."""

    def __init__(self, graph: Graph, fate: Fate, seed: int = 0) -> None:
        self._workers = {
            False: Worker(graph, Options().limits, leave=LEFT),
            True: Worker(graph, Options().limits),
        }
        self._fate, self._rng = fate, random.Random(seed)
        self._busy: deque[Part] = deque()
        self.given: list[Part] = []

    @property
    def at_work(self) -> bool:
        return bool(self._busy)

    def free(self, *, gpu: bool) -> bool:
        return sum(part.gpu == gpu for part in self._busy) < (1 if gpu else 2)

    def give(self, part: Part) -> None:
        assert self.free(gpu=part.gpu)
        self._busy.append(part)
        self.given.append(part)

    def wait(self) -> Iterator[tuple[Part, Returned]]:
        self._busy.rotate(self._rng.randrange(len(self._busy)))
        part = self._busy.popleft()
        came = self._fate(part)
        if came is None:
            given = {key: values for piece in part.given for key, values in piece.items()}
            result, handed = self._workers[part.gpu].process(part.batch, given)
            came = Returned(result=result, handed=handed)
        yield part, came


@pytest.fixture(scope="module")
def graph(weights: Path) -> Graph:
    columns = ("codes", "mel", "phonemes")
    return build_graph(Options(codec_weights=weights, quantizers=4, columns=columns))


@pytest.fixture(scope="module")
def batches(graph: Graph, spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Batch]:
    """Two batches of 5 utterances; the third one of all can't be decoded."""
    out = tmp_path_factory.mktemp("parts")
    options = Options(columns=("codes", "mel", "phonemes"))
    corpus = open_corpus(spoken, options)
    sources, _ = find_sources(corpus, options, SourceStates(state_file(out), checksum=False))
    scene = Scene.of(graph, out, options, corpus, Remembered())
    shards = plan_shards(sources, {}, 5)
    cut = [job for shard in shards for job in ShardJob(scene, shard, options.columns).batches()]
    no_audio = {"audio_file": SourceFile(name="no audio", path=str(spoken / "metadata.csv"))}
    tasks = list(cut[0].tasks)
    tasks[2] = replace(tasks[2], files=no_audio)
    return [replace(cut[0], tasks=tuple(tasks)), *cut[1:]]


@pytest.fixture(scope="module")
def expected(graph: Graph, batches: list[Batch]) -> list[BatchResult]:
    worker = Worker(graph, Options().limits)
    return [worker.process(batch)[0] for batch in batches]


def same(found: list[BatchResult], expected: list[BatchResult]) -> bool:
    def key(result: BatchResult) -> tuple[int, int]:
        return result.shard, result.number

    return [one.outcomes for one in sorted(found, key=key)] == [
        one.outcomes for one in sorted(expected, key=key)
    ]


def test_a_gpu_takes_what_is_left_for_it(
    graph: Graph, batches: list[Batch], expected: list[BatchResult]
) -> None:
    crew = Crew(graph, lambda part: None)
    found = list(carry_out(crew, iter(batches), gpu_stages=LEFT, most_waiting=1))
    assert same(found, expected)
    for_gpu = [part for part in crew.given if part.gpu]
    assert {part.batch.shard: len(part.batch.tasks) for part in for_gpu} == {0: 4, 1: 5}
    assert {tuple(work.columns) for part in for_gpu for work in part.batch.tasks} == {("codes",)}
    seconds = found[0].seconds
    assert seconds["audio"] > 0 and seconds["codes"] > 0 and seconds["mel"] > 0


@pytest.mark.parametrize("seed", range(5))
def test_crashes_and_losses_change_nothing(
    graph: Graph, batches: list[Batch], expected: list[BatchResult], seed: int
) -> None:
    rng, bad = random.Random(seed), [0]

    def fate(part: Part) -> Returned | None:
        alone = part.crashes > 0 and len(part.batch.tasks) == 1
        if rng.random() < 0.4 and not alone and bad[0] < 12:
            bad[0] += 1
            return Returned(lost=rng.random() < 0.5)
        return None

    found = list(carry_out(Crew(graph, fate, seed), iter(batches), gpu_stages=LEFT, most_waiting=1))
    assert same(found, expected)
    assert bad[0] > 0


@pytest.mark.parametrize("gpu", [False, True])
def test_who_crashes_every_worker_is_blamed_alone(
    graph: Graph, batches: list[Batch], expected: list[BatchResult], gpu: bool
) -> None:
    culprit = batches[1].tasks[3].key

    def fate(part: Part) -> Returned | None:
        keys = [work.key for work in part.batch.tasks]
        return Returned() if part.gpu == gpu and culprit in keys else None

    crew = Crew(graph, fate)
    found = {
        done.key: done
        for result in carry_out(crew, iter(batches), gpu_stages=LEFT, most_waiting=1)
        for done in result.outcomes
    }
    blamed = found.pop(culprit)
    assert blamed.failure is not None and blamed.failure.reason == "worker_crashed"
    assert not blamed.members
    others = {d.key: d for result in expected for d in result.outcomes if d.key != culprit}
    assert found == others


def test_no_more_batches_wait_for_a_gpu_than_allowed(graph: Graph, batches: list[Batch]) -> None:
    many = [replace(batches[1], number=number) for number in range(6)]
    begun: list[int] = []

    def feed() -> Iterator[Batch]:
        for batch in many:
            begun.append(batch.number)
            yield batch

    crew = Crew(graph, lambda part: None, seed=4)
    ended = 0
    for _ in carry_out(crew, feed(), gpu_stages=LEFT, most_waiting=1):
        ended += 1
        # one at the GPU, one that waits for it, and those that two workers have begun
        assert len(begun) - ended <= 4
    assert ended == 6
