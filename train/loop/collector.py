"""Memory during a training: Python's collector of garbage, and what malloc keeps."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's mallopt."""


def share_memory() -> None:
    """Let all threads that begin later take memory from where the others do.

    By default glibc gives each thread an arena of its own, and what readers have freed is then of
    no use for the steps: memory grows by tens of MB. Where the C library can't do it, nothing is
    done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


@contextmanager
def frozen() -> Iterator[None]:
    """While the block runs, the collector leaves alone all that was there before.

    A model, its plan and all imported modules are hundreds of thousands of objects, and it would
    look at each of them again and again.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
