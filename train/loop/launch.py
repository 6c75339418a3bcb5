"""Several processes on this machine for one run: `ns2 train --devices N`, without torchrun.

Each process gets torchrun's variables and does what the command does. Stop signals of the parent
reach each of them once: they stand in groups of their own, so that Ctrl-C on a terminal, which goes
to a whole group, does not reach them a second time and cut off their step. If one fails, the
others are stopped; if the parent is killed, they finish their step, save, and end.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from ns2.pipeline.core.errors import OptionError

_GRACE = 10.0
"""Seconds from the first failure until processes that are left are killed."""
_DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def check_devices(device: str, count: int) -> None:
    """See that so many processes can be started here.

    Raises:
        OptionError: there are fewer GPUs, or torchrun has started processes already.
    """
    if "WORLD_SIZE" in os.environ:
        raise OptionError("torchrun has started the processes of this run: leave out --devices")
    if device != "cpu":
        import torch

        there = torch.cuda.device_count()
        if count > there:
            raise OptionError(
                f"--devices {count} needs {count} GPUs, and there "
                f"{'is one' if there == 1 else f'are {there}'}; --device cpu needs none"
            )


def run_on(count: int, work: Callable[..., Any], *arguments: Any) -> int:
    """Do a piece of work in several processes that share it.

    Args:
        work: a function of a module; it takes the arguments.

    Returns:
        an exit code: 0 if all ended well, otherwise that of the first that did not.
    """
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    threads = max(1, len(os.sched_getaffinity(0)) // count)
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


def _outcome(processes: Sequence[BaseProcess]) -> int:
    """Wait for all; once one has failed the others are stopped."""
    failed, deadline = 0, None
    left = list(processes)
    while left:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        wait([process.sentinel for process in left], remaining)
        ended = [process for process in left if process.exitcode is not None]
        left = [process for process in left if process.exitcode is None]
        for process in ended:
            if process.exitcode and not failed:
                code = process.exitcode
                failed = 128 - code if code < 0 else code
                deadline = time.monotonic() + _GRACE
                _send(left, signal.SIGTERM)
        if deadline is not None and time.monotonic() >= deadline:
            _send(left, signal.SIGKILL)
            deadline = None
    return failed


def _work(
    rank: int,
    count: int,
    port: int,
    threads: int,
    parent: int,
    work: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    """One process: torchrun's variables, then the work."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, int(signal.SIGTERM))
    if os.getppid() != parent:  # it died before it could be watched
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
    """Stop signals of this process go on to all of them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: _send(processes, signal.SIGTERM))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _send(processes: Sequence[BaseProcess], number: signal.Signals) -> None:
    for process in processes:
        if process.pid is not None and process.exitcode is None:
            os.kill(process.pid, number)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
