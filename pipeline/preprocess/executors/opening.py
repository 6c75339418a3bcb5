"""The executor that `--executor` names."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ns2.pipeline.preprocess.executors.executor import Executor


def open_executor(
    name: str, workers: int | None = None, address: str | None = None, gpus: int | None = None
) -> AbstractContextManager[Executor]:
    """An executor by name, "ray" or "inline", stopped at the end of the block.

    Args:
        workers: Ray's workers; all cores where None.
        address: of a running Ray cluster; None starts Ray here when it is needed.
        gpus: to be used by Ray's workers; all that there are where None.
    """
    if name == "ray":
        from ns2.pipeline.preprocess.executors.ray_executor import RayExecutor

        return RayExecutor(workers, address, gpus)
    from ns2.pipeline.preprocess.executors.inline import InlineExecutor

    return nullcontext(InlineExecutor())
