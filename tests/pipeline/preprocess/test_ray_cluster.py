"""Ray beyond one machine: nodes of a cluster that are lost, or join late; the same bytes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ns2.pipeline.preprocess.executors import pools
from tests.support.factories import ROOT
from tests.support.preprocessing import contents
from tests.support.processes import command_line, kill_tree, tree

ACTOR = pools._Actor.__name__


class Cluster:
    """Ray nodes on this machine, with one CPU each."""

    def __init__(self, folder: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.nodes = folder, list[subprocess.Popen[bytes]]()

    def join(self) -> subprocess.Popen[bytes]:
        """Start a node; the first one is the head."""
        port = self.address.rpartition(":")[2]
        head = [f"--port={port}", "--head", "--include-dashboard=false"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        command += head if not self.nodes else [f"--address={self.address}"]
        command += ["--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats"]
        log = Path(self.folder, f"node{len(self.nodes)}.log")
        with log.open("wb") as out:
            node = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.nodes.append(node)
        wait_for(lambda: "runtime started" in log.read_text(), node)
        return node

    def preprocess(self, corpus: Path, out: Path, weights: Path) -> subprocess.Popen[bytes]:
        """`ns2 preprocess` on this cluster, as the tests' dataset was made."""
        command = [sys.executable, "-m", "ns2.cli", "preprocess", str(corpus), "-o", str(out)]
        command += ["--codec-weights", str(weights), "--quantizers", "4"]
        command += ["--shard-utterances", "4", "--ray-address", self.address, "--workers", "2"]
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
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of one node, to which others can be added."""
    with tempfile.TemporaryDirectory(prefix="ns2-") as folder:  # sockets need a short path
        monkeypatch.setenv("RAY_TMPDIR", folder)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", f"{folder}/token")
        Path(folder, "token").write_text("0123456789abcdef" * 2)
        made = Cluster(folder)
        try:
            made.join()
            yield made
        finally:
            for node in made.nodes:
                kill_tree(node.pid)
                node.wait()


def test_a_node_that_is_lost_costs_nothing(
    cluster: Cluster, spoken: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    """Two nodes work; the raylet of one is killed; the other one makes the rest."""
    second, out = cluster.join(), tmp_path / "out"
    run = cluster.preprocess(spoken, out, weights)
    wait_for(lambda: workers_of(second), run)
    (raylet,) = [p for p in tree(second.pid) if command_line(p).split(" ")[0].endswith("raylet")]
    os.kill(raylet, signal.SIGKILL)
    assert run.wait(timeout=300) == 0
    assert contents(out) == contents(dataset)


@pytest.mark.large
def test_a_node_that_joins_late_works(
    cluster: Cluster, spoken: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = cluster.preprocess(spoken, out, weights)
    wait_for(lambda: list(out.glob(".state/lock")), run)
    second = cluster.join()
    wait_for(lambda: workers_of(second), run)
    assert workers_of(second)
    assert run.wait(timeout=300) == 0
    assert contents(out) == contents(dataset)
