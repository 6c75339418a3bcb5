"""Monotonic alignments of frames to tokens: their sum (for training) and the best one.

A path gives each frame to one token, from left to right. Mandatory tokens get at least one
frame; optional ones (silence, word borders, punctuation) may be skipped, any number in a row.

Letters for shapes: B batch, T frames, N tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_NEVER = float("-inf")


class NoPathError(ValueError):
    """There is no path: more mandatory tokens than frames, or every path has probability 0."""


def longest_run(optional: np.ndarray) -> int:
    """Length of the longest run of optional tokens in (..., N) booleans."""
    flat = np.pad(optional.reshape(-1, optional.shape[-1]).astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(flat.ravel())
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return int((ends - starts).max()) if len(starts) else 0


def monotonic_search(log_probs: np.ndarray, optional: np.ndarray) -> np.ndarray:
    """The path with the largest sum of log-probabilities (Viterbi).

    Works on log-probabilities, in float64; of equal paths it takes the one that leaves a token
    last, and skips fewest tokens when it does. Memory is one float64 (T, N) array.

    Args:
        log_probs: (T, N) score of each frame under each token; -inf forbids.
        optional: (N,) bool, tokens that may last 0 frames.

    Returns:
        (N,) int64 durations in frames: they sum to T, mandatory tokens have at least 1.

    Raises:
        NoPathError: no path has a finite score; a ValueError.
        ValueError: the shapes don't fit, or a score is NaN or +inf.
    """
    optional = np.asarray(optional, bool)
    if log_probs.ndim != 2 or optional.shape != log_probs.shape[1:] or not log_probs.size:
        raise ValueError(
            f"expected log_probs (T, N) and optional (N,), none of them empty, "
            f"got {log_probs.shape} and {optional.shape}"
        )
    scores = np.array(log_probs, np.float64, order="C")
    if not (scores < np.inf).all():
        raise ValueError("log_probs hold NaN or +inf")
    frames, tokens = scores.shape
    # A frame's token is at most `reach` tokens after the frame before's. penalty[r, j] is 0 where
    # the step from token j - r to token j skips optional tokens only.
    reach = longest_run(optional) + 1
    penalty = np.full((reach + 1, tokens), _NEVER)
    penalty[:2] = 0.0
    for r in range(2, reach + 1):
        penalty[r, r:] = np.where(optional[r - 1 : -1], penalty[r - 1, r - 1 : -1], _NEVER)
    can_start = np.concatenate([[True], np.logical_and.accumulate(optional)[:-1]])
    can_end = np.concatenate([np.logical_and.accumulate(optional[:0:-1])[::-1], [True]])

    # before[reach + j] is the score of token j one frame earlier; steps[r, j] = before[j - r].
    before = np.full(reach + tokens, _NEVER)
    steps = np.lib.stride_tricks.sliding_window_view(before, tokens)[::-1]
    arrivals = np.empty_like(penalty)
    best = np.empty(tokens)
    scores[0, ~can_start] = _NEVER
    for t in range(1, frames):
        before[reach:] = scores[t - 1]
        np.add(steps, penalty, out=arrivals)
        np.max(arrivals, axis=0, out=best)
        scores[t] += best
    ends = np.where(can_end, scores[-1], _NEVER)
    token = int(tokens - 1 - np.argmax(ends[::-1]))
    if ends[token] == _NEVER:
        raise NoPathError(
            f"no path of {frames} frames through {tokens} tokens, "
            f"{int((~optional).sum())} of which need a frame"
        )
    return _trace(scores, penalty, token)


def _trace(scores: np.ndarray, penalty: np.ndarray, token: int) -> np.ndarray:
    """Durations of the path that ends in `token`, from the best scores of every (frame, token)."""
    frames, tokens = scores.shape
    durations = np.zeros(tokens, np.int64)
    last = frames - 1  # the last frame of `token`
    while True:
        reach = min(token, len(penalty) - 1)
        # Best score of an arrival from another token, for every frame up to `last`.
        sources = scores[:last, token - reach : token][:, ::-1] + penalty[1 : reach + 1, token]
        if reach == 0 or last == 0:
            durations[token] = last + 1
            return durations
        moved = np.flatnonzero(sources.max(axis=1) > scores[:last, token])
        if not len(moved):
            durations[token] = last + 1
            return durations
        first = int(moved[-1]) + 1
        durations[token] = last - first + 1
        last = first - 1
        token -= 1 + int(np.argmax(sources[last]))


class _ForwardSum(torch.autograd.Function):
    """Log of the sum of all paths' probabilities, with the exact gradient (forward-backward)."""

    @staticmethod
    def forward(
        ctx: Any, log_probs: Tensor, optional: Tensor, frames: Tensor, tokens: Tensor
    ) -> Tensor:
        batch, longest, width = log_probs.shape
        index = torch.arange(width)
        real = index < tokens[:, None]  # (B, N)
        emissions = log_probs.detach().double().masked_fill(~real[:, None], _NEVER)
        emissions = emissions.transpose(0, 1).contiguous()  # (T, B, N)
        run = longest_run((optional & real).numpy())
        skip = torch.zeros(batch, width, dtype=torch.float64).masked_fill(~optional, _NEVER)

        skippable = optional | ~real
        can_start = torch.ones(batch, width, dtype=torch.bool)
        can_start[:, 1:] = torch.cummin(optional[:, :-1].int(), 1).values.bool()
        can_end = torch.ones(batch, width, dtype=torch.bool)
        can_end[:, :-1] = torch.cummin(skippable[:, 1:].flip(1).int(), 1).values.flip(1).bool()
        last = torch.zeros(batch, width, dtype=torch.float64).masked_fill(~can_end, _NEVER)

        alpha = torch.empty_like(emissions)
        alpha[0] = emissions[0].masked_fill(~can_start, _NEVER)
        moved = torch.full((batch, width), _NEVER, dtype=torch.float64)
        for t in range(1, longest):
            total = alpha[t]
            total.copy_(alpha[t - 1])
            # moved[j]: the part of the sum that arrives from the token 1, 2, ... before j.
            moved[:, 1:] = alpha[t - 1, :, :-1]
            torch.logaddexp(total, moved, out=total)
            for _ in range(run):
                moved[:, 1:] = moved[:, :-1] + skip[:, :-1]
                moved[:, 0] = _NEVER
                torch.logaddexp(total, moved, out=total)
            total += emissions[t]
        final = alpha[frames - 1, torch.arange(batch)] + last
        log_sum = torch.logsumexp(final, 1)
        ctx.save_for_backward(alpha, emissions, skip, last, log_sum, frames)
        ctx.run, ctx.dtype = run, log_probs.dtype
        return log_sum.to(log_probs.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        alpha, emissions, skip, last, log_sum, frames = ctx.saved_tensors
        longest, batch, width = alpha.shape
        posterior = torch.empty_like(alpha)
        beta = torch.full((batch, width), _NEVER, dtype=torch.float64)
        moved = torch.full((batch, width), _NEVER, dtype=torch.float64)
        for t in range(longest - 1, -1, -1):
            if t + 1 < longest:
                # The mirror image: `moved` leaves to the token 1, 2, ... after j.
                ahead = beta + emissions[t + 1]
                beta = ahead.clone()
                moved[:, :-1] = ahead[:, 1:]
                moved[:, -1] = _NEVER
                torch.logaddexp(beta, moved, out=beta)
                for _ in range(ctx.run):
                    moved[:, :-1] = moved[:, 1:] + skip[:, 1:]
                    moved[:, -1] = _NEVER
                    torch.logaddexp(beta, moved, out=beta)
            beta = torch.where((frames - 1 == t)[:, None], last, beta)
            posterior[t] = alpha[t] + beta
        posterior = (posterior - log_sum[:, None]).exp_()
        posterior[torch.arange(longest)[:, None] >= frames] = 0.0
        gradient = posterior.transpose(0, 1) * grads[0].double()[:, None, None]
        return gradient.to(ctx.dtype), None, None, None


def forward_sum(log_probs: Tensor, optional: Tensor, frames: Tensor, tokens: Tensor) -> Tensor:
    """Log of the summed probability of all monotonic paths, computed in float64 on the CPU.

    Its gradient is exact: the posterior probability that frame t belongs to token n.

    Args:
        log_probs: (B, T, N); padding may hold anything but NaN.
        optional: (B, N) bool, tokens that may last 0 frames.
        frames: (B,) int64 frames of each utterance, at most T.
        tokens: (B,) int64 tokens of each utterance, at most N.

    Returns:
        (B,) in the dtype of `log_probs`.

    Raises:
        NoPathError: naming the rows that have no path.
    """
    log_sum = _ForwardSum.apply(log_probs, optional, frames, tokens)
    if not torch.isfinite(log_sum).all():
        rows = torch.nonzero(~torch.isfinite(log_sum)).flatten().tolist()
        raise NoPathError(f"no path in rows {rows}: more mandatory tokens than frames?")
    return log_sum


def forward_sum_loss(
    log_probs: Tensor, optional: Tensor, frames: Tensor, tokens: Tensor
) -> Tensor:
    """Minus the log of `forward_sum` a frame, averaged over all frames of the batch: a scalar.

    The forward-sum loss of Badlani et al. 2021, "One TTS alignment to rule them all", with
    optional tokens; see `forward_sum` for the arguments and errors.
    """
    return -forward_sum(log_probs, optional, frames, tokens).sum() / frames.sum()
