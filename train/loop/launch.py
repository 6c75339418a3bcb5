"""Several processes on this machine for one run: `ns2 train --devices N`, without torchrun.

Each process gets torchrun's environment variables and does the command's work. A stop signal of the
parent reaches each process once: processes are in groups of their own, so that Ctrl-C on a
terminal, which goes to a whole group, does not reach them a second time and cut off their step. If
a process fails, the others are stopped; if the parent is killed, they finish their step, save, and
end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.processes import end_with
from ns2.train.run.signals import STOPPING

_GRACE = 10.0
"""Seconds from the first failure until the processes that are left are killed."""


def check_devices(device: str, count: int) -> None:
    """See that so many processes can be started on this machine.

    Raises:
        OptionError: there are fewer GPUs, or torchrun has started processes already.
    """
    if "WORLD_SIZE" in os.environ:
        raise OptionError("torchrun has started the processes of this run: leave out --devices")
    import torch

    from ns2.train.step.ranks import chosen_device

    if chosen_device(device) == "cuda":
        there = torch.cuda.device_count()
        if count > there:
            raise OptionError(
                f"--devices {count} needs {count} GPUs, and there "
                f"{'is one' if there == 1 else f'are {there}'}; --device cpu needs none"
            )


def run_on(count: int, work: Callable[..., Any], *arguments: Any) -> int:
    """Call a function in several processes that share its work.

    Args:
        work: a function of a module.
        arguments: of the function; they are pickled.

    Returns:
        an exit code: 0 if all processes ended well, otherwise that of the first that failed.
    """
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    threads = max(1, usable_cores() // count)
    processes: list[BaseProcess] = [
        context.Process(
            target=_work, args=(rank, count, port, threads, os.getpid(), work, arguments)
        )
        for rank in range(count)
    ]
    with _passed_on(processes):
        for process in processes:
            process.start()
        return _outcome(processes)


class _Phase(Enum):
    """How far processes that share a run are."""

    RUNNING = auto()
    """None of them has failed."""
    STOPPING = auto()
    """A process has failed, and the others were asked to stop: they may finish their step."""
    KILLED = auto()
    """Those that had not stopped in time were killed."""


def _outcome(processes: Sequence[BaseProcess]) -> int:
    """Wait for all processes; returns the exit code of the first that failed, or 0."""
    phase, failed, deadline = _Phase.RUNNING, 0, 0.0
    left = list(processes)
    while left:
        limit = max(0.0, deadline - time.monotonic()) if phase is _Phase.STOPPING else None
        wait([process.sentinel for process in left], limit)
        ended = [process for process in left if process.exitcode is not None]
        # not asked again: a process that ends in between would be in neither list
        left = [process for process in left if process not in ended]
        codes = [process.exitcode for process in ended if process.exitcode]
        if phase is _Phase.RUNNING and codes:
            phase, failed = _Phase.STOPPING, _exit_code(codes[0])
            deadline = time.monotonic() + _GRACE
            _send(left, signal.SIGTERM)
        if phase is _Phase.STOPPING and time.monotonic() >= deadline:
            phase = _Phase.KILLED
            _send(left, signal.SIGKILL)
    return failed


def _exit_code(code: int) -> int:
    """A process's exit code as a shell has it: 128 and the signal's number where one ended it."""
    return 128 - code if code < 0 else code


def _work(
    rank: int,
    count: int,
    port: int,
    threads: int,
    parent: int,
    work: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    """One process: set torchrun's environment variables, then do the work."""
    # a group of its own, and a stop signal if the parent dies: see the module's documentation
    os.setpgid(0, 0)
    if not end_with(parent):  # it has died already
        return
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        LOCAL_WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    work(*arguments)


@contextmanager
def _passed_on(processes: Sequence[BaseProcess]) -> Any:
    """While the block runs, stop signals of this process are passed on to all processes."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in before:
        signal.signal(number, lambda *_: _send(processes, signal.SIGTERM))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _send(processes: Sequence[BaseProcess], number: signal.Signals) -> None:
    """Send a signal to all processes that run."""
    for process in processes:
        if process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)


def _free_port() -> int:
    """A port that no process listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
