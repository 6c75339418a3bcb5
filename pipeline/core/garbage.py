"""Memory: Python's collector of garbage, where millions of objects stay, and what malloc keeps."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def long_lived() -> Iterator[None]:
    """While the block runs nothing is collected, and what is there at its end is left alone.

    Only garbage in cycles needs a collector, and the rows of a corpus are none. It would look at
    all of them again and again while their number grows.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def give_back() -> None:
    """Give the kernel back what is free, but kept by malloc for later.

    Batches differ in length, so by chance tens of MB of it lie between what is in use. Where the C
    library can't do it, nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
