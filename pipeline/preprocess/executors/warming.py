"""Ray is started in a thread while the driver does something else."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

_CLONE_FS = 0x200


class InThread:
    """Work in a thread that has a working directory of its own: Ray is started in another one.

    The thread stays until it is told to end, since the system ends processes with the thread that
    started them. Where the system gives it no directory, nothing is done, and whoever needs it does
    it later.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work, self._error = work, list[BaseException]()
        self._done, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            if _own_directory():
                self._work()
        except BaseException as error:  # it is told where its result is needed
            self._error.append(error)
        self._done.set()
        self._may_end.wait()

    def result(self) -> None:
        """Wait until the work is done.

        Raises:
            BaseException: what it raised.
        """
        self._done.wait()
        if self._error:
            raise self._error.pop()

    def wait(self) -> None:
        """Wait until the work is done, whatever came of it."""
        self._done.wait()

    def end(self) -> None:
        """End the thread, and with it what it started."""
        self._may_end.set()
        self._thread.join()


def _own_directory() -> bool:
    """Give this thread a working directory that the others do not share; False if it gets none."""
    try:
        return bool(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_FS) == 0)
    except (OSError, AttributeError):
        return False
