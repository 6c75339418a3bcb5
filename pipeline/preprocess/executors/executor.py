"""The one interface of all executors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult
from ns2.pipeline.preprocess.work.writing import Order, Written
from ns2.pipeline.stages.graph import Graph


class Executor(Protocol):
    """Carries out batches.

    Attributes:
        orders: targets that workers are to write, which `run` tells when they are done; None where
            they keep nothing of what they make, and whoever takes the results writes.
    """

    @property
    def orders(self) -> deque[Order] | None: ...  # noqa: D102

    def run(
        self, graph: Graph, limits: Limits, batches: Iterable[Batch], *, url: str = ""
    ) -> Iterator[BatchResult | Written]:
        """Results of batches, in any order; takes batches from the iterable as it has room.

        Args:
            url: of the dataset, where it lies in a bucket.
        """
        ...

    def get_ready(self, graph: Graph, limits: Limits) -> None:
        """Begin to start what `run` will need, while the caller has something else to do."""
        ...
