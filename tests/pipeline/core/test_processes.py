"""Pools of fresh processes: they work, and end with the process that they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ns2.pipeline.core.processes import fresh_pool
from tests.support.factories import ROOT
from tests.support.processes import tree

BUSY = """
import time
from ns2.pipeline.core.processes import fresh_pool
if __name__ == "__main__":
    with fresh_pool(2) as pool:
        list(pool.map(time.sleep, [0.0, 0.0]))
        print("at work", flush=True)
        list(pool.map(time.sleep, [600.0] * 4))
"""


def test_results_come_in_order() -> None:
    with fresh_pool(2) as pool:
        assert list(pool.map(abs, [-3, 2, -1])) == [3, 2, 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_is_killed(
    number: signal.Signals, tmp_path: Path
) -> None:
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    parent = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout and parent.stdout.readline() == "at work\n"
    workers = tree(parent.pid)[1:]
    assert len(workers) >= 2
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 30
    while any(runs(one) for one in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(runs(one) for one in workers)


def runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_parent_that_is_dead_already_is_told() -> None:
    code = (
        "import sys; from ns2.pipeline.core.processes import end_with\n"
        "print(end_with(int(sys.argv[1])))"
    )
    for parent, alive in ((os.getpid(), "True"), (os.getpid() + 1, "False")):
        command = [sys.executable, "-c", code, str(parent)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.strip() == alive
