"""The configuration of a `mini` codec; loads no torch, so that its rates are known at no cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ns2.model.codec.interface import CodecError, CodecSpec

NAME = "mini"
"""The name of all codecs of this kind, of both versions, in dataset cards and specs."""
SAMPLE_RATE = 24_000
HOP_LENGTH = 320
FORMAT = "ns2-mini-codec-3"
"""The field of a file's metadata that contains its `MiniConfig` as JSON."""
_TRIAL_FORMAT = "ns2-mini-codec-2"
"""The field in files of a network without a linear path, which is no longer read."""
CREDITS = "credits"
"""The field of a file's metadata that names the recordings that the codec learned from."""
PITCH_DIM = 4
"""The number of channels of the latents that hold F0 and voicing, the last ones."""
PITCH_STAGE = 1
"""The stage of the residual quantiser that quantises them: the second, so that the first alone
makes speech, a whisper."""

_LONGEST_HEADER = 1 << 20
_LARGEST = 8192
_MOST = {"entries": 65_536, "mels": 1024, "fine_mels": 1024, "lags": 2048, "bands": 2048}
_HERTZ = ("f0_min", "f0_max")
"""Sizes that need not be whole numbers."""


@dataclass(frozen=True, kw_only=True)
class MiniConfig:
    """Sizes of the network, see `ns2.model.codec.mini.network`."""

    quantizers: int = 8
    """Q, the number of stages of the residual quantiser; one of them is for F0 and voicing."""

    entries: int = 1024
    """E, the number of entries of each codebook."""

    spectral_dim: int = 32
    """The number of channels of the latents that hold spectra."""

    encoder_width: int = 192
    """The number of channels of the encoder of spectra."""

    encoder_blocks: int = 4
    """The number of its blocks; each adds two frames on both sides to the receptive field. At most
    4, so that no frame sees more than the 8 frames of zeros behind the audio."""

    pitch_width: int = 128
    """The number of channels of the encoder of F0 and voicing."""

    pitch_blocks: int = 4
    """The number of its blocks, at most 4."""

    decoder_width: int = 256
    """The number of channels of the decoder."""

    decoder_blocks: int = 6
    """The number of the decoder's blocks; each adds three frames on both sides to the receptive
    field."""

    expansion: int = 2
    """The inner width of a block, as a multiple of its channels."""

    mels: int = 100
    """The number of bins of the input's log-mel."""

    fine_mels: int = 32
    """The number of bins of the log-mels of each quarter of a frame."""

    lags: int = 128
    """The number of lags of the input's autocorrelation, which are the classes of F0, too."""

    f0_min: float = 45.0
    """The lowest F0 in Hz."""

    f0_max: float = 1100.0
    """The highest F0 in Hz."""

    bands: int = 128
    """The number of mel-spaced points of the envelopes that the decoder filters by."""

    gains: int = 4
    """The number of gains of source and noise that the decoder writes in each frame."""

    n_fft: int = 960
    """The length in samples of a frame that the decoder filters; an odd number of hops."""

    def __post_init__(self) -> None:
        check_sizes(self, _MOST)
        if self.quantizers < PITCH_STAGE + 1:
            raise ValueError(f"quantizers must be at least {PITCH_STAGE + 1}: {self.quantizers}")
        if max(self.encoder_blocks, self.pitch_blocks) > 4:
            raise ValueError("encoder_blocks and pitch_blocks must be 1 to 4")
        if self.f0_max >= SAMPLE_RATE / 8 or self.f0_min >= self.f0_max:
            raise ValueError(f"f0_min must lie below f0_max, and that below {SAMPLE_RATE // 8} Hz")
        if self.n_fft % (2 * HOP_LENGTH) != HOP_LENGTH:
            raise ValueError(
                f"n_fft must be an odd multiple of {HOP_LENGTH}, so that frames are centred; "
                f"got {self.n_fft}"
            )
        if HOP_LENGTH % self.gains:
            raise ValueError(f"gains must divide the hop of {HOP_LENGTH}, got {self.gains}")

    @property
    def latent_dim(self) -> int:
        """D, the width of the latents: spectra, then F0 and voicing."""
        return self.spectral_dim + PITCH_DIM

    @property
    def least_parameters(self) -> int:
        """A number of parameters that the network has at least."""
        blocks = (
            self.encoder_blocks * self.encoder_width**2
            + self.pitch_blocks * self.pitch_width**2
            + self.decoder_blocks * self.decoder_width**2
        )
        books = (self.quantizers - 1) * self.entries * self.spectral_dim
        return 2 * self.expansion * blocks + books + 2 * self.bands * self.decoder_width


