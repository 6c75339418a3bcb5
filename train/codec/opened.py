"""A codec opened by name or by file, for commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ns2.model.codec.interface import CodecError
from ns2.model.codec.loading import load_codec, load_codec_of
from ns2.pipeline.core.errors import OptionError, UserError

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec


def open_codec(name: str, weights: Path | None = None, quantizers: int | None = None) -> Codec:
    """Open a codec by its name or file.

    Args:
        name: one of `ns2.model.codec.CODECS`, or a file that `ns2 codec train` made.
        weights: a file with EnCodec's weights, where ns2 does not find them by itself.
        quantizers: how many of its quantisers to use, from the first on; None for all.

    Raises:
        UserError: its weights can't be found or read.
        OptionError: there is no codec of that name, or it has fewer quantisers.
    """
    _check(name, quantizers)
    try:
        return load_codec(name, weights, quantizers)
    except CodecError as error:
        raise UserError(str(error)) from error


def open_codec_of_codes(
    called: str, digest: str, quantizers: int, *, name: str | None, weights: Path | None
) -> Codec:
    """Open the codec that codes were made by, see `load_codec_of`.

    Raises:
        UserError: it can't be found or read, or its weights are not those of the codes.
        OptionError: there is no codec of that name.
    """
    if name:
        _check(name, quantizers)
    try:
        return load_codec_of(called, digest, quantizers, name=name, weights=weights)
    except CodecError as error:
        raise UserError(str(error)) from error


def _check(name: str, quantizers: int | None) -> None:
    """Raise OptionError if there is no such codec, or it has fewer quantisers."""
    from ns2.model.codec.registry import codec_spec

    try:
        codec_spec(name, quantizers)
    except CodecError as error:
        raise OptionError(str(error)) from error
