"""What a share of a step holds, counted where its batches are made, before a GPU gets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ns2.model.tts.batch import Batch, Counts


class Tally(NamedTuple):
    """Counts of some batches, or of those of all processes together."""

    frames: float = 0
    """Frames of the targets."""

    tokens: float = 0
    """Phonemes of the targets."""

    voiced: float = 0
    """Voiced frames of the targets."""

    utterances: float = 0
    """Utterances."""

    work: float = 0
    """Frames of targets and prompts."""

    computed: float = 0
    """Frames of targets and prompts that are computed, with padding."""

    def counts(self, device: torch.device) -> Counts:
        """The denominators of the losses, at least 1; nothing waits for the device."""
        frames, tokens, voiced, utterances = (
            torch.full((), float(max(1, value)), device=device) for value in self[:4]
        )
        return Counts(frames=frames, tokens=tokens, voiced=voiced, utterances=utterances)


def tally(batches: Sequence[Batch]) -> Tally:
    """Count batches, which lie on the CPU."""
    return Tally(
        frames=sum(int(one.frames.sum()) for one in batches),
        tokens=sum(int(one.tokens.sum()) for one in batches),
        voiced=sum(int(((one.f0 > 0) & one.frame_mask).sum()) for one in batches),
        utterances=sum(len(one) for one in batches),
        work=sum(one.work for one in batches),
        computed=sum(one.computed for one in batches),
    )
