"""The interface of all codecs: audio to codes, codes to latents, latents to audio.

Importing this module does not load torch, so that a codec's rates are known at no cost.

Letters for shapes: B batch, S samples, T frames, Q quantisers, K the first K of them, E entries, D
latent width.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


GROUP_SECONDS = 120
"""Seconds of audio that a GPU encodes at once, padding included; EnCodec takes 20 MB per second."""
GROUP_SHORTEST = 0.75
"""The shortest wave of a group as a share of the longest, which limits the padding."""
EXTRA_FRAMES = 8
"""Frames of zeros behind the audio in the canonical encode.

Codecs pad the end of their input, EnCodec by reflection, and their padding changes the last frames.
Behind 8 frames of zeros it does not reach the frames that are kept.
"""


class CodecError(Exception):
    """A codec cannot be opened; the message says where it was looked for and what to do."""


@dataclass(frozen=True, kw_only=True)
class CodecSpec:
    """The rates and sizes of a codec."""

    name: str
    """The name that `--codec` takes."""

    sample_rate: int
    """The sample rate in Hz."""

    hop_length: int
    """The hop length: samples per frame."""

    quantizers: int
    """Q, the number of codes per frame."""

    entries: int
    """E, the number of entries of each codebook."""

    latent_dim: int
    """D, the width of the latents."""

    def __post_init__(self) -> None:
        sizes = (self.sample_rate, self.hop_length, self.quantizers, self.entries, self.latent_dim)
        if min(sizes) < 1:
            raise ValueError(f"all rates and sizes of a codec must be at least 1, got {self}")

    def frames(self, samples: int) -> int:
        """Return the number of frames of S samples, T = ceil(S / hop)."""
        return -(-samples // self.hop_length)


class Codec(ABC):
    """A neural codec with a residual quantiser, with loaded weights that are not trained."""

    def __init__(self, spec: CodecSpec, codebooks: Tensor, encoding: Mapping[str, Tensor]) -> None:
        """Set what all codecs have.

        Args:
            spec: the codec's rates and sizes.
            codebooks: (Q, E, D) float32, the entries of all quantisers.
            encoding: all weights that decide what `encode` returns, by name.
        """
        # oneDNN, inside torch, caches 1,024 convolutions, each for one length of audio, and thereby
        # fragments the heap: a worker grows by a GB each 50 utterances. Only the first use of
        # oneDNN in a process reads this variable; it changes no value.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
        self._spec, self._codebooks = spec, codebooks
        self._digest = weights_digest(encoding)

    @property
    def spec(self) -> CodecSpec:
        """The codec's rates and sizes."""
        return self._spec

    @property
    def codebooks(self) -> Tensor:
        """The entries of all quantisers: (Q, E, D) float32."""
        return self._codebooks

    @property
    def digest(self) -> str:
        """The hex SHA-256 of all weights that decide what `encode` returns, see `weights_digest`.

        Neither the decoder nor quantisers beyond Q are part of it.
        """
        return self._digest

    @abstractmethod
    def to(self, device: str) -> None:
        """Move all weights to a torch device; a new codec is on the CPU."""

    @abstractmethod
    def quantise(self, waves: Tensor) -> Tensor:
        """Return codes (B, Q, S / hop) int64 of audio (B, S) float32, S a multiple of the hop."""

    @abstractmethod
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Decode latents (D, T) to audio (T * hop,) float32.

        Gradients flow to the latents but not to the weights.
        """

    def decoder(self) -> Module:
        """Return a module for `torch.export` that decodes latents as `decode_latents` does.

        It maps latents (1, D, T) and noise (1, S) of variance 1, which it may ignore, to audio
        (1, S), S = T * hop.

        Raises:
            CodecError: this codec can't be exported.
        """
        raise CodecError(f"the codec {self.spec.name} has no decoder that can be exported")

    def encode(self, wave: Tensor) -> Tensor:
        """Encode one utterance to its canonical codes.

        The audio is padded with zeros to hop * (T + 8) samples and the first T frames are kept.
        Everything runs on one thread, since sums in another order can change a code.

        Args:
            wave: (S,) float32 at the codec's sample rate.

        Returns:
            (Q, T) int64, T = ceil(S / hop).

        Raises:
            ValueError: the audio is empty or not one-dimensional.
        """
        import torch

        if wave.ndim != 1 or wave.shape[0] == 0:
            raise ValueError(f"expected audio of shape (S,), S > 0, got {tuple(wave.shape)}")
        with one_thread(), torch.inference_mode():
            codes = self._encode_padded([wave])[0]
        return codes.clone()  # outside of inference mode, so that autograd accepts it

    def encode_many(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Encode several utterances, those of similar length together; for GPUs.

        Sums in other orders can change a few codes in a thousand, compared with `encode`. The same
        waves in the same call give the same codes.

        Args:
            waves: (S,) float32 each, at the codec's sample rate.

        Returns:
            codes (Q, T) int64 of each wave, in order.
        """
        import torch
        from torch.backends import cudnn

        found: dict[int, Tensor] = {}
        with (
            torch.inference_mode(),
            cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            for group in self._groups(waves):
                found.update(
                    zip(group, self._encode_padded([waves[i] for i in group]), strict=True)
                )
        return [found[i].clone() for i in range(len(waves))]

    def _groups(self, waves: Sequence[Tensor]) -> Iterator[list[int]]:
        """Yield the indices of waves of similar length that are encoded together."""
        group: list[int] = []
        for i in sorted(range(len(waves)), key=lambda i: (-waves[i].shape[0], i)):
            longest = waves[group[0]].shape[0] if group else 0
            room = GROUP_SECONDS * self.spec.sample_rate // max(longest, 1)
            if group and (len(group) >= room or waves[i].shape[0] < GROUP_SHORTEST * longest):
                yield group
                group = []
            group.append(i)
        if group:
            yield group

    def _encode_padded(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return codes (Q, T) of each wave, all padded to the longest."""
        frames = [self.spec.frames(wave.shape[0]) for wave in waves]
        samples = self.spec.hop_length * (max(frames) + EXTRA_FRAMES)
        padded = waves[0].new_zeros(len(waves), samples)
        for row, wave in zip(padded, waves, strict=True):
            row[: wave.shape[0]] = wave
        codes = self.quantise(padded)
        return [row[:, :count] for row, count in zip(codes, frames, strict=True)]

    def latents(self, codes: Tensor) -> Tensor:
        """Return latents (D, T) of codes (K, T) of the first K <= Q quantisers."""
        return codes_to_latents(codes, self.codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes (K, T) of the first K <= Q quantisers to audio (T * hop,) float32."""
        return self.decode_latents(self.latents(codes))


def codes_to_latents(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Sum the codebook vectors of each frame.

    Args:
        codes: (..., K, T) of any integer type, of the first K <= Q quantisers.
        codebooks: (Q, E, D).

    Returns:
        latents (..., D, T), of the codebooks' type.

    Raises:
        ValueError: there are no rows of codes, or more than codebooks.
    """
    from torch.nn import functional

    quantizers = codes.shape[-2]
    if not 1 <= quantizers <= codebooks.shape[0]:
        raise ValueError(f"codes of {quantizers} quantizers for {codebooks.shape[0]} codebooks")
    rows = codes.long().unbind(-2)
    latents = functional.embedding(rows[0], codebooks[0])
    for row, codebook in zip(rows[1:], codebooks[1:], strict=False):
        latents = latents + functional.embedding(row, codebook)  # in the codec's own order of sums
    return latents.transpose(-1, -2)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return the hex SHA-256 of tensors: of names, shapes and float32 values, sorted by name.

    It does not depend on the format of a file, on its order, or on the stored float type.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().float().contiguous().numpy()
        digest.update(f"{name}{list(values.shape)}\0".encode())
        digest.update(values.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside the context, then on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
