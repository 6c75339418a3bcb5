"""Codecs by name, by a file that `ns2 codec train` made, or by a class; loads no torch."""

from __future__ import annotations

from pathlib import Path

from ns2.model.codec.interface import CodecError, CodecSpec
from ns2.model.codec.own import GROUP, is_own, own_spec

CODECS = ("encodec_24khz", "mini", "mini-1")
"""The names that `--codec` takes, beside files."""

MAX_QUANTIZERS = 32
"""The number of quantisers of EnCodec's published 24 kHz weights, which give 24 kbit/s."""

MINI_WEIGHTS = Path(__file__).with_name("mini") / "mini.safetensors"
"""The file of the codec that comes with ns2, the second version."""

MINI_1_WEIGHTS = Path(__file__).with_name("mini_1") / "mini_1.safetensors"
"""The file of its first version, for the datasets and runs that were made with it."""

_BUNDLED = {"mini": MINI_WEIGHTS, "mini-1": MINI_1_WEIGHTS}


def codec_file(name: str) -> Path | None:
    """Return the file of a codec that `ns2 codec train` made; None for EnCodec and own codecs.

    Raises:
        CodecError: there is neither such a codec nor such a file.
    """
    if name in CODECS:
        return _BUNDLED.get(name)
    path = Path(name)
    if path.is_file():
        return path
    if is_own(name):
        return None
    if path.suffix or path.name != name:
        raise CodecError(f"{name}: there is no such codec file")
    raise CodecError(
        f"there is no codec {name!r}; choose one of: {', '.join(CODECS)}, or name a file that "
        f"`ns2 codec train` made, a class as package.module:Class, or an entry point of {GROUP}"
    )


def bundled_versions(name: str, quantizers: int) -> tuple[str, ...]:
    """Return the names of the codecs that a dataset may mean by a codec's name.

    Args:
        name: as a dataset has it; both versions of `mini` are "mini" there.
        quantizers: Q, which all of them have.
    """
    if name != "mini":
        return (name,)
    versions = tuple(one for one in _BUNDLED if codec_spec(one).quantizers >= quantizers)
    return versions or (name,)


def codec_spec(name: str, quantizers: int | None = None) -> CodecSpec:
    """Return the rates and sizes of a codec, without loading it.

    All codecs that `ns2 codec train` makes are named "mini" in the result, like the codec that
    comes with ns2: the digest of the weights distinguishes them, wherever the file lies.

    Args:
        name: one of `CODECS`, a file, or a codec of a user's own.
        quantizers: Q; None for all quantisers of the codec, or 16 of EnCodec.

    Raises:
        CodecError: there is no such codec, or it has fewer quantisers.
    """
    path = codec_file(name)
    if path is not None:
        from ns2.model.codec.mini_1.mini_1_config import read_spec

        return read_spec(path, quantizers)
    if name not in CODECS:
        return own_spec(name, quantizers)
    if quantizers is None:
        quantizers = 16
    if not 1 <= quantizers <= MAX_QUANTIZERS:
        raise CodecError(f"{name} can use 1 to {MAX_QUANTIZERS} quantizers, got {quantizers}")
    return CodecSpec(
        name=name,
        sample_rate=24_000,
        hop_length=320,
        quantizers=quantizers,
        entries=1024,
        latent_dim=128,
    )
