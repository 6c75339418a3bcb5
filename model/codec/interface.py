"""What every codec is to the rest of ns2: audio to codes, codes to latents, latents to audio.

Importing this module does not load torch, so that a plan knows a codec's rates for nothing.

Letters for shapes: S samples, T frames, Q quantizers, E entries, D latent width.
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


GROUP_SECONDS = 120
"""Audio that a GPU encodes at once, padding included; EnCodec takes some 20 MB a second."""
GROUP_SHORTEST = 0.75
"""Of the longest of a group: bounds the padding."""
EXTRA_FRAMES = 8
"""Frames of zeros behind the audio in the canonical encode.

Codecs pad the end of their input, EnCodec by reflection, and what they pad changes the last
frames. Behind 8 frames of zeros it does not reach those that are kept.
"""


class CodecError(Exception):
    """A codec can't be had; the message says where it was looked for and what to do."""


@dataclass(frozen=True, kw_only=True)
class CodecSpec:
    """A codec's rates and sizes.

    Attributes:
        name: what `--codec` calls it.
        sample_rate: Hz.
        hop_length: samples a frame.
        quantizers: Q, codes a frame.
        entries: E, of each codebook.
        latent_dim: D.
    """

    name: str
    sample_rate: int
    hop_length: int
    quantizers: int
    entries: int
    latent_dim: int

    def __post_init__(self) -> None:
        sizes = (self.sample_rate, self.hop_length, self.quantizers, self.entries, self.latent_dim)
        if min(sizes) < 1:
            raise ValueError(f"all rates and sizes of a codec must be at least 1: {self}")

    def frames(self, samples: int) -> int:
        """T = ceil(S / hop) of S samples."""
        return -(-samples // self.hop_length)


class Codec(ABC):
    """A neural codec with a residual quantiser, ready to use: weights loaded, not trained."""

    def __init__(self, spec: CodecSpec, codebooks: Tensor, encoding: Mapping[str, Tensor]) -> None:
        """Take what all codecs have.

        Args:
            codebooks: the entries of all quantisers, (Q, E, D) float32.
            encoding: all weights that decide what `encode` returns, by name.
        """
        # oneDNN, inside torch, keeps 1,024 convolutions, each for one length of audio, and their
        # scraps break up the heap: a worker grows by a GB each 50 utterances. Only the first use
        # of oneDNN in a process reads this; it changes no value.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
        self._spec, self._codebooks = spec, codebooks
        self._digest = weights_digest(encoding)

    @property
    def spec(self) -> CodecSpec:
        """Rates and sizes."""
        return self._spec

    @property
    def codebooks(self) -> Tensor:
        """The entries of all quantisers, (Q, E, D) float32."""
        return self._codebooks

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all weights that decide what `encode` returns, see `weights_digest`.

        Neither the decoder nor quantisers beyond Q are part of it.
        """
        return self._digest

    @abstractmethod
    def to(self, device: str) -> None:
        """Move all weights to a device that torch knows; the CPU is where they begin."""

    @abstractmethod
    def _quantise(self, waves: Tensor) -> Tensor:
        """Codes (B, Q, S / hop) int64 of audio (B, S) float32, S a multiple of the hop."""

    @abstractmethod
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Audio (T * hop,) float32 of latents (D, T).

        Gradients flow to the latents; the weights take none.
        """

    def encode(self, wave: Tensor) -> Tensor:
        """The canonical codes of one utterance: (Q, T) int64, T = ceil(S / hop).

        The audio is padded with zeros to hop * (T + 8) samples and the first T frames are kept.
        Everything runs on one thread, since sums in another order can tip a code.

        Args:
            wave: (S,) float32 at the codec's sample rate.

        Raises:
            ValueError: the audio is empty or not one-dimensional.
        """
        import torch

        if wave.ndim != 1 or wave.shape[0] == 0:
            raise ValueError(f"expected audio of shape (S,), S > 0, got {tuple(wave.shape)}")
        with one_thread(), torch.inference_mode():
            codes = self._encode_padded([wave])[0]
        return codes.clone()  # out here: autograd takes no tensor made in inference mode

    def encode_many(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """The codes of several utterances, in order, encoded together with those of like length.

        For GPUs. Sums in other orders can tip a few codes in a thousand from what `encode` gives.
        The same waves in the same call give the same codes.
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
        """Numbers of waves that are encoded together: of like length, not too much at once."""
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
        """Codes (Q, T) of each wave, all padded like the longest."""
        frames = [self.spec.frames(wave.shape[0]) for wave in waves]
        samples = self.spec.hop_length * (max(frames) + EXTRA_FRAMES)
        padded = waves[0].new_zeros(len(waves), samples)
        for row, wave in zip(padded, waves, strict=True):
            row[: wave.shape[0]] = wave
        codes = self._quantise(padded)
        return [one[:, :count] for one, count in zip(codes, frames, strict=True)]

    def latents(self, codes: Tensor) -> Tensor:
        """Latents (D, T) of codes (K, T) of the first K <= Q quantisers."""
        return codes_to_latents(codes, self.codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Audio (T * hop,) float32 of codes (K, T) of the first K <= Q quantisers."""
        return self.decode_latents(self.latents(codes))


def codes_to_latents(codes: Tensor, codebooks: Tensor) -> Tensor:
    """The sum of the codebook vectors of each frame.

    Args:
        codes: (..., K, T) of any integer type, of the first K <= Q quantisers.
        codebooks: (Q, E, D).

    Returns:
        latents (..., D, T), of the codebooks' type.

    Raises:
        ValueError: there are more rows of codes than codebooks, or none.
    """
    from torch.nn import functional

    quantizers = codes.shape[-2]
    if not 1 <= quantizers <= codebooks.shape[0]:
        raise ValueError(f"codes of {quantizers} quantizers, but {codebooks.shape[0]} codebooks")
    rows = codes.long().unbind(-2)
    latents = functional.embedding(rows[0], codebooks[0])
    for row, codebook in zip(rows[1:], codebooks[1:], strict=False):
        latents = latents + functional.embedding(row, codebook)  # in order: the codec's own sum
    return latents.transpose(-1, -2)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of tensors by name: of names, shapes and float32 values in order of names.

    It does not depend on the format of a file, its order, or the type in which it stores them.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().float().contiguous().numpy()
        digest.update(f"{name}{list(values.shape)}\0".encode())
        digest.update(values.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, then on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
