"""The confidence of an alignment in each of its token borders.

Letters for shapes: T frames, N tokens, S states.
"""

from __future__ import annotations

import numpy as np


def border_confidence(
    posteriors: np.ndarray, token: np.ndarray, durations: np.ndarray, reach: int = 1
) -> np.ndarray:
    """Return the probability that each token starts within `reach` frames of where a path puts it.

    A token starts at the border behind the frames of all earlier tokens, so that a token of 0
    frames has a start too. Paths are monotonic: a token has started by frame t if and only if
    frame t belongs to it or to a later token.

    Args:
        posteriors: (T, S) the probability that a frame belongs to a state.
        token: (S,) the token of each state, ascending; each token has at least one state.
        durations: (N,) frames of the tokens on the path; their sum is T.
        reach: the tolerance in frames.

    Returns:
        (N,) float64 in [0, 1]; 1 for the first token.
    """
    frames = len(posteriors)
    later = np.cumsum(posteriors[:, ::-1], axis=1)[:, ::-1]
    tokens = np.arange(len(durations))
    # Row t + 1: the probability that each token has started by frame t. Before the first frame no
    # token has started; behind the last frame every token has.
    started = np.zeros((frames + 2, len(durations)))
    started[1:-1] = later[:, np.searchsorted(token, tokens)]
    started[-1] = 1.0
    started[1:, 0] = 1.0  # removes the rounding error of the sum
    starts = np.cumsum(durations) - durations
    by_end = started[np.minimum(starts + reach, frames) + 1, tokens]
    before = started[np.maximum(starts - reach - 1, -1) + 1, tokens]
    return np.clip(by_end - before, 0.0, 1.0)