class Sizes(Protocol):
    """What the configurations of both versions have."""

    @property
    def least_parameters(self) -> int: ...  # noqa: D102

    @property
    def quantizers(self) -> int: ...  # noqa: D102
    @property
    def entries(self) -> int: ...  # noqa: D102
    @property
    def latent_dim(self) -> int: ...  # noqa: D102


def check_sizes(config: object, most: Mapping[str, int], least: Mapping[str, int] = {}) -> None:
    """Check that the sizes in a config are whole numbers that a codec may have.

    Args:
        most: the most of some sizes; the others are at most 8,192.
        least: the least of some sizes; the others are at least 1.

    Raises:
        ValueError: one is not.
    """
    for name, value in vars(config).items():
        low, high = least.get(name, 1), most.get(name, _LARGEST)
        if name in _HERTZ:
            right = isinstance(value, int | float) and low <= value <= high
        else:
            right = type(value) is int and low <= value <= high
        if not right:
            raise ValueError(f"{name} of a codec must be {low} to {high}, got {value!r:.40}")


def check_room(config: Sizes, path: Path) -> None:
    """See that a file has room for the tensors that its header claims, before they are made.

    Raises:
        CodecError: it is too small for them.
    """
    if 2 * config.least_parameters > path.stat().st_size:
        raise CodecError(
            f"{path}: its header claims at least {config.least_parameters:,} parameters, more than "
            "are in the file; it may be broken"
        )


def mini_spec(config: Sizes, quantizers: int | None = None) -> CodecSpec:
    """Return the rates and sizes of a codec that uses its first Q quantisers, by default all.

    Raises:
        CodecError: the codec has fewer quantisers.
    """
    if quantizers is None:
        quantizers = config.quantizers
    if not 1 <= quantizers <= config.quantizers:
        raise CodecError(f"the codec can use 1 to {config.quantizers} quantizers, got {quantizers}")
    return CodecSpec(
        name=NAME,
        sample_rate=SAMPLE_RATE,
        hop_length=HOP_LENGTH,
        quantizers=quantizers,
        entries=config.entries,
        latent_dim=config.latent_dim,
    )


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file; loads neither torch nor weights.

    Raises:
        CodecError: the file cannot be read, or is not such a file.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise CodecError(f"{path}: {'no regular' if path.exists() else 'no such'} file")
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= _LONGEST_HEADER:
                raise ValueError("no header")
            return dict(json.loads(file.read(size)).get("__metadata__", {}))
    except OSError as error:
        raise CodecError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise not_a_codec(path) from error


def read_config(path: Path) -> MiniConfig:
    """Read the sizes of a codec of the second version from the header of its file.

    Raises:
        CodecError: the file cannot be read, or is not a codec that `ns2 codec train` made.
    """
    metadata = read_metadata(path)
    if _TRIAL_FORMAT in metadata:
        raise CodecError(
            f"{path} was trained by an earlier ns2, with a network that is no longer read: train "
            "it again with `ns2 codec train`, and preprocess again"
        )
    try:
        return MiniConfig(**json.loads(metadata[FORMAT]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise not_a_codec(path) from error


def not_a_codec(path: Path) -> CodecError:
    """Return the error for a file that is no codec."""
    return CodecError(
        f"{path} is not a codec that `ns2 codec train` made (a safetensors file with "
        f"{FORMAT} in its metadata)"
    )
