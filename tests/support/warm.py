"""Processes that begin with torch imported: a server forks them, which has imported it once.

Importing it takes seconds in each process of a test that starts several. Neither ns2 nor a test is
imported before the fork, so what is started this way runs the same code as a fresh Python.
Whatever is about a command's start itself belongs into a fresh Python.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

IMPORTED = ("torch", "torch._dynamo", "torch.distributed")
"""None of them starts a thread, which a fork would lose."""


def context() -> ForkServerContext:
    """What `multiprocessing` starts processes by, in place of "spawn"."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(list(IMPORTED))
    return chosen


class Started:
    """A function that is called in such a process, with the members of a `subprocess.Popen`.

    What it prints goes to files, so that it waits for nobody who reads.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            function: of a module; it may raise SystemExit.
            env: all of its environment; without it, that of this process.
        """
        self._said = tempfile.TemporaryDirectory(prefix="ns2-")
        self.output, self.errors = (Path(self._said.name, name) for name in ("out", "err"))
        for path in (self.output, self.errors):
            path.touch()
        given = dict(os.environ if env is None else env)
        self._process = context().Process(
            target=_call, args=(self.output, self.errors, given, cwd, function, arguments)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has printed and what it told on the error output, once it has ended."""
        self.wait(timeout)
        return self.output.read_text("utf-8"), self.errors.read_text("utf-8")

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Started:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.kill()
        self.wait()


def ns2(words: Sequence[object], **more: Any) -> Started:
    """Start `ns2 WORDS...`, with one thread; `more` is for `Started`."""
    return Started(_command, [str(word) for word in words], **more)


def run(
    function: Callable[..., object], *arguments: object, timeout: float = 300, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Call a function in such a process until it ends; `more` is for `Started`."""
    with Started(function, *arguments, **more) as started:
        out, errors = started.communicate(timeout)
    assert started.returncode is not None
    return subprocess.CompletedProcess([], started.returncode, out, errors)


def run_ns2(words: Sequence[object], **more: Any) -> subprocess.CompletedProcess[str]:
    """`ns2 WORDS...` until it ends, with one thread; `more` is for `Started`."""
    return run(_command, [str(word) for word in words], **more)


def _call(
    output: Path,
    errors: Path,
    env: Mapping[str, str],
    cwd: Path | None,
    function: Callable[..., object],
    arguments: Sequence[object],
) -> None:
    for stream, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    gc.freeze()  # what is imported is no garbage
    function(*arguments)


def _command(words: Sequence[str]) -> None:
    import torch

    torch.set_num_threads(1)
    from ns2.cli import main

    sys.argv = ["ns2", *words]
    main()
