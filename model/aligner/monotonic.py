"""Monotonic alignments of frames to tokens: their sum (for training) and the best one.

A path assigns each frame to one token, from left to right. Mandatory tokens get at least one frame;
optional tokens (silence, word borders, punctuation) may be skipped, any number in a row.

The compiled kernels, one function for each search, stay longer than other functions: calls between
them that share arrays would hide the recursion, which fits on a page.

Letters for shapes: T frames, N tokens, K columns of scores (K = N unless tokens share columns).
"""

from __future__ import annotations

import math

import numpy as np

from ns2.model.aligner.kernels import compiled

_NEVER = -math.inf
_NOTHING = -1e14
"""Scores further below the largest of their frame than this count as impossible in sums."""


class NoPathError(ValueError):
    """Raised if there is no path: too few frames, or every path has probability 0."""


def monotonic_search(
    log_probs: np.ndarray,
    optional: np.ndarray,
    entry: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> np.ndarray:
    """Find the path with the largest sum of log-probabilities (Viterbi).

    Of equal paths it takes the one that stays longest in its last token, and so on backwards,
    skipping fewest. Beside the scores in float64 it needs one byte for each frame and token.

    Args:
        log_probs: (T, K) the score of each frame in each column; -inf forbids it.
        optional: (N,) bool, tokens that may last 0 frames.
        entry: (N,) what each token that lasts at least one frame adds once; None for zeros.
        columns: (N,) the column of each token; several tokens may share one. None for one column
            per token, in order.

    Returns:
        (N,) int64 durations in frames: their sum is T, mandatory tokens have at least 1.

    Raises:
        NoPathError: no path has a finite score.
        ValueError: the shapes do not fit, or a score is NaN or +inf.
    """
    trellis = _checked(log_probs, optional, entry, columns)
    durations = np.zeros(len(optional), np.int64)
    if _search(*trellis, durations) == _NEVER:
        raise _no_path(*trellis)
    return durations


def path_posteriors(
    log_probs: np.ndarray,
    optional: np.ndarray,
    entry: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Sum over all paths, each weighted by its probability (forward-backward).

    The posteriors are the gradient of the log of the sum over all paths: the forward sum of Badlani
    et al. 2021, "One TTS alignment to rule them all".

    Args:
        log_probs, optional, entry, columns: see `monotonic_search`.

    Returns:
        (T, K) float64, the posterior probability that a frame belongs to one of a column's tokens;
        and the log of the sum over all paths.

    Raises:
        NoPathError: no path has a finite score.
        ValueError: the shapes do not fit, or a score is NaN or +inf.
    """
    trellis = _checked(log_probs, optional, entry, columns)
    posteriors = np.zeros_like(trellis[0])
    log_sum = _sum_paths(*trellis, posteriors)
    if log_sum == _NEVER:
        raise _no_path(*trellis)
    return posteriors, log_sum


_Trellis = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Scores, columns, optional and entry, as the kernels take them."""


def _checked(
    log_probs: np.ndarray,
    optional: np.ndarray,
    entry: np.ndarray | None,
    columns: np.ndarray | None,
) -> _Trellis:
    """Convert and check what the kernels take, since they check no bounds."""
    scores = np.ascontiguousarray(log_probs, np.float64)
    optional = np.ascontiguousarray(optional, bool)
    entry = np.zeros(optional.shape) if entry is None else np.ascontiguousarray(entry, np.float64)
    if columns is None:
        columns = np.arange(scores.shape[-1])
    tokens = (optional.shape, entry.shape, columns.shape)
    if scores.ndim != 2 or not scores.size or set(tokens) != {(len(columns),)} or not len(columns):
        raise ValueError(
            "expected log_probs (T, N), or (T, K) with columns, and optional, entry and columns "
            f"(N,), none of them empty, got {scores.shape} and {', '.join(map(str, tokens))}"
        )
    if columns.min() < 0 or columns.max() >= scores.shape[1]:
        raise ValueError(f"columns must lie in [0, {scores.shape[1]})")
    if not (scores < math.inf).all():
        raise ValueError("log_probs hold NaN or +inf")
    if not (np.abs(entry) < -_NOTHING).all():
        raise ValueError(f"entry holds NaN or values beyond {-_NOTHING:g}")
    # unsigned: numba looks for negative indices otherwise
    return scores, np.ascontiguousarray(columns, np.uint64), optional, entry


def _no_path(
    scores: np.ndarray, columns: np.ndarray, optional: np.ndarray, entry: np.ndarray
) -> NoPathError:
    return NoPathError(
        f"no path of {len(scores)} frames through {len(columns)} tokens, "
        f"{int((~optional).sum())} of which need a frame"
    )


_MOVED, _SKIPPED = 1, 2
"""Bits of a step: the path comes from an earlier token; it skips the token before."""


@compiled
def _search(
    scores: np.ndarray,
    columns: np.ndarray,
    optional: np.ndarray,
    entry: np.ndarray,
    durations: np.ndarray,
) -> float:
    """Add the best path's durations (N,); return its score, -inf if there is no path."""
    frames, tokens = len(scores), len(columns)
    steps = np.zeros((frames, tokens), np.uint8)
    # Forward: the best score of all paths up to each frame that end in a token.
    best = np.full(tokens, _NEVER)
    for j in range(tokens):
        best[j] = scores[0, columns[j]] + entry[j]
        if not optional[j]:
            break
    for t in range(1, frames):
        # `arrival` is the best score, one frame earlier, of those tokens that j may follow.
        arrival, before = _NEVER, _NEVER
        for j in range(tokens):
            step = 0
            if j > 0:
                if optional[j - 1] and arrival > before:
                    step = _SKIPPED
                else:
                    arrival = before
            before = best[j]
            moved = arrival + entry[j]
            if moved > before:
                step |= _MOVED
            best[j] = max(before, moved) + scores[t, columns[j]]
            steps[t, j] = step

    # The best path ends in the last token, or in one behind which all tokens are optional.
    token = tokens - 1
    for j in range(tokens - 2, -1, -1):
        if not optional[j + 1]:
            break
        if best[j] > best[token]:
            token = j
    total = best[token]
    # Backward: follow the steps and count the frames of each token.
    for t in range(frames - 1, -1, -1):
        durations[token] += 1
        if steps[t, token] & _MOVED:
            while steps[t, token] & _SKIPPED:
                token -= 1
            token -= 1
    return total


# A sum over paths exceeds the range of a float64: e^-700 within a second is nothing unusual. Sums
# of logarithms would work, but each costs an exponential and a logarithm. The kernels below keep a
# number as (fraction, power), which is fraction * 2^(512 * power): as exact as a float64, and
# nearly as fast. Fractions are 0 or about 2^-256 to 2^256, so the product of two does not overflow.
_BASE = 2.0**512
_LOG_BASE = 512 * math.log(2.0)
_SMALL, _LARGE = 2.0**-256, 2.0**256
_ZERO_POWER = -(2**60)
"""The power of the number 0: below all others, and far from overflow when several are added."""


@compiled
def _exp(value: float) -> tuple[float, int]:
    """Return e^value."""
    if value < _NOTHING:
        return 0.0, _ZERO_POWER
    power = math.floor(value / _LOG_BASE + 0.5)
    return math.exp(value - power * _LOG_BASE), power


@compiled
def _times(a: float, a_power: int, b: float, b_power: int) -> tuple[float, int]:
    """Return the product of two numbers."""
    product, power = a * b, a_power + b_power
    if product < _SMALL:
        if product == 0.0:
            return 0.0, _ZERO_POWER
        return product * _BASE, power - 1
    if product > _LARGE:
        return product / _BASE, power + 1
    return product, power


@compiled
def _plus(a: float, a_power: int, b: float, b_power: int) -> tuple[float, int]:
    """Return the sum of two numbers."""
    if a_power == b_power:
        return a + b, a_power
    if a_power < b_power:
        a, a_power, b, b_power = b, b_power, a, a_power
    # Two powers below, the smaller one does not reach the last bit of the larger.
    return (a + b / _BASE if a_power == b_power + 1 else a), a_power


@compiled
def _sum_paths(
    scores: np.ndarray,
    columns: np.ndarray,
    optional: np.ndarray,
    entry: np.ndarray,
    posteriors: np.ndarray,
) -> float:
    """Add the posteriors (T, K); return the log of the sum over all paths, or -inf."""
    frames, tokens = len(scores), len(columns)
    # Scores become probabilities relative to the largest of their frame.
    enter, enter_powers = np.empty(tokens), np.empty(tokens, np.int64)
    for j in range(tokens):
        enter[j], enter_powers[j] = _exp(entry[j])
    emissions, powers = np.empty(scores.shape), np.empty(scores.shape, np.int64)
    log_scale = 0.0
    for t in range(frames):
        top = scores[t].max()
        if top == _NEVER:
            return _NEVER
        log_scale += top
        for k in range(scores.shape[1]):
            emissions[t, k], powers[t, k] = _exp(scores[t, k] - top)

    # Forward: the sum over all paths up to each frame and token.
    sums = np.zeros((frames, tokens))
    sum_powers = np.full((frames, tokens), _ZERO_POWER, np.int64)
    for j in range(tokens):
        k = columns[j]
        sums[0, j], sum_powers[0, j] = _times(
            enter[j], enter_powers[j], emissions[0, k], powers[0, k]
        )
        if not optional[j]:
            break
    for t in range(1, frames):
        before, before_powers, now, now_powers = (
            sums[t - 1],
            sum_powers[t - 1],
            sums[t],
            sum_powers[t],
        )
        # The sum, one frame earlier, over those tokens that j may follow.
        arrive, arrive_power = 0.0, _ZERO_POWER
        for j in range(tokens):
            stay, stay_power = before[j], before_powers[j]
            a, p = _times(arrive, arrive_power, enter[j], enter_powers[j])
            a, p = _plus(a, p, stay, stay_power)
            k = columns[j]
            now[j], now_powers[j] = _times(a, p, emissions[t, k], powers[t, k])
            if optional[j]:
                arrive, arrive_power = _plus(arrive, arrive_power, stay, stay_power)
            else:
                arrive, arrive_power = stay, stay_power

    # Backward: `rest` is the sum over all continuations from each token.
    rest, rest_powers = np.zeros(tokens), np.full(tokens, _ZERO_POWER, np.int64)
    total, total_power = 0.0, _ZERO_POWER
    for j in range(tokens - 1, -1, -1):
        rest[j], rest_powers[j] = 1.0, 0
        total, total_power = _plus(total, total_power, sums[-1, j], sum_powers[-1, j])
        if not optional[j]:
            break
    if total == 0.0:
        return _NEVER
    for t in range(frames - 1, -1, -1):
        if t + 1 < frames:
            # The mirror image: staying in j, or leaving for one of the tokens that may follow.
            leave, leave_power = 0.0, _ZERO_POWER
            for j in range(tokens - 1, -1, -1):
                k = columns[j]
                a, p = _times(rest[j], rest_powers[j], emissions[t + 1, k], powers[t + 1, k])
                rest[j], rest_powers[j] = _plus(a, p, leave, leave_power)
                a, p = _times(a, p, enter[j], enter_powers[j])
                if optional[j]:
                    a, p = _plus(a, p, leave, leave_power)
                leave, leave_power = a, p
        for j in range(tokens):
            power = sum_powers[t, j] + rest_powers[j] - total_power
            if -1 <= power <= 1:
                share = sums[t, j] * rest[j] / total
                if power != 0:
                    share = share * _BASE if power == 1 else share / _BASE
                posteriors[t, columns[j]] += share
    return log_scale + math.log(total) + total_power * _LOG_BASE
