"""Memory during a training: Python's collector of garbage, and when malloc gives back."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_EVERY = 10
"""Steps between two calls of `give_back`: after each step it would slow small models down,
since the next step has to ask for the same memory again."""


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
