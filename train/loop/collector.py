"""Memory during a training: Python's collector of garbage, and what malloc keeps."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_EVERY = 10
"""Steps between two calls of `give_back`: after each step it would slow small models down,
since the next step has to ask for the same memory again."""


def give_back() -> None:
    """Give the kernel back what is free, but kept by malloc for later.

    Batches differ in length, so by chance tens of MB of it lie between what is in use. Where the C
    library can't do it, nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
