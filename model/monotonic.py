"""Monotonic alignments of frames to tokens: their sum (for training) and the best one.

A path gives each frame to one token, from left to right. Mandatory tokens get at least one
frame; optional ones (silence, word borders, punctuation) may be skipped, any number in a row.

Letters for shapes: B batch, T frames, N tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def monotonic_search(
    log_probs: np.ndarray, optional: np.ndarray, entry: np.ndarray | None = None
) -> np.ndarray:
    """The path with the largest sum of log-probabilities (Viterbi).

    Works on log-probabilities, in float64; of equal paths it takes the one that is in its last
    token longest, and so on backwards, skipping fewest. Memory is one float64 (T, N) array.

    Args:
        log_probs: (T, N) score of each frame under each token; -inf forbids.
        optional: (N,) bool, tokens that may last 0 frames.
        entry: (N,) added once for each token that lasts at least a frame; zeros if None.

    Returns:
        (N,) int64 durations in frames: they sum to T, mandatory tokens have at least 1.

    Raises:
        NoPathError: no path has a finite score; a ValueError.
        ValueError: the shapes don't fit, or a score is NaN or +inf.
    """
    optional = np.asarray(optional, bool)
    if entry is None:
        entry = np.zeros(optional.shape)
    shape = log_probs.shape
    if len(shape) != 2 or not {optional.shape, entry.shape} == {shape[1:]} or not log_probs.size:
        raise ValueError(
            f"expected log_probs (T, N), optional and entry (N,), none of them empty, "
            f"got {shape}, {optional.shape} and {entry.shape}"
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
    penalty[1:] += entry
    can_start = np.concatenate([[True], np.logical_and.accumulate(optional)[:-1]])
    can_end = np.concatenate([np.logical_and.accumulate(optional[:0:-1])[::-1], [True]])

    # before[reach + j] is the score of token j one frame earlier; steps[r, j] = before[j - r].
    before = np.full(reach + tokens, _NEVER)
    steps = np.lib.stride_tricks.sliding_window_view(before, tokens)[::-1]
    arrivals = np.empty_like(penalty)
    best = np.empty(tokens)
    now = before[reach:]
    scores[0] += np.where(can_start, entry, _NEVER)
    now[:] = scores[0]
    for score in scores[1:]:
        np.add(steps, penalty, out=arrivals)
        np.maximum.reduce(arrivals, axis=0, out=best)
        np.add(score, best, out=score)
        now[:] = score
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


@dataclass(frozen=True)
class _Lattice:
    """What the forward and the backward pass share; all tensors float64."""

    emissions: Tensor  # (T, B, N), -inf in padding
    skip: Tensor  # (B, N): 0 where a token may be skipped, else -inf
    starts: Tensor  # (B, N): 0 where a path may start, else -inf
    ends: Tensor  # (B, N): 0 where a path may end, else -inf
    entry: Tensor  # (B, N)
    frames: Tensor  # (B,)
    run: int  # longest run of optional tokens


def _lattice(
    log_probs: Tensor, optional: Tensor, frames: Tensor, tokens: Tensor, entry: Tensor | None
) -> _Lattice:
    real = torch.arange(log_probs.shape[2]) < tokens[:, None]
    emissions = log_probs.detach().double().masked_fill(~real[:, None], _NEVER)
    before, after = torch.ones_like(optional), torch.ones_like(optional)
    before[:, 1:] = optional[:, :-1].int().cummin(1).values.bool()
    skippable = (optional | ~real)[:, 1:].flip(1)
    after[:, :-1] = skippable.int().cummin(1).values.flip(1).bool()
    zeros = torch.zeros(optional.shape, dtype=torch.float64)
    return _Lattice(
        emissions=emissions.transpose(0, 1).contiguous(),
        skip=zeros.masked_fill(~optional, _NEVER),
        starts=zeros.masked_fill(~before, _NEVER),
        ends=zeros.masked_fill(~after, _NEVER),
        entry=zeros if entry is None else entry.double(),
        frames=frames,
        run=longest_run((optional & real).numpy()),
    )


def _forward(lattice: _Lattice) -> tuple[Tensor, Tensor]:
    """Sums of all paths up to each frame and token, (T, B, N), and of whole paths, (B,)."""
    entry, skip = lattice.entry, lattice.skip[:, :-1]
    alpha = torch.empty_like(lattice.emissions)
    alpha[0] = lattice.emissions[0] + entry + lattice.starts
    moved = torch.full_like(entry, _NEVER)
    for t in range(1, len(alpha)):
        # moved[j]: the part of the sum that arrives from the token 1, 2, ... before j.
        moved[:, 1:] = alpha[t - 1, :, :-1]
        moved[:, 0] = _NEVER
        arrived = moved.clone()
        for _ in range(lattice.run):
            moved[:, 1:] = moved[:, :-1] + skip
            torch.logaddexp(arrived, moved, out=arrived)
        torch.logaddexp(alpha[t - 1], arrived.add_(entry), out=alpha[t])
        alpha[t] += lattice.emissions[t]
    final = alpha[lattice.frames - 1, torch.arange(len(entry))] + lattice.ends
    return alpha, torch.logsumexp(final, 1)


def _backward(lattice: _Lattice, alpha: Tensor, log_sum: Tensor) -> Tensor:
    """Posterior probability of each token at each frame, (T, B, N)."""
    entry, skip = lattice.entry[:, 1:], lattice.skip[:, 1:]
    posterior = torch.empty_like(alpha)
    beta = torch.full_like(lattice.entry, _NEVER)
    moved = torch.full_like(lattice.entry, _NEVER)
    for t in range(len(alpha) - 1, -1, -1):
        if t + 1 < len(alpha):
            # The mirror image: `moved` leaves for the token 1, 2, ... after j.
            beta += lattice.emissions[t + 1]
            torch.add(beta[:, 1:], entry, out=moved[:, :-1])
            moved[:, -1] = _NEVER
            torch.logaddexp(beta, moved, out=beta)
            for _ in range(lattice.run):
                moved[:, :-1] = moved[:, 1:] + skip
                torch.logaddexp(beta, moved, out=beta)
        finishing = lattice.frames - 1 == t
        if finishing.any():
            beta[finishing] = lattice.ends[finishing]
        torch.add(alpha[t], beta, out=posterior[t])
    posterior.sub_(log_sum[:, None]).exp_()
    posterior[torch.arange(len(alpha))[:, None] >= lattice.frames] = 0.0
    return posterior


class _ForwardSum(torch.autograd.Function):
    """Log of the sum of all paths' probabilities, with the exact gradient (forward-backward)."""

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, *rest: Tensor) -> Tensor:
        lattice = _lattice(log_probs, *rest)
        alpha, log_sum = _forward(lattice)
        ctx.lattice, ctx.alpha, ctx.log_sum = lattice, alpha, log_sum
        return log_sum.to(log_probs.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        posterior = _backward(ctx.lattice, ctx.alpha, ctx.log_sum).transpose(0, 1)
        gradient = posterior * grads[0].double()[:, None, None]
        return gradient.to(grads[0].dtype), None, None, None, None


def path_posteriors(
    log_probs: Tensor,
    optional: Tensor,
    frames: Tensor,
    tokens: Tensor,
    entry: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`forward_sum` and its gradient in one call, without autograd.

    Returns:
        (B,) float64 log of the sum of all paths, and (B, T, N) float64 posterior probability that
        frame t belongs to token n, 0 in padding.

    Raises:
        NoPathError: naming the rows that have no path.
    """
    lattice = _lattice(log_probs, optional, frames, tokens, entry)
    alpha, log_sum = _forward(lattice)
    _check_paths(log_sum)
    return log_sum, _backward(lattice, alpha, log_sum).transpose(0, 1)


def _check_paths(log_sum: Tensor) -> None:
    if not torch.isfinite(log_sum).all():
        rows = torch.nonzero(~torch.isfinite(log_sum)).flatten().tolist()
        raise NoPathError(f"no path in rows {rows}: more mandatory tokens than frames?")


def forward_sum(
    log_probs: Tensor,
    optional: Tensor,
    frames: Tensor,
    tokens: Tensor,
    entry: Tensor | None = None,
) -> Tensor:
    """Log of the summed probability of all monotonic paths, computed in float64 on the CPU.

    Its gradient is exact: the posterior probability that frame t belongs to token n.

    Args:
        log_probs: (B, T, N); padding may hold anything but NaN.
        optional: (B, N) bool, tokens that may last 0 frames.
        frames: (B,) int64 frames of each utterance, at most T.
        tokens: (B,) int64 tokens of each utterance, at most N.
        entry: (B, N) log-weight of each token that lasts at least a frame; zeros if None. It
            gets no gradient.

    Returns:
        (B,) in the dtype of `log_probs`.

    Raises:
        NoPathError: naming the rows that have no path.
    """
    log_sum = _ForwardSum.apply(log_probs, optional, frames, tokens, entry)
    _check_paths(log_sum)
    return log_sum


def forward_sum_loss(
    log_probs: Tensor,
    optional: Tensor,
    frames: Tensor,
    tokens: Tensor,
    entry: Tensor | None = None,
) -> Tensor:
    """Minus `forward_sum` a frame, averaged over all frames of the batch: a scalar.

    The forward-sum loss of Badlani et al. 2021, "One TTS alignment to rule them all", with
    optional tokens; see `forward_sum` for the arguments and errors.
    """
    return -forward_sum(log_probs, optional, frames, tokens, entry).sum() / frames.sum()
