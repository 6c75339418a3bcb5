"""Brings columns of shards up to date: batches go to an executor, what comes back is written.

Of a dataset in a bucket Ray's workers write the targets themselves; what they have put is checked
and recorded here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.core.schema import Rejection
from ns2.pipeline.dataset.bucket.staging import adopt, bucket_of
from ns2.pipeline.dataset.shards import Marker
from ns2.pipeline.preprocess.executors.executor import Executor
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.work.job import ShardJob
from ns2.pipeline.preprocess.work.messages import Batch, BatchResult
from ns2.pipeline.preprocess.work.remembered import check_systematic
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.writing import Written


class ShardJobs:
    """Brings some columns up to date.

    Attributes:
        made: how many targets were written, by column.
    """

    def __init__(
        self,
        scene: Scene,
        out: Path,
        columns: Sequence[str],
        executor: Executor,
        progress: Progress,
        count: Callable[[BatchResult, Sequence[Rejection]], None],
    ) -> None:
        """Get ready.

        Args:
            out: the dataset's folder.
            count: is told each batch's result, and which utterances are excluded by it.
        """
        self.made = Counter[str]()
        self._scene, self._out, self._columns = scene, out, columns
        self._executor, self._progress, self._count = executor, progress, count
        self._url = bucket_of(out)
        self._jobs: dict[int, ShardJob] = {}

    def carry_out(self, shards: Sequence[Shard]) -> None:
        """Bring the columns of these shards up to date.

        Raises:
            UserError: something that the user can put right; nothing that was written is lost.
        """
        while shards:  # once more those whose arrays a machine took along before they were written
            shards = self._carry_out_some(shards)

    def _carry_out_some(self, shards: Sequence[Shard]) -> list[Shard]:
        """The same; gives the shards that could not be written."""
        scene, lost = self._scene, list[Shard]()
        # Without a name the generator ends with the loop, also where that is left by an error: its
        # workers are dismissed before whoever shuts Ray down.
        for result in self._executor.run(
            scene.graph, scene.limits, self._batches(shards), url=self._url
        ):
            job = self._jobs[result.shard]
            if isinstance(result, Written):
                del self._jobs[result.shard]
                if not result.markers:
                    lost.append(job.state.shard)
                self._note(self._adopted(job, result))
                continue
            check_systematic(result, job.planned)
            self._count(result, job.add(result))
            if job.complete:
                self._commit(job)
        return lost

    def _batches(self, shards: Sequence[Shard]) -> Iterator[Batch]:
        """Batches of one shard after the other; a shard without any is committed at once."""
        for shard in shards:
            job = self._jobs[shard.number] = ShardJob(self._scene, shard, self._columns)
            batches = job.batches()
            busy = sum(len(batch.tasks) for batch in batches)
            self._progress.advance(utterances=len(shard.sources) - busy, idle=True)
            if job.complete:
                self._commit(job)
            yield from batches

    def _commit(self, job: ShardJob) -> None:
        """Write what a shard lacks, or have a worker write it where that is possible."""
        orders = self._executor.orders
        order = None if orders is None else job.order(self._url)
        if orders is not None and order is not None:
            orders.append(order)
            return
        del self._jobs[job.number]
        self._note(job.commit())

    def _adopted(self, job: ShardJob, written: Written) -> list[Marker]:
        """What a worker has put into the bucket."""
        try:
            return job.adopt(adopt(self._out, name) for name in written.markers)
        except ValueError as error:
            raise UserError(
                f"{self._url}: {error}. Is another program at work there? Run again: what is "
                "written stays."
            ) from error

    def _note(self, markers: Iterable[Marker]) -> None:
        self.made.update(marker.column for marker in markers)
