"""How well the samples of a round are spoken: the phones that are wrong, and the voiced share.

Both are measured as `ns2 evaluate` measures them, on the samples and on the codec's copies of the
recordings, which show how much of an error is the codec's or the judge's own. Few utterances are
spoken at each round, so the figures show the way of a training and not the quality of a model.

Letters for shapes: S samples, T frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class PhoneJudge(Protocol):
    """A network that hears phones, such as the classifier of `ns2 evaluate`."""

    def knows(self, language: str) -> bool:
        """Whether it was trained on the language of an espeak-ng voice."""
        ...

    def wrong(self, wave: np.ndarray, rate: int, tokens: Sequence[str]) -> tuple[int, int]:
        """The number of wrong phones in a wave (S,), and the number of phones of the tokens."""
        ...


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An utterance as it sounds in each of its versions.

    Attributes:
        tokens: its phonemes as strings.
        language: its espeak-ng voice.
        waves: (S,) between -1 and 1, by version.
        f0: (T,) Hz, 0 where unvoiced, of each wave.
    """

    tokens: tuple[str, ...]
    language: str
    waves: Mapping[str, np.ndarray]
    f0: Mapping[str, np.ndarray]


def sample_figures(heard: Sequence[Heard], rate: int, judge: PhoneJudge | None) -> dict[str, float]:
    """The figures of all samples of a round together.

    Args:
        heard: the samples; each has the same versions.
        rate: the sampling rate of the waves, in Hz.
        judge: counts wrong phones in the utterances whose language it knows; None counts none.

    Returns:
        for each version `phones_wrong_VERSION`, a share of the phones of the texts, where the judge
        knows the language of an utterance at least; and `voiced_VERSION`, a share of the frames.
    """
    versions = list(heard[0].waves) if heard else []
    known = [one for one in heard if judge is not None and judge.knows(one.language)]
    figures: dict[str, float] = {}
    for name in versions:
        counts = [judge.wrong(one.waves[name], rate, one.tokens) for one in known if judge]
        if phones := sum(count for _, count in counts):
            figures[f"phones_wrong_{name}"] = sum(wrong for wrong, _ in counts) / phones
    for name in versions:
        frames = sum(len(one.f0[name]) for one in heard)
        voiced = sum(int(np.count_nonzero(one.f0[name])) for one in heard)
        figures[f"voiced_{name}"] = voiced / max(frames, 1)
    return figures


def in_words(figures: Mapping[str, float]) -> str:
    """The figures for people, one after the other, in per cent."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in figures.items())
