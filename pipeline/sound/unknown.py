"""What a file is that libsndfile does not decode, by its first bytes."""

from __future__ import annotations

from ns2.pipeline.core.held import Recording
from ns2.pipeline.sound.held.recordings import Place, open_recording

_STARTS = (
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"0&\xb2u\x8ef\xcf\x11", "WMA (ASF)"),
    (b"#!AMR", "AMR"),
    (b"ADIF", "AAC (ADIF)"),
    (b"MAC ", "Monkey's Audio"),
    (b"wvpk", "WavPack"),
    (b"TTA1", "True Audio"),
    (b".RMF", "RealAudio"),
    (b"FLV", "Flash video"),
    (b"version https://git-lfs", "a pointer of Git LFS (`git lfs pull` fetches the recordings)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "XML"),
)

NO_AUDIO = ("a pointer", "a zip", "a gzip", "a PDF", "a web page", "XML")
"""How what is no audio at all begins, in words."""
_WAVE_TAGS = {
    0x0055: "MP3", 0x0092: "AC-3", 0x00FF: "AAC", 0x0130: "ACELP", 0x0160: "WMA", 0x0161: "WMA",
    0x0162: "WMA", 0x0163: "WMA", 0x1600: "AAC", 0x1602: "AAC", 0x1610: "AAC", 0x2000: "AC-3",
    0x4143: "AAC", 0x706D: "AAC", 0xA106: "AAC", 0xF1AC: "FLAC", 0x0045: "G.726", 0x0083: "G.729",
    0x0270: "ATRAC3", 0x674F: "Ogg Vorbis", 0x6750: "Ogg Vorbis", 0x676F: "Ogg Vorbis",
}  # fmt: skip
"""Formats of the samples of a WAV (RFC 2361, and Microsoft's mmreg.h)."""


def what_it_is(place: Place) -> str:
    """What a file is in a few words, such as "AAC in a .wav"; "" if that is not known."""
    with open_recording(place) as file:
        start = file.read(4096)
    found = next((name for magic, name in _STARTS if start.lower().startswith(magic.lower())), "")
    if start[4:8] == b"ftyp":
        found = "ALAC in MP4" if b"alac" in start else "AAC in MP4"
    elif start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xF6 == 0xF0:
        found = "AAC (ADTS)"
    elif start[:4] == b"RIFF" and b"fmt " in start:
        at = start.index(b"fmt ") + 8
        found = _WAVE_TAGS.get(int.from_bytes(start[at : at + 2], "little"), "")
    elif start[:4] == b"caff" and b"desc" in start:
        at = start.index(b"desc") + 20
        found = {b"aac ": "AAC", b"aach": "AAC"}.get(start[at : at + 4], "")
    elif start[:4] == b"FORM" and b"COMM" in start and start[8:12] == b"AIFC":
        at = start.index(b"COMM") + 26
        found = "" if start[at : at + 4] in (b"NONE", b"sowt") else _letters(start[at : at + 4])
    if not found or found.startswith("a "):
        return found
    suffix = Recording.of(place).suffix
    return f"{found} in a {suffix}" if suffix else found


def _letters(name: bytes) -> str:
    return ascii(name.decode("latin-1").strip()) if name.strip() else ""
