"""Compilation of loops to machine code, and parallel work on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def compiled(function: _Function) -> _Function:
    """Compile a function with numba when it is first called; it releases the GIL.

    No sum is reordered (numba's fastmath stays off), so bits do not depend on the SIMD width.
    The machine code is kept in the package's `__pycache__`, or else in the user's cache folder.
    Where neither can be written (a read-only installation without a home), every process
    compiles its own.
    """
    try:
        return cast(_Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no folder that it may write to
        return cast(_Function, numba.njit(nogil=True)(function))


def on_all_cores(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int | None = None
) -> list[_Result]:
    """Call a function for each item, on as many threads as there are cores to use.

    Args:
        function: the function; it must not touch what the call for another item writes, and runs in
            parallel only where it spends its time in `compiled` functions or in torch.
        items: the items.
        threads: the number of threads; None for one per core that this process may use.

    Returns:
        the results in the order of the items.
    """
    threads = threads or len(os.sched_getaffinity(0))
    if threads == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
