"""The one interface of all executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult
from ns2.pipeline.stages.graph import Graph


class Executor(Protocol):
    """Carries out batches."""

    def run(self, graph: Graph, limits: Limits, batches: Iterable[Batch]) -> Iterator[BatchResult]:
        """Results of batches, in any order; takes batches from the iterable as it has room."""
        ...
