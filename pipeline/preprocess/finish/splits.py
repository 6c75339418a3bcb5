"""Which split an utterance is in: the corpus's own, else by a hash."""

from __future__ import annotations

from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.schema import Utterance


def assign_split(utterance: Utterance, *, val_share: float, val_by: str = "utterance") -> str:
    """The split of an utterance: "train", "val" or "test".

    The corpus's own split is kept. Without one the hash of the key, or of the speaker's name,
    decides: so it depends on this utterance alone, and none moves when others are added. A
    larger share only adds to "val".

    Args:
        val_share: share of the utterances, or of the speakers, that go to "val", in [0, 1].
        val_by: "speaker" puts all of a speaker's utterances on one side.

    Raises:
        ValueError: the share is out of range, or `val_by` is neither.
    """
    if not 0 <= val_share <= 1:
        raise ValueError(f"val_share has to lie in [0, 1], got {val_share}")
    if val_by not in ("utterance", "speaker"):
        raise ValueError(f"val_by has to be utterance or speaker, got {val_by!r}")
    if utterance.split:
        return utterance.split
    text = utterance.key if val_by == "utterance" else utterance.speaker
    return "val" if unit_interval(text, f"split by {val_by}") < val_share else "train"
