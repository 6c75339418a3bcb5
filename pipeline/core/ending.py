"""How a command ends that gets SIGTERM: what it holds is let go, and a line says what happened."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

from ns2.pipeline.core.terminal import say

_ASKED: list[int] = []
"""The signals that asked this process to end."""
_AGAIN = 0.02
"""Seconds until a signal is given once more that came where Python drops what is raised."""


class Terminated(SystemExit):
    """The process got SIGTERM; its exit code is 143, as shells give it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextlib.contextmanager
def ends_cleanly() -> Iterator[None]:
    """While the block runs, SIGTERM raises `Terminated`, so that all blocks are left as usual.

    Where something else hears SIGTERM already, or in a thread, nothing changes.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    _ASKED.clear()
    hear_sigterm()
    told, sys.unraisablehook = sys.unraisablehook, _dropped
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        # Ray makes others of what a handler raises, and its own handler exits with the number
        if not _ASKED and getattr(error, "code", None) != signal.SIGTERM:
            raise
        say("Stopped by SIGTERM. What is written stays; the same command goes on.", err=True)
        raise Terminated from error
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.unraisablehook = told


def hear_sigterm() -> None:
    """Let SIGTERM raise `Terminated` again, after a library has put its own handler there."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)


def _dropped(raised: sys.UnraisableHookArgs) -> None:
    """Give the signal once more where it came in a callback, whose exceptions Python drops."""
    if isinstance(raised.exc_value, Terminated | KeyboardInterrupt):
        number = signal.SIGTERM if isinstance(raised.exc_value, Terminated) else signal.SIGINT
        again = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(raised)


def _end(number: int, frame: Any) -> NoReturn:
    _ASKED.append(number)
    raise Terminated
