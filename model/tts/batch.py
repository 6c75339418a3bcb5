"""The batch of a training step: utterances cut into target and prompt, padded to one shape.

Letters for shapes: B batch, T target frames, N target phonemes, P prompt frames, Q quantisers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ns2.model.blocks.layers import length_mask
from ns2.model.tts.prompts import PromptConfig, cut_other, cut_prompt


@dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance as it is stored, and the seed of its random numbers."""

    codes: np.ndarray
    """(Q, T) the codec's codes."""

    phonemes: np.ndarray
    """(N,) ids of its phonemes."""

    durations: np.ndarray
    """(N,) frames of each phoneme; their sum is T."""

    f0: np.ndarray
    """(T,) F0 in Hz, 0 where unvoiced."""

    seed: int
    """The seed of its prompt, time, noise and drops; it depends on the run's seed, the step and
    the utterance."""

    other: np.ndarray | None = None
    """(Q, T') codes of another utterance of the speaker, or None."""

    share: float | None = None
    """Where in the range of allowed lengths that of a prompt of its own lies, in [0, 1); None draws
    the length by the seed."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Targets and prompts of several utterances, padded."""

    codes: Tensor
    """(B, Q, T) int32: codes of the targets."""

    frames: Tensor
    """(B,) int64: frames of each target."""

    phonemes: Tensor
    """(B, N) int64: phoneme ids of the targets, 0 where padded."""

    tokens: Tensor
    """(B,) int64: phonemes of each target."""

    durations: Tensor
    """(B, N) int64: frames of each phoneme; they sum to `frames`."""

    f0: Tensor
    """(B, T) float32: F0 of the targets in Hz, 0 where unvoiced."""

    prompt_codes: Tensor
    """(B, Q, P) int32: codes of the prompts; P is at least 1."""

    prompt_frames: Tensor
    """(B,) int64: frames of each prompt; 0 where there is none."""

    seeds: Tensor
    """(B,) int64: the seed of each utterance."""

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: str | torch.device) -> Batch:
        """Copy the batch to a device; from pinned memory the copy is asynchronous."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Copy the batch to pinned memory."""
        return self._each(lambda t: t.pin_memory())

    def tensors(self) -> list[Tensor]:
        """All tensors of the batch."""
        return [getattr(self, f.name) for f in fields(self)]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})

    @property
    def work(self) -> int:
        """Frames of all targets and prompts, without padding; for a batch on the CPU."""
        return int(self.frames.sum() + self.prompt_frames.sum())

    @property
    def computed(self) -> int:
        """Frames of targets and prompts that are computed, with padding."""
        return len(self) * (self.codes.shape[2] + self.prompt_codes.shape[2])

    @property
    def frame_mask(self) -> Tensor:
        """(B, T) bool: frames of the targets."""
        return length_mask(self.frames, self.codes.shape[2])

    @property
    def token_mask(self) -> Tensor:
        """(B, N) bool: phonemes of the targets."""
        return length_mask(self.tokens, self.phonemes.shape[1])

    @property
    def prompt_mask(self) -> Tensor:
        """(B, P) bool: frames of the prompts."""
        return length_mask(self.prompt_frames, self.prompt_codes.shape[2])


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The denominators of the losses: sums over the whole step, whichever device has which part."""

    frames: Tensor
    """Frames of all targets."""

    tokens: Tensor
    """Phonemes of all targets."""

    voiced: Tensor
    """Voiced frames of all targets."""

    utterances: Tensor
    """Utterances of the step."""

    @staticmethod
    def of(batch: Batch) -> Counts:
        """Count one batch: () float32 each, at least 1."""
        voiced = ((batch.f0 > 0) & batch.frame_mask).sum()
        ones = torch.ones_like(batch.frames)
        values = (batch.frames.sum(), batch.tokens.sum(), voiced, ones.sum())
        frames, tokens, voiced, utterances = (v.float().clamp(min=1) for v in values)
        return Counts(frames=frames, tokens=tokens, voiced=voiced, utterances=utterances)


def collate(
    examples: Sequence[Example],
    border: np.ndarray,
    config: PromptConfig,
    *,
    frame_multiple: int = 1,
    token_multiple: int = 1,
    prompt_multiple: int = 1,
) -> Batch:
    """Cut utterances into target and prompt and pad them to one shape.

    Args:
        examples: the utterances.
        border: (phoneme ids,) bool, whether an id is not a phone (silence, word border, mark).
        config: the lengths of prompts.
        frame_multiple: T is rounded up to a multiple of it, so that there are fewer shapes to
            compile.
        token_multiple: likewise for N.
        prompt_multiple: likewise for P.

    Raises:
        ValueError: there are no examples, or the columns of one do not fit together.
    """
    if not examples:
        raise ValueError("a batch needs at least one example")
    parts = [_cut(example, border, config) for example in examples]
    targets = _Padded(len(parts), max(p.codes.shape[1] for p in parts), frame_multiple)
    tokens = _Padded(len(parts), max(len(p.phonemes) for p in parts), token_multiple)
    prompts = _Padded(len(parts), max(p.prompt.shape[1] for p in parts), prompt_multiple)
    return Batch(
        codes=targets([p.codes for p in parts], np.int32),
        frames=torch.tensor([p.codes.shape[1] for p in parts]),
        phonemes=tokens([p.phonemes for p in parts], np.int64),
        tokens=torch.tensor([len(p.phonemes) for p in parts]),
        durations=tokens([p.durations for p in parts], np.int64),
        f0=targets([p.f0 for p in parts], np.float32),
        prompt_codes=prompts([p.prompt for p in parts], np.int32),
        prompt_frames=torch.tensor([p.prompt.shape[1] for p in parts]),
        seeds=torch.tensor([e.seed for e in examples], dtype=torch.int64),
    )


@dataclass(frozen=True)
class _Parts:
    """One utterance, cut into a target and the codes of its prompt."""

    codes: np.ndarray
    phonemes: np.ndarray
    durations: np.ndarray
    f0: np.ndarray
    prompt: np.ndarray


def _cut(example: Example, border: np.ndarray, config: PromptConfig) -> _Parts:
    """Check one utterance and cut it into target and prompt."""
    durations = example.durations.astype(np.int64)
    frames = example.codes.shape[1]
    if int(durations.sum()) != frames or len(example.f0) != frames:
        raise ValueError(
            f"codes have {frames} frames, durations {int(durations.sum())} and f0 "
            f"{len(example.f0)}: they are not of one utterance"
        )
    if len(durations) != len(example.phonemes):
        raise ValueError(
            f"there are {len(durations)} durations for {len(example.phonemes)} phonemes"
        )
    rng = np.random.default_rng(example.seed & (1 << 63) - 1)
    run = cut_prompt(durations, border[example.phonemes], config, rng, example.share)
    if run is None:  # the utterance stays whole, and its prompt is of another one
        prompt = example.codes[:, :0]
        if example.other is not None and example.other.shape[1]:
            first, end = cut_other(example.other.shape[1], config, rng)
            prompt = example.other[:, first:end]
        return _Parts(example.codes, example.phonemes, durations, example.f0, prompt)
    # The target is what lies on both sides of the prompt, joined.
    ends = np.concatenate([[0], np.cumsum(durations)])
    kept_tokens = np.r_[0 : run[0], run[1] : len(durations)]
    start, end = int(ends[run[0]]), int(ends[run[1]])
    kept_frames = np.r_[0:start, end:frames]
    return _Parts(
        example.codes[:, kept_frames],
        example.phonemes[kept_tokens],
        durations[kept_tokens],
        example.f0[kept_frames],
        example.codes[:, start:end],
    )


class _Padded:
    """Pads arrays of several lengths with zeros and stacks them."""

    def __init__(self, count: int, longest: int, multiple: int) -> None:
        """Pad `count` arrays to the longest length, rounded up to a multiple, at least 1."""
        self._count = count
        self._size = max(1, -(-longest // multiple)) * multiple

    def __call__(self, arrays: Sequence[np.ndarray], dtype: type) -> Tensor:
        out = np.zeros((self._count, *arrays[0].shape[:-1], self._size), dtype)
        for row, array in zip(out, arrays, strict=True):
            row[..., : array.shape[-1]] = array
        return torch.from_numpy(out)
