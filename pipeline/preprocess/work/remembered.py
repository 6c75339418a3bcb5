"""What was found out about utterances behind the screening, remembered between runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import PASSING, Kind, Reason
from ns2.pipeline.preprocess.work.failure import Failure
from ns2.pipeline.preprocess.work.messages import BATCH_UTTERANCES, BatchResult

Failures = dict[tuple[str, str, str], Failure]
"""By folder of the column, key and source state: another of any of them is another try."""

_MANY = 4
"""Fewer failures at once are no sign of anything."""


def load_failures(path: Path) -> Failures:
    """What was remembered; nothing where that is lost: it is found out again."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        return {
            (folder, key, state): Failure(
                stage=told["stage"],
                kind=Kind(told["kind"]),
                reason=Reason(told["reason"]),
                message=told["message"],
            )
            for folder, key, state, told in rows
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def save_failures(path: Path, failures: Failures) -> None:
    """Remember those that lie in the utterance; what may lie in the machine is tried again."""
    rows = [
        [*place, asdict(failure)]
        for place, failure in sorted(failures.items(), key=lambda item: item[0])
        if failure.reason not in PASSING
    ]
    if rows or path.is_file():
        write_if_changed(path, canonical_json(rows).encode())


def check_systematic(result: BatchResult, planned: int) -> None:
    """Stop a run in which a stage fails on everything: that is not the utterances' fault.

    Args:
        planned: utterances of the shard. A batch of the few that failed in an earlier run, and are
            tried again, says nothing.

    Raises:
        UserError: every utterance of a whole batch failed in the same stage, unexpectedly.
    """
    failures = [done.failure for done in result.done]
    whole = len(failures) >= min(planned, BATCH_UTTERANCES)
    if (
        len(failures) >= _MANY
        and whole
        and all(
            failure is not None
            and failure.reason == Reason.STAGE_FAILED
            and failures[0] is not None
            and failure.stage == failures[0].stage
            for failure in failures
        )
    ):
        first = failures[0]
        assert first is not None
        raise UserError(
            f"stage {first.stage} fails on every utterance: {first.message}. What is written "
            "stays; put it right and run again."
        )


Scores = dict[tuple[str, str, str], float]
"""`align_score` by folder of the durations, key and source state."""


def load_scores(path: Path) -> Scores:
    """What was remembered; nothing where that is lost: it is found out again."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        return {(folder, key, state): float(score) for folder, key, state, score in rows}
    except (OSError, ValueError, TypeError):
        return {}


def save_scores(path: Path, scores: Scores) -> None:
    """Remember these."""
    if scores or path.is_file():
        rows = [[*place, score] for place, score in sorted(scores.items())]
        write_if_changed(path, canonical_json(rows).encode())


def badly_aligned(score: float, least: float) -> Failure:
    """Why an utterance with such a score is left out."""
    return Failure(
        stage="durations",
        kind=Kind.FILTERED,
        reason=Reason.BADLY_ALIGNED,
        message=f"align_score {score:.3f}, and --min-align-score is {least:g}: "
        "is this the text of this recording?",
    )
