"""Python's collector of garbage, where millions of objects are made that stay."""

from __future__ import annotations

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
