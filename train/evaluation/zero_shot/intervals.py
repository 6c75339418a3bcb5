"""Figures over sentences, and 95 % intervals by resampling speakers.

Sentences of one speaker are alike, so it is the speakers that are drawn with replacement (a
bootstrap of clusters). With fewer than four speakers one of them alone is drawn in more than 2.5 %
of the draws: the interval would go from the worst speaker to the best, and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_SPEAKERS = 4
"""An interval takes so many speakers at least."""
DRAWS = 2000
"""So many times the speakers are drawn."""
Share = tuple[float, float]
"""What a sentence adds to a figure: to the sum above and to the sum below."""


@dataclass(frozen=True)
class Figure:
    """A figure over sentences.

    Attributes:
        value: the sum above by the sum below.
        interval: the 2.5 % and 97.5 % quantiles; None where they would say nothing.
    """

    value: float
    interval: tuple[float, float] | None


def figure(speakers: Sequence[str], shares: Sequence[Share | None], seed: int = 0) -> Figure | None:
    """A figure over sentences.

    Args:
        speakers: of each sentence.
        shares: what each sentence adds; None for one of which it was not measured.
        seed: of the draws.

    Returns:
        the figure; None where nothing was measured.
    """
    names = sorted({s for s, share in zip(speakers, shares, strict=True) if share is not None})
    sums = np.zeros((len(names), 2))
    for speaker, share in zip(speakers, shares, strict=True):
        if share is not None:
            sums[names.index(speaker)] += share
    above, below = sums.sum(0)
    if below <= 0:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(names), (DRAWS, len(names)))
    interval = None
    if len(names) >= FEWEST_SPEAKERS:
        totals = sums[drawn].sum(1)
        values = totals[:, 0] / np.maximum(totals[:, 1], 1e-12)
        low, high = np.quantile(values, (0.025, 0.975))
        interval = (float(low), float(high))
    return Figure(value=float(above / below), interval=interval)


def figures(
    speakers: Sequence[str], shares: Sequence[Mapping[str, Share]], seed: int = 0
) -> dict[str, Figure]:
    """All figures of a version, by name, in the order of their first appearance."""
    names = dict.fromkeys(name for one in shares for name in one)
    made = {name: figure(speakers, [one.get(name) for one in shares], seed) for name in names}
    return {name: one for name, one in made.items() if one is not None}
