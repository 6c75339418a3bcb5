"""A codec opened by its name or file. Torch is loaded only when a codec is."""

from __future__ import annotations

from pathlib import Path

from ns2.model.codec.interface import Codec, CodecError
from ns2.model.codec.registry import codec_file, codec_spec


def load_codec(name: str, weights: Path | None = None, quantizers: int | None = 16) -> Codec:
    """A codec by its name or file, on the CPU.

    Args:
        name: one of `CODECS`, or a file.
        weights: a file with EnCodec's weights; None for those it finds by itself.
        quantizers: Q, or None for as many as the codec has, of EnCodec's 16.

    Raises:
        CodecError: no such codec, or its weights can't be had.
    """
    spec = codec_spec(name, quantizers)
    path = codec_file(name)
    if path is None:
        from ns2.model.codec.encodec import load_encodec

        return load_encodec(weights, spec.quantizers)
    if weights is not None:
        raise CodecError(f"--codec-weights is for encodec_24khz; {name} has its own weights")
    from ns2.model.codec.mini.codec import load_mini

    return load_mini(path, spec.quantizers)
