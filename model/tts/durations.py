"""Durations at work: rounded without drift, and used to spread phonemes over frames.

Letters for shapes: B batch, N phonemes, T frames, C width.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LONGEST = 12.0
"""Of log(1 + d): what an untrained predictor says can't take all memory."""


def round_durations(
    log_durations: Tensor, mask: Tensor, *, speed: float = 1.0, longest: int = 1500
) -> Tensor:
    """Whole frames from predicted log(1 + d).

    Their running sum is what is rounded, so errors do not add up: the total differs from the sum
    of the real-valued durations by less than a frame, at any speed.

    Args:
        log_durations: (B, N).
        mask: (B, N).
        speed: 2 is twice as fast.
        longest: frames that no phoneme exceeds before the speed is applied.

    Returns:
        (B, N) int64, zeros outside of the mask, in all at least 1 an utterance.

    Raises:
        ValueError: the speed is not above 0.
    """
    if not speed > 0:
        raise ValueError(f"speed has to be above 0, got {speed}")
    frames = torch.expm1(log_durations.double().clamp(0, _LONGEST)).clamp(max=longest)
    ends = (frames / speed * mask).cumsum(1)
    # an utterance of nothing would have no frame to speak in
    ends = torch.where((ends[:, -1:] < 0.5) & mask, ends + 0.5, ends)
    ends = (ends + 0.5).floor().long()
    return ends.diff(dim=1, prepend=torch.zeros_like(ends[:, :1])) * mask


def phoneme_of_frame(durations: Tensor, frames: int) -> Tensor:
    """Which phoneme each frame belongs to: (B, frames) int64.

    Frames behind an utterance's end get its last phoneme; a mask has to hide them.

    Args:
        durations: (B, N), frames.
    """
    ends = durations.long().cumsum(1)
    places = torch.arange(frames, device=durations.device).expand(len(durations), -1)
    found = torch.searchsorted(ends, places.contiguous(), right=True)
    return found.clamp(max=durations.shape[1] - 1)


def spread(states: Tensor, durations: Tensor, frames: int) -> Tensor:
    """States of phonemes (B, N, C), each repeated for its frames: (B, frames, C)."""
    chosen = phoneme_of_frame(durations, frames)
    return states.gather(1, chosen[..., None].expand(-1, -1, states.shape[-1]))
