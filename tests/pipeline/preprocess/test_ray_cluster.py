"""Ray beyond one machine: nodes of a cluster that are lost, or join late; the same bytes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from ns2.pipeline.preprocess.executors import pools
from tests.support.bucket.proxy import Proxy, proxy_before
from tests.support.bucket.server import S3Server, environment
from tests.support.factories import ROOT
from tests.support.preprocessing import contents, run_inline
from tests.support.processes import command_line, kill_tree, tree

ACTOR = pools._Actor.__name__


class Cluster:
    """Ray nodes on this machine, with one CPU each."""

    def __init__(self, folder: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.nodes = folder, list[subprocess.Popen[bytes]]()

    def join(
        self, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a node, perhaps with an environment and in a folder of its own; the first one is
        the head."""
        port = self.address.rpartition(":")[2]
        head = [f"--port={port}", "--head", "--include-dashboard=false"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        command += head if not self.nodes else [f"--address={self.address}"]
        command += ["--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats"]
        log = Path(self.folder, f"node{len(self.nodes)}.log")
        with log.open("wb") as out:
            node = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd)
        self.nodes.append(node)
        wait_for(lambda: "runtime started" in log.read_text(), node)
        return node

    def preprocess(self, corpus: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
        """`ns2 preprocess` on this cluster, as the tests' datasets were made."""
        command = [sys.executable, "-m", "ns2.cli", "preprocess", str(corpus), "-o", str(out)]
        command += ["--quantizers", "4", "--shard-utterances", "4", *more]
        command += ["--ray-address", self.address, "--workers", "2"]
        return subprocess.Popen(command, cwd=ROOT)


def workers_of(node: subprocess.Popen[bytes]) -> list[int]:
    """The processes of a node in which actors of ours work."""
    return [pid for pid in tree(node.pid) if f"ray::{ACTOR}" in command_line(pid)]


def wait_for(
    condition: Callable[[], object], process: subprocess.Popen[bytes], seconds: float = 120
) -> None:
    """Until something is so, or the process ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and not condition():
        time.sleep(0.02)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster to which nodes can be added."""
    with tempfile.TemporaryDirectory(prefix="ns2-") as folder:  # sockets need a short path
        monkeypatch.setenv("RAY_TMPDIR", folder)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", f"{folder}/token")
        Path(folder, "token").write_text("0123456789abcdef" * 2)
        made = Cluster(folder)
        try:
            yield made
        finally:
            for node in made.nodes:
                kill_tree(node.pid)
                node.wait()


@pytest.fixture
def cluster(bare: Cluster) -> Cluster:
    """A cluster of one node."""
    bare.join()
    return bare


@pytest.mark.parametrize("all_columns", [False, pytest.param(True, marks=pytest.mark.large)])
def test_a_node_that_is_lost_costs_nothing(
    all_columns: bool, cluster: Cluster, spoken: Path, tmp_path: Path
) -> None:
    """Two nodes work; the raylet of one is killed; the other one makes the rest."""
    # without durations there is no aligner, and workers are made once
    columns = () if all_columns else ("codes", "mel", "f0", "phonemes")
    run_inline(spoken, tmp_path / "inline", None, codec="mini", columns=columns)
    second, out = cluster.join(), tmp_path / "out"
    words = ("--columns", ",".join(columns)) if columns else ()
    run = cluster.preprocess(spoken, out, "--codec", "mini", *words)
    wait_for(lambda: workers_of(second), run)
    (raylet,) = [p for p in tree(second.pid) if command_line(p).split(" ")[0].endswith("raylet")]
    os.kill(raylet, signal.SIGKILL)
    assert run.wait(timeout=300) == 0
    assert contents(out) == contents(tmp_path / "inline")


@pytest.mark.large
def test_a_node_that_joins_late_works(
    cluster: Cluster, spoken: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = cluster.preprocess(spoken, out, "--codec-weights", str(weights))
    wait_for(lambda: list(out.glob(".state/lock")), run)
    second = cluster.join()
    wait_for(lambda: workers_of(second), run)
    assert workers_of(second)
    assert run.wait(timeout=300) == 0
    assert contents(out) == contents(dataset)


def puts(proxy: Proxy) -> list[str]:
    """What of the dataset was put by who uses a proxy."""
    paths = [line.split(" ")[1].split("?")[0] for line, _ in proxy.lines if line.startswith("PUT")]
    return [path.split("/", 3)[3] for path in paths if ".state" not in path]


@pytest.mark.large
def test_nodes_that_share_no_folder_write_and_one_is_lost(
    s3: S3Server, bare: Cluster, spoken: Path, speech: Path, tmp_path: Path
) -> None:
    """Each node has its own folder, cache, and way to the server; so has the command."""
    s3.upload(spoken, "spoken")
    with ExitStack() as held:
        ways = [held.enter_context(proxy_before(s3.port)) for _ in range(3)]

        def own(number: int) -> dict[str, str]:
            place = tmp_path / f"node{number}"
            place.mkdir()
            there = {"NS2_CACHE": str(place / "cache"), "TMPDIR": str(place)}
            return {**os.environ, **environment(ways[number].endpoint), **there}

        nodes = [bare.join(own(number), tmp_path / f"node{number}") for number in (0, 1)]
        command = [sys.executable, "-m", "ns2.cli", "preprocess", "s3://bucket/spoken"]
        command += ["-o", "s3://bucket/apart", "--codec", "mini", "--quantizers", "4"]
        command += ["--shard-utterances", "4", "--val-share", "0.3", "--workers", "2"]
        command += ["--ray-address", bare.address]
        run = subprocess.Popen(command, cwd=ROOT, env=own(2))
        wait_for(lambda: puts(ways[1]), run, seconds=600)
        assert workers_of(nodes[1])
        (raylet,) = [
            p for p in tree(nodes[1].pid) if command_line(p).split(" ")[0].endswith("raylet")
        ]
        os.kill(raylet, signal.SIGKILL)
        assert run.wait(timeout=600) == 0
    found = s3.contents("apart")
    assert {n: d for n, d in found.items() if not n.startswith(".state")} == contents(speech)
    tars = [[name for name in puts(way) if name.endswith(".tar")] for way in ways]
    assert tars[0] and tars[1] and not tars[2]  # the command itself puts none
