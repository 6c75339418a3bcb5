"""Neural codecs, which map audio to codes and back; torch is loaded only with a codec."""

from __future__ import annotations

from ns2.model.codec.interface import Codec, CodecError, CodecSpec
from ns2.model.codec.loading import load_codec
from ns2.model.codec.registry import CODECS, codec_file, codec_spec

__all__ = ["CODECS", "Codec", "CodecError", "CodecSpec", "codec_file", "codec_spec", "load_codec"]
