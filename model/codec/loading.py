"""Opening a codec by its name or file; torch is loaded only with a codec."""

from __future__ import annotations

from pathlib import Path

from ns2.model.codec.interface import Codec, CodecError
from ns2.model.codec.own import GROUP, is_own, load_own
from ns2.model.codec.registry import CODECS, bundled_versions, codec_file, codec_spec


def load_codec(name: str, weights: Path | None = None, quantizers: int | None = None) -> Codec:
    """Open a codec on the CPU.

    Args:
        name: one of `CODECS`, a file that `ns2 codec train` made, or a codec of a user's own.
        weights: a file with its weights, for EnCodec and codecs of a user's own; None for those
            that it finds by itself, as EnCodec does in torch hub's cache or by a download.
        quantizers: Q; None for all quantisers of the codec, or 16 of EnCodec.

    Raises:
        CodecError: there is no such codec, or its weights cannot be found or read.
    """
    spec = codec_spec(name, quantizers)
    path = codec_file(name)
    if path is None and name not in CODECS:
        return load_own(name, None if weights is None else str(weights), spec)
    if path is None:
        from ns2.model.codec.encodec import load_encodec

        return load_encodec(weights, spec.quantizers)
    if weights is not None:
        raise CodecError(
            f"--codec-weights is for encodec_24khz and codecs of your own; {name} has its weights"
        )
    from ns2.model.codec.mini_codec import load_mini

    return load_mini(path, spec.quantizers)


def load_codec_of(
    called: str,
    digest: str,
    quantizers: int,
    *,
    name: str | None = None,
    weights: Path | None = None,
) -> Codec:
    """Open the codec that codes were made by.

    Args:
        called: what a dataset or a run calls it.
        digest: the digest of its weights.
        quantizers: Q of the codes.
        name: the name or file of the codec, where ns2 does not find it by itself.
        weights: a file with EnCodec's weights, where ns2 does not find them by itself.

    Raises:
        CodecError: it cannot be opened, or its weights are not those of the codes.
    """
    if not name and called not in CODECS and not (":" not in called and is_own(called)):
        # what a dataset says of its codec is neither read as a path nor imported as a class
        raise CodecError(
            f"the codes were made by a codec {called!r:.80}, and no installed package gives it to "
            f"{GROUP}: name it with --codec"
        )
    # a dataset calls both versions of `mini` by this name; its digest tells which one it is
    names = (name,) if name else bundled_versions(called, quantizers)
    found = ""
    for one in names:
        codec = load_codec(one, weights, quantizers)
        if codec.digest == digest:
            return codec
        found = found or codec.digest
    raise CodecError(
        f"the codes were made by {called} with weights {digest[:12]}, but those of {names[0]} are "
        f"{found[:12]}: name the codec's file with --codec or --codec-weights"
    )
