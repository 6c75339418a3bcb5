"""The one interface of all executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from ns2.pipeline.graph import Graph
from ns2.pipeline.worker import Batch, BatchResult, Limits


class Executor(Protocol):
    """Carries out batches."""

    def run(self, graph: Graph, limits: Limits, batches: Iterable[Batch]) -> Iterator[BatchResult]:
        """Results of batches, in any order; takes batches from the iterable as it has room."""
        ...
