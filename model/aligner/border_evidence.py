"""What an alignment tells of each of its borders: the numbers that `confidence` judges them by.

All are made of what the search has worked out already, and are relative to the aligner's own
classes, so that they mean the same in every corpus.

Letters for shapes: T frames, N tokens, J tokens that last, K classes, C classes that occur in an
utterance, P phones of the network, E kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ns2.model.aligner.evidence import QUIET

REACH = 4
"""The frames on either side of a border, 53 ms, in which its tokens are compared."""
AROUND = 3
"""The phones on either side of a border that its surroundings consist of."""
_FLOOR = -10.0

_SEGMENT = ("class", "best", "heard", "length")
"""What is said of a token that lasts: how much worse the Gaussians' class fits than it usually
does, how much better another class would fit, how well the network's phone fits, and how long it
lasts."""
EVIDENCE = (
    *(f"{name} {side}" for name in _SEGMENT for side in ("before", "behind")),
    "quiet before", "quiet behind", "silent before", "silent behind",
    "contrast before", "contrast behind", "border", "border elsewhere",
    *(f"{name} {place}" for name in _SEGMENT[:3] for place in ("around", "word", "all")),
    "worst word", "pace", "trust", "network",
)  # fmt: skip
"""The kinds of evidence, in order."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the search for a path has worked out.

    Attributes:
        posteriors: (T, K) log posteriors of the Gaussians' classes.
        likelihoods: (T, K) log-likelihoods of these.
        scores: (T, C) what each frame adds to a path within a phone, by class.
        border: (T,) what a border adds at each frame.
        heard: (T, P) log-probabilities of the network's phones; None without a network.
        trust: how far network and Gaussians agree, 0 without a network.
        tokens: (N,) the class of each token.
        columns: (N,) its column of scores.
        phones: (N,) the network's phone of it, -1 where it has none.
        silent: (N,) bool, tokens that may last 0 frames.
        durations: (N,) frames.
        usual: (K,) the log posterior that is expected of each class in its own frames.
    """

    posteriors: np.ndarray
    likelihoods: np.ndarray
    scores: np.ndarray
    border: np.ndarray
    heard: np.ndarray | None
    trust: float
    tokens: np.ndarray
    columns: np.ndarray
    phones: np.ndarray
    silent: np.ndarray
    durations: np.ndarray
    usual: np.ndarray


def words_of(silent: np.ndarray) -> np.ndarray:
    """Number the words of tokens (N,): runs of those that are not silent; -1 for silent ones."""
    first = ~silent & np.concatenate([[True], silent[:-1]])
    return np.where(silent, -1, np.cumsum(first) - 1)


def border_evidence(seen: Observed) -> np.ndarray:
    """Return the evidence (J, E) for the starts of the tokens that last, in order."""
    lasting = np.flatnonzero(seen.durations)
    durations = seen.durations[lasting].astype(np.int64)
    starts = np.cumsum(durations) - durations
    silent = seen.silent[lasting]
    segments = _segments(seen, lasting, starts, durations)
    quiet = _quiet(seen, starts, durations)
    before = np.maximum(np.arange(len(lasting)) - 1, 0)
    found = [part for values in segments.T for part in (values[before], values)]
    found += [quiet[before], quiet, silent[before], silent]
    found += [*_contrast(seen, lasting, starts, durations)]
    word = words_of(seen.silent)[lasting]
    fits = segments[:, :3]
    around, words, whole = _surroundings(fits, silent, word)
    for i in range(fits.shape[1]):
        found += [around[:, i], words[:, i], np.full(len(lasting), whole[i])]
    spoken = max(int((~silent).sum()), 1)
    worst = words[~silent].sum(1).min() - whole.sum() if spoken else 0.0
    pace = np.log(durations[~silent].sum() / spoken + 1)
    known = 0.0 if seen.heard is None else 1.0
    found += [np.full(len(lasting), v) for v in (worst, pace, seen.trust, known)]
    return np.stack(found, 1).astype(np.float32)


def _mean(values: np.ndarray, starts: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """The means (J, ...) of values (T, ...) over segments that follow each other."""
    sums = np.add.reduceat(values, starts, axis=0)
    return sums / durations.reshape(-1, *[1] * (sums.ndim - 1))


def _segments(
    seen: Observed, lasting: np.ndarray, starts: np.ndarray, durations: np.ndarray
) -> np.ndarray:
    """What is said of each token that lasts, (J, 4)."""
    classes, phones = seen.tokens[lasting], seen.phones[lasting]
    each = np.repeat(np.arange(len(lasting)), durations)
    frames = np.arange(len(each))
    fit = _mean(np.maximum(seen.posteriors[frames, classes[each]], _FLOOR), starts, durations)
    fit = fit - seen.usual[classes]
    likely = _mean(seen.likelihoods, starts, durations)
    own = likely[np.arange(len(lasting)), classes]
    best = -np.log1p(np.maximum(likely.max(1) - own, 0.0))
    heard = np.zeros(len(lasting))
    if seen.heard is not None:
        said = np.maximum(seen.heard[frames, np.maximum(phones, 0)[each]], _FLOOR)
        heard = _mean(said, starts, durations)
        known = phones >= 0
        heard[~known] = heard[known].mean() if known.any() else 0.0
    return np.stack([fit, best, heard, np.log(durations)], 1)


def _quiet(seen: Observed, starts: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """How silent each token that lasts is, (J,)."""
    silence = seen.posteriors[:, 0] if seen.heard is None else seen.heard[:, QUIET]
    return _mean(np.exp(silence), starts, durations)


def _contrast(
    seen: Observed, lasting: np.ndarray, starts: np.ndarray, durations: np.ndarray
) -> tuple[np.ndarray, ...]:
    """How well the tokens beside each border are told apart there: (J,) each.

    The first two say by how much the frames before and behind fit their own token better than the
    other one; the others, whether the network hears a border there, and whether it hears a clearer
    one near it.
    """
    columns, last = seen.columns[lasting], len(seen.scores) - 1
    before = np.concatenate([columns[:1], columns[:-1]])
    lengths = np.concatenate([durations[:1], durations[:-1]])
    steps = np.arange(REACH)
    found = []
    for frames, size, own, other in (
        (starts[:, None] - 1 - steps, lengths, before, columns),
        (starts[:, None] + steps, durations, columns, before),
    ):
        at = np.clip(frames, 0, last)
        gain = seen.scores[at, own[:, None]] - seen.scores[at, other[:, None]]
        within = steps < size[:, None]
        mean = (gain * within).sum(1) / within.sum(1)
        found.append(np.sign(mean) * np.log1p(np.abs(mean)))
    around = seen.border[np.clip(starts[:, None] + np.arange(-REACH, REACH + 1), 0, last)]
    here = around[:, REACH - 1 : REACH + 2].max(1)
    return (*found, here, around.max(1) - here)


def _surroundings(
    fits: np.ndarray, silent: np.ndarray, word: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of fits (J, 3) over the phones around each token, over its word, and over all."""
    spoken = ~silent
    if not spoken.any():
        return fits, fits, fits.mean(0)
    counted = np.concatenate([[0], np.cumsum(spoken)])
    sums = np.concatenate([np.zeros((1, fits.shape[1])), np.cumsum(fits * spoken[:, None], 0)])
    places = np.arange(len(fits))
    low, high = np.maximum(places - AROUND, 0), np.minimum(places + AROUND, len(fits))
    count = (counted[high] - counted[low])[:, None]
    whole = fits[spoken].mean(0)
    around = np.where(count > 0, (sums[high] - sums[low]) / np.maximum(count, 1), whole)
    # a silent token has what the word before it has
    of = np.maximum.accumulate(np.where(word >= 0, word, 0))
    size = np.bincount(word[spoken], minlength=of.max() + 1)
    words = (
        np.stack(
            [np.bincount(word[spoken], fits[spoken, i], len(size)) for i in range(fits.shape[1])], 1
        )
        / np.maximum(size, 1)[:, None]
    )
    return around, words[of], whole
