"""A share of a step, and what it holds, counted where its batches are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ns2.model.tts.batch import Batch, Counts
from ns2.model.tts.draws import Draws


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


@dataclass(frozen=True)
class Share:
    """The share that this process has of a step.

    Attributes:
        parts: batches and their random numbers; more than one with gradient accumulation.
        numbers: of the utterances of each of them, in the data.
        sent: where they are on their way to a GPU, the event of their arrival.
        tally: what they hold; None where they lie on the CPU, and are counted when that is asked.
    """

    parts: tuple[tuple[Batch, Draws], ...]
    numbers: tuple[Tensor, ...] = ()
    sent: torch.cuda.Event | None = None
    tally: Tally | None = None

    @property
    def counted(self) -> Tally:
        """What it holds."""
        return tally([batch for batch, _ in self.parts]) if self.tally is None else self.tally

    def send(self, stream: torch.cuda.Stream) -> Share:
        """The share on a stream's GPU; it arrives while the GPU does other work."""
        with torch.cuda.stream(stream):
            parts = tuple(
                (batch.pin_memory().to(stream.device), draws.pin_memory().to(stream.device))
                for batch, draws in self.parts
            )
            numbers = tuple(n.pin_memory().to(stream.device) for n in self.numbers)
            return Share(parts, numbers, stream.record_event(), self.counted)

    def receive(self) -> None:
        """Have the GPU's work from here on wait for the arrival; this process goes on."""
        if self.sent is None:
            return
        stream = torch.cuda.current_stream()
        stream.wait_event(self.sent)
        tensors = [t for part in self.parts for one in part for t in one.tensors()]
        for tensor in (*tensors, *self.numbers):
            tensor.record_stream(stream)  # or its memory were free for the next share too soon
