"""Everything in this process, one batch after the other; no protection from crashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult
from ns2.pipeline.preprocess.work.worker import Worker
from ns2.pipeline.stages.graph import Graph


class InlineExecutor:
    """Runs batches in order, in the calling process."""

    orders = None

    def run(
        self, graph: Graph, limits: Limits, batches: Iterable[Batch], *, url: str = ""
    ) -> Iterator[BatchResult]:
        """Results in the order of the batches."""
        worker = Worker(graph, limits)
        for batch in batches:
            result, _ = worker.process(batch)
            yield result

    def get_ready(self, graph: Graph, limits: Limits) -> None:
        """Nothing is needed."""
