"""Durations: rounding without drift, and the expansion of phonemes to frames.

Letters for shapes: B batch, N phonemes, T frames, C width.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LONGEST = 12.0
"""The largest log(1 + d), so that an untrained predictor cannot exhaust memory."""


def round_durations(
    log_durations: Tensor, mask: Tensor, *, speed: float = 1.0, longest: int = 1500
) -> Tensor:
    """Round predicted durations to whole frames.

    The running sum is rounded, so errors do not accumulate: the total differs from the sum of the
    real-valued durations by less than a frame, at any speed.

    Args:
        log_durations: (B, N) log(1 + d) of durations d in frames.
        mask: (B, N) bool.
        speed: the factor of the speaking rate; 2 is twice as fast.
        longest: the most frames of a phoneme, before the speed is applied.

    Returns:
        (B, N) int64, zeros outside of the mask; at least 1 frame per utterance.

    Raises:
        ValueError: the speed is not above 0.
    """
    if not speed > 0:
        raise ValueError(f"speed must be above 0, got {speed}")
    frames = torch.expm1(log_durations.double().clamp(0, _LONGEST)).clamp(max=longest)
    ends = (frames / speed * mask).cumsum(1)
    # An utterance whose durations all round to 0 gets one frame.
    ends = torch.where((ends[:, -1:] < 0.5) & mask, ends + 0.5, ends)
    ends = (ends + 0.5).floor().long()
    return ends.diff(dim=1, prepend=torch.zeros_like(ends[:, :1])) * mask


def phoneme_of_frame(durations: Tensor, frames: int) -> Tensor:
    """Return the index of the phoneme that each frame belongs to.

    Frames behind an utterance's end get its last phoneme; a mask has to hide them.

    Args:
        durations: (B, N) frames of each phoneme.
        frames: T, the number of frames.

    Returns:
        (B, T) int64.
    """
    ends = durations.long().cumsum(1)
    places = torch.arange(frames, device=durations.device).expand(len(durations), -1)
    found = torch.searchsorted(ends, places.contiguous(), right=True)
    return found.clamp(max=durations.shape[1] - 1)


def expand_to_frames(states: Tensor, durations: Tensor, frames: int) -> Tensor:
    """Repeat the states of phonemes (B, N, C) for their durations (B, N): (B, frames, C)."""
    chosen = phoneme_of_frame(durations, frames)
    return states.gather(1, chosen[..., None].expand(-1, -1, states.shape[-1]))
