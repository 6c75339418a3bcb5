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
    for frame in range(len(centres)):
        begin = centres[frame] - (span + 1) // 2
        sums[0] = squares[0] = 0.0
        for i in range(span):
            value = signal[begin + i]
            sums[i + 1] = sums[i] + value
            squares[i + 1] = squares[i] + value * value
        for j in range(lags):
            lag = first + j
            early = centres[frame] - (window + lag) // 2
            product = 0.0
            for i in range(window):
                product += signal[early + i] * signal[early + lag + i]
            a = early - begin
            b = a + lag
            mean_a, mean_b = sums[a + window] - sums[a], sums[b + window] - sums[b]
            power_a = squares[a + window] - squares[a] - mean_a * mean_a / window
            power_b = squares[b + window] - squares[b] - mean_b * mean_b / window
            if power_a > 1e-12 and power_b > 1e-12:
                both = product - mean_a * mean_b / window
                out[frame, j] = min(1.0, max(-1.0, both / np.sqrt(power_a * power_b)))


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
