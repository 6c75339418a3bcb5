"""The configuration of a codec `mini` of the first version; loads no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ns2.model.codec.interface import CodecSpec
from ns2.model.codec.mini.mini_config import (
    HOP_LENGTH,
    MiniConfig,
    check_sizes,
    mini_spec,
    not_a_codec,
    read_config,
    read_metadata,
)

FORMAT = "ns2-mini-codec"
"""The field of a file's metadata that contains its `Mini1Config` as JSON."""

_BEFORE = {"direct_bins": 0}
"""Values of sizes that the first files did not contain."""
_MOST = {"entries": 65_536, "mels": 1024, "fine_mels": 1024, "partials": 1024}


@dataclass(frozen=True, kw_only=True)
class Mini1Config:
    """Sizes of the network, see `ns2.model.codec.mini_1.mini_1_network`."""

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
        check_sizes(self, _MOST, {"direct_bins": 0})
        if not 0 <= self.direct_bins <= self.n_fft // 2:
            raise ValueError(f"direct_bins must be 0 to n_fft / 2, got {self.direct_bins}")
        if self.encoder_blocks > 4:
            raise ValueError(f"encoder_blocks must be 1 to 4, got {self.encoder_blocks}")
        if self.n_fft % (2 * HOP_LENGTH) != HOP_LENGTH:
            raise ValueError(
                f"n_fft must be an odd multiple of {HOP_LENGTH}, so that frames are centred; "
                f"got {self.n_fft}"
            )

    @property
    def least_parameters(self) -> int:
        """A number of parameters that the network has at least."""
        blocks = (
            self.encoder_blocks * self.encoder_width**2
            + self.decoder_blocks * self.decoder_width**2
        )
        return 2 * self.expansion * blocks + self.quantizers * self.entries * self.latent_dim


def read_mini_1_config(path: Path) -> Mini1Config:
    """Read the sizes of a codec of the first version from the header of its file.

    Raises:
        CodecError: the file cannot be read, or is no such codec.
    """
    try:
        return Mini1Config(**(_BEFORE | json.loads(read_metadata(path)[FORMAT])))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise not_a_codec(path) from error


def read_any_config(path: Path) -> MiniConfig | Mini1Config:
    """Read the sizes of a codec of either version from the header of its file.

    Raises:
        CodecError: the file cannot be read, or is no such codec.
    """
    if FORMAT in read_metadata(path):
        return read_mini_1_config(path)
    return read_config(path)


def read_spec(path: Path, quantizers: int | None = None) -> CodecSpec:
    """Read the rates and sizes of a codec of either version from the header of its file.

    Args:
        quantizers: Q; None for all.

    Raises:
        CodecError: the file cannot be read, is no codec, or has fewer quantisers.
    """
    return mini_spec(read_any_config(path), quantizers)
