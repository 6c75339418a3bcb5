"""Opening a codec by its name or file; torch is loaded only with a codec."""

from __future__ import annotations

from pathlib import Path

from ns2.model.codec.interface import Codec, CodecError
from ns2.model.codec.registry import codec_file, codec_spec


def load_codec(name: str, weights: Path | None = None, quantizers: int | None = None) -> Codec:
    """Open a codec on the CPU.

    Args:
        name: one of `CODECS`, or a file that `ns2 codec train` made.
        weights: a file with EnCodec's weights; None for torch hub's cache or a download.
        quantizers: Q; None for all quantisers of the codec, or 16 of EnCodec.

    Raises:
        CodecError: there is no such codec, or its weights cannot be found or read.
    """
    spec = codec_spec(name, quantizers)
    path = codec_file(name)
    if path is None:
        from ns2.model.codec.encodec import load_encodec

        return load_encodec(weights, spec.quantizers)
    if weights is not None:
        raise CodecError(f"--codec-weights is for encodec_24khz only; {name} has its own weights")
    from ns2.model.codec.mini_codec import load_mini

    return load_mini(path, spec.quantizers)
