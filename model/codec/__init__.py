"""Neural audio codecs behind one interface, see `base`.

Here they are known by name. Torch is loaded only when a codec is.
"""

from __future__ import annotations

from pathlib import Path

from ns2.model.codec.base import Codec, CodecError, CodecSpec

CODECS = ("encodec_24khz",)
"""Names that `--codec` takes."""

MAX_QUANTIZERS = 32
"""Of EnCodec's published 24 kHz weights: 24 kbit/s."""


def codec_spec(name: str, quantizers: int = 16) -> CodecSpec:
    """The rates and sizes of a codec, without loading it.

    Raises:
        CodecError: there is no such codec, or it has fewer quantisers.
    """
    if name not in CODECS:
        raise CodecError(f"there is no codec {name!r}; choose one of: {', '.join(CODECS)}")
    if not 1 <= quantizers <= MAX_QUANTIZERS:
        raise CodecError(f"{name} has 1 to {MAX_QUANTIZERS} quantizers, {quantizers} were asked")
    return CodecSpec(
        name=name,
        sample_rate=24_000,
        hop_length=320,
        quantizers=quantizers,
        entries=1024,
        latent_dim=128,
    )


def load_codec(name: str, weights: Path | None = None, quantizers: int = 16) -> Codec:
    """A codec by its name, on the CPU.

    Args:
        weights: a file with its weights; None for those it finds by itself.
        quantizers: Q.

    Raises:
        CodecError: no such codec, or its weights can't be had.
    """
    codec_spec(name, quantizers)
    from ns2.model.codec.encodec import load_encodec

    return load_encodec(weights, quantizers)


__all__ = ["CODECS", "Codec", "CodecError", "CodecSpec", "codec_spec", "load_codec"]
