"""Whether the data of a run is what it was: digests of datasets and of what was chosen of them.

A dataset's card names the version of ns2 that finished it, and the card's own digest covers that
name. Neither says anything about utterances, so both are left out here: a dataset that a newer ns2
has brought up to date, and that holds the same utterances, is the same data.

Runs that ns2 0.1.0 began recorded a digest over the cards' own digests. It is recognised as well,
with the versions that those runs recorded beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.dataset.card import sealed

_DIGITS = 64
_VERSION = "ns2"
_LICENCE = "licence"
"""The option that says nothing about utterances."""
_UNSEEN = (_VERSION, "digest")
"""Fields of a card that say nothing about its utterances."""

Card = Mapping[str, Any]


def content_digest(card: Card) -> str:
    """The digest of a card without the version of ns2 and the licence, 64 hex digits."""
    seen = {name: card[name] for name in card if name not in _UNSEEN}
    if _LICENCE in seen.get("options", {}):
        told = seen["options"].items()
        seen["options"] = {name: value for name, value in told if name != _LICENCE}
    return short_hash(seen, _DIGITS)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that decides which utterance has which number, and what it holds.

    Attributes:
        cards: of the datasets, in their order.
        split, where, columns: what was chosen of them.
    """

    cards: Sequence[Card]
    split: str
    where: str
    columns: Sequence[str]

    @property
    def digest(self) -> str:
        """64 hex digits; the same after a dataset was brought up to date without a change."""
        return self._digest_of(content_digest(card) for card in self.cards)

    def was(self, recorded: str, made_by: Sequence[str] | None = None) -> bool:
        """Whether a digest that a run recorded is that of this data.

        Args:
            recorded: `digest`, or the form that ns2 0.1.0 recorded.
            made_by: the versions of ns2 in the cards at that time; None for those they have now.
        """
        if recorded == self.digest:
            return True
        versions = [card[_VERSION] for card in self.cards] if made_by is None else made_by
        if len(versions) != len(self.cards):
            return False
        as_they_were = zip(self.cards, versions, strict=True)
        return recorded == self._digest_of(
            sealed({**card, _VERSION: version})["digest"] for card, version in as_they_were
        )

    def _digest_of(self, cards: Iterable[str]) -> str:
        return short_hash([list(cards), self.split, self.where, list(self.columns)], _DIGITS)
