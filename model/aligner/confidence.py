"""How sure an alignment is of its borders.

Letters for shapes: T frames, N tokens, S states.
"""

from __future__ import annotations

import numpy as np


def border_confidence(
    posteriors: np.ndarray, token: np.ndarray, durations: np.ndarray, reach: int = 1
) -> np.ndarray:
    """Probability that each token starts within `reach` frames of where a path puts it.

    A token starts at the border behind the frames of all tokens before it, so that one which
    lasts no frame has a start too. Paths are monotonic: a token has started by frame t just if
    frame t belongs to it or to a later one.

    Args:
        posteriors: (T, S) probability that a frame belongs to a state.
        token: (S,) the token of each state, ascending; each token has a state.
        durations: (N,) frames of the tokens on the path, their sum is T.

    Returns:
        (N,) float64 in [0, 1]; 1 for the first token.
    """
    frames = len(posteriors)
    later = np.cumsum(posteriors[:, ::-1], axis=1)[:, ::-1]
    tokens = np.arange(len(durations))
    # Row t + 1: the probability that each token has started by frame t. Before the first frame
    # none has; behind the last one there is nothing left that could come before it.
    started = np.zeros((frames + 2, len(durations)))
    started[1:-1] = later[:, np.searchsorted(token, tokens)]
    started[-1] = 1.0
    started[1:, 0] = 1.0  # but for rounding it is so already
    starts = np.cumsum(durations) - durations
    by_end = started[np.minimum(starts + reach, frames) + 1, tokens]
    before = started[np.maximum(starts - reach - 1, -1) + 1, tokens]
    return np.clip(by_end - before, 0.0, 1.0)
