"""Python's collector of garbage during a training."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
