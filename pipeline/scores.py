"""How well utterances align, remembered for those that a run left out because of it.

They are in no current tar, so their scores stand in no marker; without this file the next run
would align them again only to leave them out again.
"""

from __future__ import annotations

import json
from pathlib import Path

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import Kind, Reason
from ns2.pipeline.worker import Failure

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
