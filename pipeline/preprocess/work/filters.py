"""Filters whose result is known last: by numbers that a column brings along."""

from __future__ import annotations

from dataclasses import dataclass

from ns2.pipeline.core.schema import Kind, Reason
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.work.failure import Failure


@dataclass(frozen=True, kw_only=True)
class ScoreFilter:
    """A limit on a number of an utterance.

    Attributes:
        column: brings the number along.
        scalar: the number's name.
        option: sets the limit.
        reason: why an utterance is excluded.
        limit: the last number that is let in.
        upwards: whether larger numbers are excluded, not smaller ones.
    """

    column: str
    scalar: str
    option: str
    reason: Reason
    limit: float
    upwards: bool = False

    def failure(self, score: float) -> Failure | None:
        """Why an utterance with such a number is excluded, if it is."""
        if score <= self.limit if self.upwards else score >= self.limit:
            return None
        return Failure(
            stage=self.column,
            kind=Kind.FILTERED,
            reason=self.reason,
            message=f"{self.scalar} {score:.3f}, and {self.option} is {self.limit:g}: "
            "is this the text of this recording?",
        )


def filters_of(options: Options) -> tuple[ScoreFilter, ...]:
    """The filters that options ask for."""
    found = []
    if options.min_align_score is not None:
        found.append(
            ScoreFilter(
                column="durations",
                scalar="align_score",
                option="--min-align-score",
                reason=Reason.BADLY_ALIGNED,
                limit=options.min_align_score,
            )
        )
    if options.max_border_error is not None:
        found.append(
            ScoreFilter(
                column="trust",
                scalar="border_error",
                option="--max-border-error",
                reason=Reason.DOUBTFUL_BORDERS,
                limit=options.max_border_error,
                upwards=True,
            )
        )
    return tuple(found)
