"""Codecs by name, or by a file that `ns2 codec train` made. No torch is loaded here."""

from __future__ import annotations

from pathlib import Path

from ns2.model.codec.interface import CodecError, CodecSpec

CODECS = ("encodec_24khz", "mini")
"""Names that `--codec` takes, beside files."""

MAX_QUANTIZERS = 32
"""Of EnCodec's published 24 kHz weights: 24 kbit/s."""

MINI_WEIGHTS = Path(__file__).with_name("mini") / "mini.safetensors"
"""The codec that comes with ns2."""


def codec_file(name: str) -> Path | None:
    """The file of a codec that `ns2 codec train` made; None for EnCodec.

    Raises:
        CodecError: there is neither such a codec nor such a file.
    """
    if name == "mini":
        return MINI_WEIGHTS
    if name in CODECS:
        return None
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix or path.name != name:
        raise CodecError(f"{name}: there is no such codec file")
    raise CodecError(
        f"there is no codec {name!r}; choose one of: {', '.join(CODECS)}, or name a file that "
        "`ns2 codec train` made"
    )


def codec_spec(name: str, quantizers: int | None = 16) -> CodecSpec:
    """The rates and sizes of a codec, without loading it.

    All codecs that `ns2 codec train` makes are called "mini" in the result, like the one that
    comes with ns2: the digest of the weights tells them apart, wherever the file lies.

    Args:
        name: one of `CODECS`, or a file.
        quantizers: Q, or None for as many as the codec has, of EnCodec's 16.

    Raises:
        CodecError: there is no such codec, or it has fewer quantisers.
    """
    path = codec_file(name)
    if path is not None:
        from ns2.model.codec.mini.mini_config import mini_spec, read_config

        return mini_spec(read_config(path), quantizers)
    if quantizers is None:
        quantizers = 16
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
