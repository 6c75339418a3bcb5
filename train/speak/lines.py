"""Utterances to speak, how they are grouped into batches, and the speech that comes of them.

Letters for shapes: B batch, N phonemes, T frames, P prompt frames, Q quantizers, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ns2.model.tts.generation import Request
from ns2.model.tts.ns2 import Voice

_BATCH = 16
"""The most utterances in a batch."""
_LIKE = 0.6
"""The share of the longest utterance's phonemes that the shortest one of a batch has at least."""


Words = tuple[tuple[str, int, int], ...]
"""For each word how it is written, its first token, and the token behind its last."""


_ENOUGH = 1.0
"""Seconds of a voice from which on its median pitch is known better than any model predicts it:
`python -m benchmarks.short_prompts` measures both."""


class VoicePitch(NamedTuple):
    """The pitch of a voice, as far as it is known."""

    f0: float
    """The median F0 in Hz."""

    weight: float
    """How far the median pitch of speech is moved there from what is predicted, from 0 to 1."""

    @staticmethod
    def of(f0: np.ndarray, seconds: float) -> VoicePitch:
        """The pitch of a voice whose voiced frames have this F0 (K,) in Hz, K > 0.

        Args:
            seconds: what the frames last. The less voice there is, the further its median is from
                that of the voice, and the more the model is believed, up to a half.
        """
        return VoicePitch(float(np.median(f0)), 0.5 + 0.5 * min(1.0, seconds / _ENOUGH))


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The voice that a model speaks in.

    Attributes:
        codes: (Q, P).
        voiced_seconds: the time with a voice in it; None where it is not known.
        pitch: of the voice; None where it is not known.
    """

    codes: np.ndarray
    voiced_seconds: float | None = None
    pitch: VoicePitch | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """An utterance to speak.

    Attributes:
        phonemes: (N,) ids.
        seed: the seed of its noise.
        prompt: (Q, P) codes of the voice; None for a random voice.
        durations: (N,) frames of each phoneme; None predicts them.
        f0: (T,) Hz, 0 where unvoiced, T the sum of durations; None predicts it.
        voice_pitch: of the voice, which predicted pitch is brought near; None leaves it as it is
            predicted.
        words: (word as written, first token, end token) of each word, where they are known.
        rest: the pause behind it, in pauses between sentences, where another line follows.
    """

    phonemes: np.ndarray
    seed: int = 0
    prompt: np.ndarray | None = None
    durations: np.ndarray | None = None
    f0: np.ndarray | None = None
    voice_pitch: VoicePitch | None = None
    words: Words = ()
    rest: float = 1.0


def line_of(
    phonemes: np.ndarray,
    prompt: Prompt | np.ndarray | None,
    *,
    seed: int,
    words: Words = (),
    rest: float = 1.0,
) -> Line:
    """The line that speaks phonemes (N,) in a voice, or in that of codes (Q, P)."""
    codes, pitch = (prompt.codes, prompt.pitch) if isinstance(prompt, Prompt) else (prompt, None)
    return Line(
        phonemes=phonemes, seed=seed, prompt=codes, voice_pitch=pitch, words=words, rest=rest
    )


@dataclass(frozen=True, kw_only=True)
class Speech:
    """An utterance that was spoken.

    Attributes:
        wave: (S,) float32, S = T * hop length.
        sample_rate: in Hz.
        phonemes: (N,) ids.
        durations: (N,) frames of each phoneme.
        f0: (T,) Hz, the pitch that the denoiser was given, 0 where unvoiced.
        words: see `Line`.
    """

    wave: np.ndarray
    sample_rate: int
    phonemes: np.ndarray
    durations: np.ndarray
    f0: np.ndarray
    words: Words = ()

    @property
    def seconds(self) -> float:
        """The length of the audio in seconds."""
        return len(self.wave) / self.sample_rate


def joined(parts: Sequence[Speech]) -> Speech:
    """Utterances one after the other, as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    starts = np.cumsum([0, *(len(part.phonemes) for part in parts)]).tolist()
    return replace(
        first,
        wave=np.concatenate([part.wave for part in parts]),
        phonemes=np.concatenate([part.phonemes for part in parts]),
        durations=np.concatenate([part.durations for part in parts]),
        f0=np.concatenate([part.f0 for part in parts]),
        words=tuple(
            (word, first + start, end + start)
            for part, start in zip(parts, starts, strict=False)
            for word, first, end in part.words
        ),
    )


def batches(lines: Sequence[Line]) -> Iterator[list[int]]:
    """Utterances that are spoken together, by their positions in `lines`.

    Those of a batch are of like length, so that little is padded, and have durations and pitch
    given or not given alike, since a request gives them for all of its utterances or for none.
    """

    def given(i: int) -> tuple[bool, bool]:
        return lines[i].durations is not None, lines[i].f0 is not None

    def length(i: int) -> int:
        return len(lines[i].phonemes)

    # Those that are given most come first, and among them the longest.
    order = sorted(range(len(lines)), key=lambda i: (given(i), length(i), -i), reverse=True)
    batch: list[int] = []
    for i in order:
        if batch:
            longest = batch[0]
            fits = given(i) == given(longest) and length(i) >= _LIKE * length(longest)
            if not fits or len(batch) == _BATCH:
                yield batch
                batch = []
        batch.append(i)
    if batch:
        yield batch


def request_of(
    lines: Sequence[Line], device: str | torch.device, voice: Voice | None = None
) -> Request:
    """The request for a batch; arrays are padded with zeros to the longest.

    Args:
        voice: the encoded prompt of all lines (one row); None leaves encoding to the model.
    """
    phonemes = _padded([line.phonemes for line in lines], torch.int64, device)
    assert phonemes is not None
    prompt_frames = [0 if line.prompt is None else line.prompt.shape[1] for line in lines]
    return Request(
        phonemes=phonemes,
        tokens=torch.tensor([len(line.phonemes) for line in lines], device=device),
        seeds=torch.tensor([line.seed for line in lines]),
        prompt_codes=_padded([line.prompt for line in lines], torch.int32, device),
        prompt_frames=torch.tensor(prompt_frames, device=device),
        voice=None if voice is None else voice.of(len(lines)),
        durations=_padded([line.durations for line in lines], torch.int64, device),
        f0=_padded([line.f0 for line in lines], torch.float32, device),
        voice_pitch=_voice_pitch(lines),
    )


def _voice_pitch(lines: Sequence[Line]) -> Tensor | None:
    """The pitch (B, 2) of the voices, see `Request`; None where none is known."""
    if all(line.voice_pitch is None for line in lines):
        return None
    return torch.tensor([line.voice_pitch or (0.0, 0.0) for line in lines], dtype=torch.float64)


def _padded(
    arrays: Sequence[np.ndarray | None], dtype: torch.dtype, device: str | torch.device
) -> Tensor | None:
    """Arrays (..., n) as one tensor (B, ..., longest n); None where no array is given."""
    present = [array for array in arrays if array is not None]
    if not present:
        return None
    longest = max(1, *(array.shape[-1] for array in present))
    out = torch.zeros(len(arrays), *present[0].shape[:-1], longest, dtype=dtype)
    for row, array in zip(out, arrays, strict=True):
        if array is not None:
            # Datasets hold integers that torch can't take; float64 has all of their values.
            row[..., : array.shape[-1]] = torch.from_numpy(array.astype(np.float64)).to(dtype)
    return out.to(device)
