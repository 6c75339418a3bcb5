"""The loops of the pitch path, compiled by numba.

Shapes: S samples, T frames, L lags, K candidates; state K of a frame is "unvoiced".
"""

from __future__ import annotations

import numpy as np

from ns2.model.aligner.kernels import compiled


@compiled
def correlate(
    signal: np.ndarray, centres: np.ndarray, first: int, window: int, out: np.ndarray
) -> None:
    """Pearson's r of two stretches of a window that lie a lag apart about each centre.

    Args:
        signal: (S,) float64, with a margin of the window and the longest lag at both ends.
        centres: (T,) int64 samples.
        first: the shortest lag; the longest is `first` + L - 1.
        window: the length of a stretch, in samples.
        out: (T, L) float64, is filled; 0 where either stretch is flat.
    """
    lags = out.shape[1]
    span = window + first + lags
    sums, squares = np.empty(span + 1), np.empty(span + 1)
    products, backwards = np.empty(lags), np.empty(window + lags)
    for frame in range(len(centres)):
        begin = centres[frame] - (span + 1) // 2
        sums[0] = squares[0] = 0.0
        for i in range(span):
            value = signal[begin + i]
            sums[i + 1] = sums[i] + value
            squares[i + 1] = squares[i] + value * value
        # Every second lag begins one sample earlier and ends one later, so that one step of many
        # sums reads neighbours; each sum is added up in its own order.
        for odd in range(min(2, lags)):
            count = (lags - odd + 1) // 2
            early = centres[frame] - (window + first + odd) // 2
            late = early + first + odd
            for k in range(window + count - 1):
                backwards[k] = signal[early + window - 1 - k]
            some = products[odd * ((lags + 1) // 2) :][:count]
            some[:] = 0.0
            for i in range(window):
                before, after = backwards[window - 1 - i :], signal[late + i :]
                for m in range(count):
                    some[m] += before[m] * after[m]
        for j in range(lags):
            lag = first + j
            product = products[(j % 2) * ((lags + 1) // 2) + j // 2]
            a = centres[frame] - (window + lag) // 2 - begin
            b = a + lag
            mean_a, mean_b = sums[a + window] - sums[a], sums[b + window] - sums[b]
            power_a = squares[a + window] - squares[a] - mean_a * mean_a / window
            power_b = squares[b + window] - squares[b] - mean_b * mean_b / window
            if power_a > 1e-12 and power_b > 1e-12:
                both = product - mean_a * mean_b / window
                out[frame, j] = min(1.0, max(-1.0, both / np.sqrt(power_a * power_b)))


@compiled
def interpolate(at: np.ndarray, lags: np.ndarray, first: int, out: np.ndarray) -> None:
    """Correlations at lags that need not be whole.

    Args:
        at: (T, L) float64, correlations by frame and lag.
        lags: (T, K) float64.
        first: the first lag of `at`.
        out: (T, K) float64, is filled; 0 at lags out of range.
    """
    last = at.shape[1] - 1
    for t in range(lags.shape[0]):
        for k in range(lags.shape[1]):
            place = lags[t, k] - first
            if 0 <= place <= last:
                whole = min(int(place), last - 1)
                below, part = at[t, whole], min(place - whole, 1.0)
                out[t, k] = below + part * (at[t, whole + 1] - below)
            else:
                out[t, k] = 0.0


@compiled
def best_fraction(
    at: np.ndarray, lags: np.ndarray, first: int, least: int, parts: np.ndarray, out: np.ndarray
) -> None:
    """The best correlations at fractions of lags.

    Args:
        at: (T, L) float64, correlations by frame and lag.
        lags: (T, K) float64.
        first: the first lag of `at`.
        least: shorter fractions do not count.
        parts: (P,) float64, the fractions.
        out: (T, K) float64, is filled; -1 where all are too short.
    """
    last = at.shape[1] - 1
    out[:] = -1.0
    for t in range(lags.shape[0]):
        for k in range(lags.shape[1]):
            for part in parts:
                lag = lags[t, k] * part
                place, found = lag - first, 0.0
                if lag < least:
                    continue
                if 0 <= place <= last:
                    whole = min(int(place), last - 1)
                    below, rest = at[t, whole], min(place - whole, 1.0)
                    found = below + rest * (at[t, whole + 1] - below)
                out[t, k] = max(out[t, k], found)


@compiled
def best_path(
    octaves: np.ndarray,
    scores: np.ndarray,
    slope: float,
    most: float,
    ends: float,
    begins: float,
    path: np.ndarray,
) -> None:
    """The path over frames with the greatest sum of scores less costs of change (Viterbi, 1967).

    Args:
        octaves: (T, K) float64, log2 of the candidates' F0.
        scores: (T, K) float64 of the candidates, -inf where there is none; "unvoiced" scores 0.
        slope: the cost of a change of an octave.
        most: the greatest cost of a change.
        ends: the cost of a step from voiced to unvoiced.
        begins: the cost of a step from unvoiced to voiced.
        path: (T,) int64, is filled with states, K where unvoiced.
    """
    frames, count = scores.shape
    came = np.zeros((frames, count + 1), np.int8)
    total, before = np.zeros(count + 1), np.zeros(count + 1)
    for t in range(frames):
        for state in range(count + 1):
            score = 0.0 if state == count else scores[t, state]
            best, origin = -np.inf, count
            if t == 0:
                best = 0.0
            else:
                for other in range(count + 1):
                    cost = 0.0
                    if other == count and state < count:
                        cost = begins
                    elif other < count and state == count:
                        cost = ends
                    elif state < count:
                        cost = min(most, slope * abs(octaves[t, state] - octaves[t - 1, other]))
                    if before[other] - cost > best:
                        best, origin = before[other] - cost, other
            total[state] = best + score
            came[t, state] = origin
        before[:] = total
    state = int(np.argmax(before))
    for t in range(frames - 1, -1, -1):
        path[t] = state
        state = came[t, state]
