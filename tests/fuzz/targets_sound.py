"""Targets that are recordings in each container."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.sound.decode import check_declared_length, read_audio
from tests.fuzz.target import TARGETS, Call, Make, Target, put
from tests.support.factories import tone

_KINDS = {
    "WAV": (("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "MS_ADPCM")),
    "FLAC": (("flac", "PCM_16"), ("flac", "PCM_24")),
    "MP3": (("mp3", "MPEG_LAYER_III"),),
    "Ogg": (("ogg", "VORBIS"), ("opus", "OPUS")),
    "others": (("aiff", "PCM_16"), ("au", "PCM_16"), ("w64", "PCM_16"), ("caf", "PCM_16")),
}
_TOKENS = (
    b"RIFF", b"WAVE", b"fmt ", b"data", b"RF64", b"ds64", b"LIST", b"fLaC", b"OggS", b"ID3", b"TAG",
    b"Xing", b"Info", b"LAME", b"OpusHead", b"\x01vorbis", b"FORM", b"COMM", b"SSND", b".snd",
    b"\0\0\0\1", b"\1\0\0\0", b"\xff\xfb\x90\0", b"riff", b"caff",
)  # fmt: skip


def _target(kinds: tuple[tuple[str, str], ...]) -> tuple[Make, Call]:
    wave = tone(0.15, 200.0, 24_000).astype(np.float32)

    def make(folder: Path) -> list[bytes]:
        made = []
        for suffix, subtype in kinds:
            path = folder / f"{subtype}.{suffix}"
            form = {"opus": "OGG"}.get(suffix)
            soundfile.write(path, wave, 24_000, subtype=subtype, format=form)
            made.append(path.read_bytes())
        return made

    def call(data: bytes, folder: Path) -> None:
        path = put(folder, f"input.{kinds[0][0]}", data)
        check_declared_length(path, 3600.0)
        read, rate = read_audio(path)
        assert read.ndim == 1 and len(read) and np.isfinite(read).all() and rate > 0

    return make, call


for _name, _kinds in _KINDS.items():
    _make, _call = _target(_kinds)
    TARGETS[_name] = Target(
        make=_make, call=_call, text=False, tokens=_TOKENS, errors=(UtteranceError,)
    )
