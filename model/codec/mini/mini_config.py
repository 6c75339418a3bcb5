"""The configuration of a `mini` codec; loads no torch, so that its rates are known at no cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ns2.model.codec.interface import CodecError, CodecSpec

NAME = "mini"
"""The name of all codecs of this kind in dataset cards and specs."""
SAMPLE_RATE = 24_000
HOP_LENGTH = 320
FORMAT = "ns2-mini-codec"
"""The field of a file's metadata that contains its `MiniConfig` as JSON."""

_LONGEST_HEADER = 1 << 20
_BEFORE = {"direct_bins": 0}
"""Values of sizes that the first files did not contain."""


@dataclass(frozen=True, kw_only=True)
class MiniConfig:
    """Sizes of the network, see `ns2.model.codec.mini.network`."""

    quantizers: int = 16
    """Q, the number of stages of the residual quantiser."""

    entries: int = 1024
    """E, the number of entries of each codebook."""

    latent_dim: int = 64
    """D, the width of the latents that are quantised."""

    encoder_width: int = 192
    """The number of channels of the encoder."""

    encoder_blocks: int = 4
    """The number of the encoder's blocks; each adds two frames on both sides to the receptive
    field. At most 4, so that no frame sees more than the 8 frames of zeros behind the audio."""

    decoder_width: int = 256
    """The number of channels of the decoder."""

    decoder_blocks: int = 6
    """The number of the decoder's blocks; each adds three frames on both sides to the receptive
    field."""

    expansion: int = 2
    """The inner width of a block, as a multiple of its channels."""

    mels: int = 80
    """The number of bins of the input's log-mel."""

    fine_mels: int = 32
    """The number of bins of the log-mels of each quarter of a frame."""

    partials: int = 80
    """The number of lowest bins of the input's complex spectrum, 37.5 Hz apart."""

    n_fft: int = 960
    """The length in samples of a frame that the decoder writes; an odd number of hops."""

    direct_bins: int = 60
    """The number of lowest bins of that frame's spectrum, sample rate / n_fft Hz apart, that the
    decoder writes as real and imaginary parts; the others are written as magnitude and phase."""

    def __post_init__(self) -> None:
        if min({**vars(self), "direct_bins": 1}.values()) < 1:
            raise ValueError(f"all sizes of a codec must be at least 1, got {self}")
        if not 0 <= self.direct_bins <= self.n_fft // 2:
            raise ValueError(f"direct_bins must be 0 to n_fft / 2, got {self.direct_bins}")
        if self.encoder_blocks > 4:
            raise ValueError(f"encoder_blocks must be 1 to 4, got {self.encoder_blocks}")
        if self.n_fft % (2 * HOP_LENGTH) != HOP_LENGTH:
            raise ValueError(
                f"n_fft must be an odd multiple of {HOP_LENGTH}, so that frames are centred; "
                f"got {self.n_fft}"
            )


def mini_spec(config: MiniConfig, quantizers: int | None = None) -> CodecSpec:
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


def read_config(path: Path) -> MiniConfig:
    """Read the sizes of a codec from the header of its file; loads neither torch nor weights.

    Raises:
        CodecError: the file cannot be read, or is not a codec that `ns2 codec train` made.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= _LONGEST_HEADER:
                raise ValueError("no header")
            metadata = json.loads(file.read(size)).get("__metadata__", {})
            return MiniConfig(**(_BEFORE | json.loads(metadata[FORMAT])))
    except OSError as error:
        raise CodecError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CodecError(
            f"{path} is not a codec that `ns2 codec train` made (a safetensors file with "
            f"{FORMAT} in its metadata)"
        ) from error
