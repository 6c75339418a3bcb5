"""`--min-confidence`: utterances whose text is not sure enough, by what their corpus says of it.

They have their place in a shard like all others, so that a dataset is the same whether they were
filtered from the start or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from ns2.pipeline.core.schema import Kind, Reason, Rejection
from ns2.pipeline.corpora.corpus import STAGE, Corpus
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source

_OPTION = "--min-confidence"


class Others(Protocol):
    """What is known of utterances that were not read."""

    @property
    def confident(self) -> bool:
        """Whether any that is not left out has a confidence."""
        ...

    @property
    def filtered(self) -> int:
        """How many of them `--min-confidence` leaves out."""
        ...

    @property
    def utterances(self) -> int:
        """How many there are."""
        ...


def confidence_note(corpus: Corpus, options: Options, others: Others | None = None) -> str:
    """What `--min-confidence` does to a corpus, in a sentence; empty without the option.

    Args:
        others: utterances of the corpus that were not read, as they were before.
    """
    least = options.min_confidence
    if least is None:
        return ""
    known = [u.confidence for u in corpus.utterances if u.confidence is not None]
    filtered, count = (0, 0) if others is None else (others.filtered, others.utterances)
    low = sum(confidence < least for confidence in known) + filtered
    any_known = bool(known or filtered) or (others is not None and others.confident)
    return note_of(least, any_known, low, count + len(corpus.utterances))


def without_note(notes: Iterable[str]) -> list[str]:
    """Notes of an earlier run but that of `--min-confidence`, which counts all utterances anew."""
    return [note for note in notes if not note.startswith(_OPTION)]


def note_of(least: float, known: bool, low: int, count: int) -> str:
    """What `--min-confidence` does, in a sentence.

    Args:
        least: its value.
        known: whether any utterance has a confidence.
        low, count: how many have less than that, and how many there are.
    """
    if not known:
        return f"{_OPTION} has no effect: no utterance of the corpus has a confidence"
    return f"{_OPTION} {least:g} filters {low} of {count} utterances"


def sure_enough(
    shards: Sequence[Shard], least: float | None
) -> tuple[tuple[Shard, ...], list[Rejection]]:
    """Take from shards the utterances whose confidence is too low; give them as ledger rows, too.

    Args:
        least: the lowest confidence that is enough; None takes nothing out.
    """
    if least is None:
        return tuple(shards), []
    kept = [
        replace(shard, sources=tuple(s for s in shard.sources if not _is_low(s, least)))
        for shard in shards
    ]
    low = [s for shard in shards for s in shard.sources if _is_low(s, least)]
    return tuple(kept), [
        Rejection(
            id=source.utterance.id,
            key=source.key,
            source=source.utterance.source,
            kind=Kind.FILTERED,
            stage=STAGE,
            reason=Reason.LOW_CONFIDENCE,
            message=f"confidence {source.utterance.confidence:g}, and --min-confidence is "
            f"{least:g}",
        )
        for source in low
    ]


def _is_low(source: Source, least: float) -> bool:
    confidence = source.utterance.confidence
    return confidence is not None and confidence < least
