"""SIGTERM ends a command in order, with one line and exit code 143."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ns2.pipeline.core.ending import Terminated, ends_cleanly
from tests.support.factories import ROOT

LINE = "Stopped by SIGTERM. What is written stays; the same command goes on.\n"


def ended(code: str) -> subprocess.CompletedProcess[str]:
    """What came of Python code that was sent SIGTERM when it had printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    process.terminate()
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, first + output, errors)


def test_blocks_are_left_and_one_line_is_said() -> None:
    done = ended(
        "import time\n"
        "from ns2.pipeline.core.ending import ends_cleanly\n"
        "with ends_cleanly():\n"
        "    try:\n"
        "        print('here', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('left', flush=True)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "here\nleft\n", LINE)


def test_a_signal_in_a_callback_is_not_lost() -> None:
    done = ended(
        "import time, weakref\n"
        "from ns2.pipeline.core.ending import ends_cleanly\n"
        "class Held: pass\n"
        "def gone(_):\n"
        "    print('here', flush=True)\n"
        "    time.sleep(60)\n"
        "with ends_cleanly():\n"
        "    held = Held()\n"
        "    watch = weakref.ref(held, gone)\n"
        "    del held\n"
        "    time.sleep(60)\n"
    )
    assert (done.returncode, done.stderr) == (143, LINE)


def test_a_pool_of_processes_ends_with_what_it_does() -> None:
    done = ended(
        "import time\n"
        "from ns2.pipeline.core.ending import ends_cleanly\n"
        "from ns2.pipeline.core.processes import fresh_pool\n"
        "if __name__ == '__main__':\n"
        "    with ends_cleanly(), fresh_pool(1) as pool:\n"
        "        futures = [pool.submit(time.sleep, 300) for _ in range(9)]\n"
        "        print('here', flush=True)\n"
        "        futures[0].result()\n"
    )
    assert (done.returncode, done.stderr) == (143, LINE)


def test_other_handlers_and_threads_are_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with ends_cleanly():
            os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
    failed: list[Exception] = []

    def inside() -> None:
        try:
            with ends_cleanly():
                pass
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert not failed


def test_it_is_heard_again_and_then_no_more() -> None:
    before = signal.getsignal(signal.SIGTERM)
    for _ in range(2):
        with pytest.raises(Terminated) as ended_by, ends_cleanly():
            os.kill(os.getpid(), signal.SIGTERM)
        assert ended_by.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_copies_of_espeak_are_gone_even_after_a_kill(tmp_path: Path) -> None:
    """A killed process leaves no library behind; its empty folder goes with the next one."""
    code = (
        "import os, sys\n"
        "from ns2.pipeline.text.engine import engine_of\n"
        "print(engine_of('en-us').speak('hello'), flush=True)\n"
        "os.kill(os.getpid(), int(sys.argv[1])) if sys.argv[1] != '0' else None\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for number, left in ((signal.SIGKILL, True), (0, False)):
        done = subprocess.run(
            [sys.executable, "-c", code, str(int(number))], cwd=ROOT, env=environment, text=True,
            capture_output=True,
        )  # fmt: skip
        assert "ə" in done.stdout, done.stderr
        assert not list(tmp_path.rglob("*.so*"))
        assert bool(list(tmp_path.iterdir())) == left, done.stderr
    assert not done.stderr
