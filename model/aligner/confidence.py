"""How likely it is that an alignment's tokens start where it puts them.

A small network turns the evidence for each border into a probability. It was fitted to borders that
are known, so that the probability is the share of such borders that are right.

Letters for shapes: N tokens, J tokens that last, E kinds of evidence, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ns2.model.aligner.border_evidence import words_of

NEAR_SECONDS = 0.05
"""A border is right if it is off by no more than this."""
_SUREST, _USUAL_ODDS = 1e-4, -6.0
"""No border counts as surer than this; the log odds that a border is wrong where all is right."""


@dataclass(frozen=True)
class BorderNet:
    """The network: one hidden layer.

    Attributes:
        mean, scale: (E,) evidence less the mean, divided by the scale, is what the network sees.
        hidden, hidden_bias: (E, H) and (H,).
        out, out_bias: (H,) and a number.
    """

    mean: np.ndarray
    scale: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray
    out_bias: float

    def confidence(self, evidence: np.ndarray) -> np.ndarray:
        """Return the probabilities (J,) that borders with such evidence (J, E) are right."""
        seen = np.clip((evidence - self.mean) / self.scale, -4.0, 4.0)
        odds = np.tanh(seen @ self.hidden + self.hidden_bias) @ self.out + self.out_bias
        return np.asarray(1 / (1 + np.exp(-odds)))


def token_confidence(lasting: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """Return the confidence of all tokens (N,) from that of those that last.

    A token of 0 frames starts where the next one that lasts does, and has its confidence; at the
    end of the utterance it has that of the last. The first token starts at 0 for certain.

    Args:
        lasting: (J,) the confidence of the tokens that last.
        durations: (N,) frames.
    """
    places: np.ndarray = np.cumsum(durations > 0) - (durations > 0)
    found = lasting[np.minimum(places, len(lasting) - 1)]
    found[: int(np.flatnonzero(durations)[0]) + 1] = 1.0
    return found


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """What an utterance's confidences say in a few numbers.

    Attributes:
        border_error: the share of its borders that are expected to be wrong: of the starts of its
            phones, but for the first phone's, unless it is the only one.
        word: the first token of the word that fits least: by the mean log odds of its phones'
            starts being wrong. Short words, of which the mean says less, are drawn to what is
            usual, as if they had one more phone.
        word_error: the share of the starts of that word's phones that are expected to be wrong.
    """

    border_error: float
    word: int
    word_error: float


def doubt(confidence: np.ndarray, silent: np.ndarray) -> Doubt | None:
    """Return what confidences (N,) say, given which tokens are silent (N,); None without phones."""
    wrong, phones = 1.0 - confidence, np.flatnonzero(~silent)
    if not len(phones):
        return None
    words = words_of(silent)[phones]
    sizes, clipped = np.bincount(words), np.clip(wrong[phones], _SUREST, 1 - _SUREST)
    odds = np.log(clipped / (1 - clipped)) - _USUAL_ODDS
    worst = int((np.bincount(words, odds) / (sizes + 1)).argmax())
    return Doubt(
        border_error=float(wrong[phones[1:] if len(phones) > 1 else phones].mean()),
        word=int(phones[np.searchsorted(words, worst)]),
        word_error=float(wrong[phones[words == worst]].mean()),
    )
