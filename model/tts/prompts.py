"""The choice of the part of an utterance that is its speech prompt.

In training, a run of an utterance's own frames is cut out and given as its prompt; the parts on
both sides, joined, are the target. Cuts lie between tokens, at word borders where possible, so that
the phonemes of the target are whole and their durations sum to its length. (That cuts lie between
phonemes is inferred; the paper only says frames u:v.)

Where a step is planned with its prompts, one number decides where in the range of its allowed
lengths each utterance's prompt lies: utterances that are alike in length then have targets and
prompts that are alike, and little is padded. That number is as even as a length that is drawn for
each utterance, so an utterance's prompt has every allowed length equally often in either case.

Letters for shapes: N tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """The lengths of speech prompts, in frames."""

    shortest: int = 75
    """The fewest frames of a prompt that is cut out of its own utterance."""

    longest: int = 375
    """The most frames of any prompt; prompts from another utterance are cut at a random place."""

    share: float = 0.5
    """The largest share of an utterance that its prompt may take."""

    whole_below: int = 150
    """Utterances with fewer frames stay whole; another utterance of the speaker is their prompt."""

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest or not 0 < self.share < 1:
            raise ValueError(
                f"prompts need 1 <= shortest <= longest and a share between 0 and 1: {self}"
            )
        if self.whole_below * self.share < self.shortest:
            raise ValueError(
                f"utterances of {self.whole_below} frames have no room for a prompt of "
                f"{self.shortest}: raise whole_below or lower shortest"
            )

    def longest_of(self, frames: int) -> int:
        """The most frames of a prompt that is cut out of an utterance of so many frames."""
        return min(self.longest, int(frames * self.share))

    def wanted(self, frames: np.ndarray, share: float | np.ndarray) -> np.ndarray:
        """The frames of prompts cut out of utterances, before cuts are moved between tokens.

        Args:
            frames: of utterances that are long enough, any shape.
            share: in [0, 1), the place within the range of allowed lengths.
        """
        most = np.minimum(self.longest, (frames * self.share).astype(np.int64))
        return self.shortest + (share * (most - self.shortest + 1)).astype(np.int64)


_LENGTH_COUNTS = 4
"""A frame of difference in length counts as so many of place, where a step has one share: places
are even anyhow, and lengths that are met are not padded."""


def cut_prompt(
    durations: np.ndarray,
    border: np.ndarray,
    config: PromptConfig,
    rng: np.random.Generator,
    share: float | None = None,
) -> tuple[int, int] | None:
    """Draw the run of tokens that becomes an utterance's prompt.

    A length is drawn uniformly from the allowed ones, and a place uniformly from the utterance. The
    run of tokens nearest to both is taken, among runs that begin and end at word borders if such a
    run has an allowed length.

    Args:
        durations: (N,) frames of each token.
        border: (N,) bool, tokens that are not phones (silence, word borders, marks).
        config: the lengths of prompts.
        rng: draws the length and the place.
        share: in [0, 1), where in the range of allowed lengths the prompt's lies; None draws the
            length.

    Returns:
        (first, end) of a half-open run of tokens; None if the utterance has to stay whole, because
        it is too short, or no run of whole tokens has an allowed length.
    """
    ends = np.concatenate([[0], np.cumsum(durations, dtype=np.int64)])
    frames = int(ends[-1])
    if frames < config.whole_below:
        return None
    most = config.longest_of(frames)
    if share is None:
        wanted, weight = int(rng.integers(config.shortest, most + 1)), 0
    else:
        wanted, weight = int(config.wanted(np.array(frames), share)), _LENGTH_COUNTS
    start = int(rng.integers(0, frames - wanted + 1))
    # Cuts in front of token i: before a word's first phone, after its last one, or at the ends.
    words = np.concatenate([[True], border[1:] | border[:-1], [True]])
    for cuts in (np.flatnonzero(words), np.arange(len(ends))):
        if found := _nearest(ends[cuts], start, start + wanted, config.shortest, most, weight):
            return int(cuts[found[0]]), int(cuts[found[1]])
    return None


def _nearest(
    places: np.ndarray, start: int, end: int, shortest: int, longest: int, weight: int
) -> tuple[int, int] | None:
    """Find the pair of places nearest to [start, end) among those with an allowed distance.

    Args:
        places: in frames, rising.
        weight: what a frame of difference in length counts besides.

    Returns:
        the numbers of both places; None if no distance is allowed.
    """
    length = places[None, :] - places[:, None]
    cost = np.abs(places - start)[:, None] + np.abs(places - end)[None, :]
    if weight:
        cost = cost + weight * np.abs(length - (end - start))
    cost = np.where((length >= shortest) & (length <= longest), cost, np.iinfo(np.int64).max)
    first, last = divmod(int(cost.argmin()), len(places))
    if cost[first, last] == np.iinfo(np.int64).max:
        return None
    return first, last


def cut_other(frames: int, config: PromptConfig, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the frames [first, end) of another utterance of the speaker that become the prompt."""
    length = min(frames, config.longest)
    first = int(rng.integers(0, frames - length + 1))
    return first, first + length
