"""Why an utterance gave nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import FILTERS, FrameGrid, Kind, Reason, Rejection
from ns2.pipeline.preprocess.options import Limits
from ns2.pipeline.preprocess.plan.sources import Source

_PLACES = re.compile(r"(?<![\w.])(/[\w.~+-]+)+/?|0x[0-9a-fA-F]+")
"""Paths and addresses: they differ from machine to machine and have no place in a dataset."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an utterance gave nothing."""

    stage: str
    kind: Kind
    reason: Reason
    message: str


def screen_failure(scalars: Mapping[str, float], limits: Limits, grid: FrameGrid) -> Failure | None:
    """What excludes a screened utterance, if anything does: its length, or too many phones."""
    samples = int(scalars["samples"])
    frames, phones = grid.frames(samples), int(scalars.get("phones", 0))
    try:
        limits.check(samples, grid)
    except UtteranceError as error:
        return Failure(
            stage="audio", kind=Kind.FILTERED, reason=error.reason, message=error.message
        )
    if phones > frames:
        return Failure(
            stage="phonemes",
            kind=Kind.REJECTED,
            reason=Reason.MORE_PHONES_THAN_FRAMES,
            message=f"{phones} phones in {frames} frames: is this the text of this recording?",
        )
    return None


def as_failure(stage: str, error: Exception) -> Failure:
    """The failure that an exception stands for."""
    if isinstance(error, UtteranceError):
        reason, message = error.reason, error.message
    else:
        reason = Reason.STAGE_FAILED
        message = f"{type(error).__name__}: {_PLACES.sub('...', str(error))}"
    kind = Kind.FILTERED if reason in FILTERS else Kind.REJECTED
    return Failure(stage=stage, kind=kind, reason=reason, message=message)


def as_rejection(source: Source, failure: Failure) -> Rejection:
    """The ledger's row of an utterance that a stage excluded."""
    return Rejection(
        id=source.utterance.id,
        key=source.key,
        source=source.utterance.source,
        kind=failure.kind,
        stage=failure.stage,
        reason=failure.reason,
        message=failure.message,
    )
