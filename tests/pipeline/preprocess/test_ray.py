"""The Ray executor: the same bytes as inline, whatever is killed; a crash costs one utterance."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ns2.pipeline.core.atomic import TEMPORARY
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.preprocess import run as run_module
from ns2.pipeline.preprocess.executors import pools
from ns2.pipeline.preprocess.executors.ray_executor import RayExecutor
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.recipe import build_graph
from ns2.pipeline.preprocess.run import preprocess
from ns2.pipeline.stages.audio import AudioStage
from ns2.pipeline.stages.stage import Item, Product
from ns2.pipeline.tools.verify.check import verify
from tests.support.factories import ROOT
from tests.support.preprocessing import contents, identities, run_inline
from tests.support.processes import command_line, kill_tree, tree

FEW = ("codes", "mel", "f0", "phonemes")
"""Columns that workers make at once; durations need an aligner, and workers once more."""


def options(weights: Path, **more: Any) -> Options:
    return Options(codec_weights=weights, quantizers=4, shard_utterances=4, **more)


@pytest.fixture(scope="module")
def few(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the inline executor makes of few columns, by the codec `mini`."""
    out = tmp_path_factory.mktemp("few") / "shards"
    run_inline(spoken, out, None, codec="mini", columns=FEW)
    return out


@pytest.mark.large  # in CI two workers make the same while they are killed
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_writes_the_same_files(
    workers: int, spoken: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    with RayExecutor(workers=workers) as executor:
        preprocess(spoken, tmp_path / "out", options(weights), executor, Progress())
    assert contents(tmp_path / "out") == contents(dataset)


def test_a_pool_for_the_gpu_gets_the_audio_from_the_other_pool(
    spoken: Path, few: Path, tmp_path: Path
) -> None:
    """A GPU of Ray's that is none: its worker encodes on the CPU, so the bytes are the same."""
    chosen = Options(codec="mini", quantizers=4, shard_utterances=4, columns=FEW)
    with RayExecutor(workers=1, gpus=1, device="cpu") as executor:
        summary = preprocess(spoken, tmp_path / "out", chosen, executor, Progress())
    assert contents(tmp_path / "out") == contents(few)
    # decoded once, though codes were made elsewhere
    assert summary.stage_audio_seconds["audio"] == summary.stage_audio_seconds["codes"]


def test_gpus_that_are_not_there_are_named(weights: Path) -> None:
    graph = build_graph(options(weights))
    with RayExecutor(workers=1, gpus=99) as executor, pytest.raises(UserError, match="--gpus 99"):
        list(executor.run(graph, Options().limits, []))


class Crashing(AudioStage):
    """Takes the whole worker with it when it meets one utterance."""

    def compute(self, item: Item) -> Product:
        if item.key.endswith("00003"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().compute(item)


def test_a_file_that_crashes_its_worker_costs_one_utterance(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(chosen: Options) -> Any:
        graph = build_graph(chosen)
        stages = {**graph.stages, "audio": Crashing(sample_rate=24_000, trim=False)}
        return type(graph)(grid=graph.grid, stages=stages, assets=graph.assets)

    monkeypatch.setattr(run_module, "build_graph", planted)
    # little to import: each of the workers that crash is a process of its own
    chosen = Options(columns=("phonemes",), shard_utterances=2)
    with RayExecutor(workers=1) as executor:
        summary = preprocess(spoken, tmp_path / "out", chosen, executor, Progress())
    assert [(one.key[-5:], str(one.reason)) for one in summary.rejected] == [
        ("00003", "worker_crashed")
    ]
    assert summary.written == 9
    assert verify(tmp_path / "out").faults == []


def start(
    corpus: Path, out: Path, *more: str, errors: Any = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """`ns2 preprocess` on Ray, as the tests' datasets were made."""
    command = [sys.executable, "-m", "ns2.cli", "preprocess", str(corpus), "-o", str(out), *more]
    command += ["--quantizers", "4", "--shard-utterances", "4", "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)


def wait_for(condition: Any, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until something is so, or the process ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and not condition():
        time.sleep(0.02)


def made_as(all_columns: bool, request: pytest.FixtureRequest) -> tuple[list[str], Path]:
    """Options of a run, and the dataset that it has to make: all columns, or few by `mini`."""
    if all_columns:
        weights = request.getfixturevalue("weights")
        return ["--codec-weights", str(weights)], request.getfixturevalue("dataset")
    return ["--codec", "mini", "--columns", ",".join(FEW)], request.getfixturevalue("few")


@pytest.mark.parametrize(
    ("all_columns", "moments"),
    # no tar yet, shards, durations
    [(False, [3]), pytest.param(True, [0, 3, 14], marks=pytest.mark.large)],
)
def test_killed_and_ended_at_any_moment_it_goes_on_to_the_same_bytes(
    all_columns: bool,
    moments: list[int],
    spoken: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    out, log, rng = tmp_path / "out", tmp_path / "log", random.Random(1)
    words, wanted = made_as(all_columns, request)
    for committed in moments:
        process = start(spoken, out, *words)
        wait_for(lambda n=committed: len(list(out.glob("*-*/*.tar"))) >= max(n, 1), process)
        time.sleep(rng.random() * 0.2)
        before = identities(out)
        kill_tree(process.pid)
        process.wait()
        whole = {
            n: at
            for n, at in before.items()
            if n.endswith(".parquet") and "/" in n and TEMPORARY not in n
        }
        assert whole.items() <= identities(out).items()
    there = len(list(out.glob("*-*/*.tar")))
    with log.open("wb") as errors:
        process = start(spoken, out, *words, errors=errors)
        wait_for(lambda: len(list(out.glob("*-*/*.tar"))) > there, process)
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    said = log.read_text()
    last = "Stopped by SIGTERM. What is written stays; the same command goes on."
    assert said.splitlines()[-1] == last
    assert "PC: @" not in said and "Traceback" not in said
    assert start(spoken, out, *words).wait(timeout=300) == 0
    assert contents(out) == contents(wanted)
    assert whole.items() <= identities(out).items()


ACTOR = pools._Actor.__name__


@pytest.mark.parametrize("all_columns", [False, pytest.param(True, marks=pytest.mark.large)])
def test_workers_that_are_killed_are_replaced(
    all_columns: bool, spoken: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    words, wanted = made_as(all_columns, request)
    process = start(spoken, tmp_path / "out", *words)
    killed: set[int] = set()
    while process.poll() is None and len(killed) < 4:
        workers = [p for p in tree(process.pid) if f"ray::{ACTOR}" in command_line(p)]
        for worker in set(workers) - killed:
            time.sleep(0.3)
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
            break
        time.sleep(0.1)
    assert process.wait(timeout=300) == 0
    assert len(killed) == 4
    assert contents(tmp_path / "out") == contents(wanted)
