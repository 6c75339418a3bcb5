"""What was found out about utterances behind the screening, remembered between runs.

Failures of stages and the scores by which filters exclude are kept in `.state/`, so that the
next run computes nothing again to find out the same. Each is known by a `Place`: another folder of
the column (its fingerprint), key or source state is another try.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.core.schema import PASSING, Kind, Reason
from ns2.pipeline.dataset.layout import failures_file, scores_file
from ns2.pipeline.preprocess.work.failure import Failure
from ns2.pipeline.preprocess.work.messages import BATCH_UTTERANCES, BatchResult

Place = tuple[str, str, str]
"""Folder of a column, key of an utterance, state of the sources that the column reads."""

_FEWEST = 4
"""Fewer failures at once are no sign of anything."""


class Remembered:
    """Failures and scores by place.

    Attributes:
        failures: why a stage could not work on an utterance.
        scores: of utterances that a filter excludes by them.
    """

    def __init__(self, out: Path | None = None) -> None:
        """Read what a dataset's folder remembers; what is lost or damaged is found out again.

        Args:
            out: the dataset's folder; None remembers nothing from before.
        """
        self.failures: dict[Place, Failure] = {}
        self.scores: dict[Place, float] = {}
        if out is not None:
            self.failures = _read_failures(failures_file(out))
            self.scores = _read_scores(scores_file(out))

    def save(self, out: Path) -> None:
        """Write scores, and those failures that do not lie in the machine."""
        failures = [
            [*place, asdict(failure)]
            for place, failure in sorted(self.failures.items(), key=lambda item: item[0])
            if failure.reason not in PASSING
        ]
        scores = [[*place, score] for place, score in sorted(self.scores.items())]
        for path, rows in ((failures_file(out), failures), (scores_file(out), scores)):
            if rows or path.is_file():
                write_if_changed(path, canonical_json(rows).encode())


def _rows(path: Path) -> Any:
    return read_json(path)


def _read_failures(path: Path) -> dict[Place, Failure]:
    try:
        return {
            (folder, key, state): Failure(
                stage=row["stage"],
                kind=Kind(row["kind"]),
                reason=Reason(row["reason"]),
                message=row["message"],
            )
            for folder, key, state, row in _rows(path)
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _read_scores(path: Path) -> dict[Place, float]:
    try:
        return {(folder, key, state): float(score) for folder, key, state, score in _rows(path)}
    except (OSError, ValueError, TypeError):
        return {}


def check_systematic(result: BatchResult, planned: int) -> None:
    """Stop a run in which a stage fails on everything: that is not the utterances' fault.

    Args:
        planned: utterances of the shard. A batch of the few that failed in an earlier run, and are
            tried again, says nothing.

    Raises:
        UserError: every utterance of a whole batch failed in the same stage, unexpectedly.
    """
    failures = [outcome.failure for outcome in result.outcomes]
    first = failures[0] if failures else None
    if first is None or len(failures) < max(_FEWEST, min(planned, BATCH_UTTERANCES)):
        return
    if all(
        failure is not None
        and failure.reason == Reason.STAGE_FAILED
        and failure.stage == first.stage
        for failure in failures
    ):
        raise UserError(
            f"stage {first.stage} fails on every utterance: {first.message}. What is written "
            "stays; put it right and run again."
        )
