"""Processes of our own that work for another one and end with it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from typing import Any

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that a process gets when its parent dies."""


class _FreshPool(ProcessPoolExecutor):
    """A pool that an error ends at once, with what its processes are doing."""

    def __exit__(self, kind: type[BaseException] | None, *more: Any) -> bool | None:
        if kind is not None:
            for process in list((self._processes or {}).values()):
                process.terminate()
            self.shutdown(wait=True, cancel_futures=True)
        return super().__exit__(kind, *more)


def fresh_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, which end when this process dies, however it dies.

    Forked ones would take over the locks of torch's threads. Without the signal the workers of a
    killed process wait for ever: each of them holds the pipe open that the others wait at.
    """
    return _FreshPool(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_work_for,
        initargs=(os.getpid(),),
    )


def end_with(parent: int, number: signal.Signals = signal.SIGTERM) -> bool:
    """Let this process get a signal when its parent dies.

    Args:
        parent: the id of the parent.
        number: the signal.

    Returns:
        False where the parent has died before.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    return os.getppid() == parent


def _work_for(parent: int) -> None:
    if not end_with(parent):
        os._exit(1)
