"""Finds out from the container of an audio file whether the file is whole.

libsndfile (as of 1.2.2) reads a WAV, AIFF, AU or CAF that was cut off as a shorter one, and an Ogg
stream with damaged or lost pages as a shorter stream (one wrong bit can cost 95 % of it). So these
formats are checked here before they are decoded; `mpeg` counts the frames of an MP3.
"""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, BinaryIO

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.held.recordings import Place, for_decoder, open_recording, size_of
from ns2.pipeline.sound.mpeg import counted_mp3

if TYPE_CHECKING:
    import soundfile

_UNKNOWN_SIZE = 0x7FFF_0000  # from here on: the size of a WAV that was written to a pipe


def check_container(place: Place) -> None:
    """Check that a file has all the bytes that its container declares, as far as it is known.

    Raises:
        UtteranceError: AUDIO_TRUNCATED if bytes are missing, AUDIO_UNREADABLE if an Ogg page is
            damaged.
        OSError: the file cannot be read.
    """
    with open_recording(place) as file:
        magic = file.read(4)
        if magic in (b"RIFF", b"RIFX", b"RF64"):
            _check_riff(file)
        elif magic == b"OggS":
            _check_ogg(magic + file.read())
        elif magic in (b"FORM", b"caff", b".snd", b"riff"):
            _check_others(file, magic)


def opened(place: Place) -> soundfile.SoundFile:
    """Open a recording with libsndfile, with the length that it has.

    A WAV of a stream, of size 0, is read to its end, of an MP3 the frames are counted, and an Ogg
    stream gets the flag of its end if it has none.

    Raises:
        soundfile.LibsndfileError: it can't be decoded.
        UtteranceError: an MP3 is cut off or damaged.
        TypeError: it does not declare its format.
    """
    import soundfile

    with open_recording(place) as start:
        magic = start.read(4)
    mended = None
    if magic == b"RIFF":
        mended = _mended_wav(place)
    elif magic == b"OggS":
        mended = _ended_ogg(_read(place))
    if mended is not None:
        return soundfile.SoundFile(io.BytesIO(mended))
    try:
        file = soundfile.SoundFile(for_decoder(place))
    except soundfile.LibsndfileError:
        # it does not open an MP3 whose tag has fewer frames than its encoder's delay
        if magic[:3] != b"ID3" and magic[:1] != b"\xff":
            raise
        mended = counted_mp3(_read(place))
        if mended is None:
            raise
    else:
        mended = counted_mp3(_read(place)) if file.format == "MP3" else None
        if mended is None:
            return file
        file.close()
    return soundfile.SoundFile(io.BytesIO(mended))


def _read(place: Place) -> bytes:
    with open_recording(place) as file:
        return file.read()


def _ended_ogg(data: bytes) -> bytes | None:
    """An Ogg file with the flag of the end on its last page; None if it is there, or unknown.

    Without the flag the number of samples of the last page counts for nothing.
    """
    at = data.rfind(b"OggS")
    if at < 0 or at + 27 > len(data) or data[at + 5] & 4:
        return None
    page = bytearray(data[at:])
    page[5] |= 4
    page[22:26] = bytes(4)
    page[22:26] = _ogg_checksum(bytes(page)).to_bytes(4, "little")
    return data[:at] + bytes(page)


def _mended_wav(place: Place) -> bytes | None:
    """A WAV whose chunk `data` declares no bytes, and is followed by some, with their number."""
    with open_recording(place) as file:
        start = file.read(65_536)
        if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
            return None
        at = 12
        while start[at : at + 4] not in (b"data", b""):
            length = int.from_bytes(start[at + 4 : at + 8], "little")
            at += 8 + length + length % 2
        size = size_of(file)
        if start[at + 4 : at + 8] != bytes(4) or size <= at + 8 or size > 0xFFFF_FFFF:
            return None
        if _are_chunks(file, at + 8, size):
            return None  # it has no samples, and says so
        file.seek(0)
        data = bytearray(file.read())
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    data[at + 4 : at + 8] = (len(data) - at - 8).to_bytes(4, "little")
    return bytes(data)


def _are_chunks(file: BinaryIO, at: int, size: int) -> bool:
    """Whether chunks with names of letters fill a file from a byte to its end."""
    while at + 8 <= size:
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if not re.fullmatch(rb"[A-Za-z0-9 _]{4}", name):
            return False
        at += 8 + length + length % 2
    return at in (size, size + 1)


def _check_others(file: BinaryIO, magic: bytes) -> None:
    """Check that the samples of an AIFF, CAF, AU or W64 end within the file."""
    size = size_of(file)
    if magic == b".snd":
        begins, declared = (int.from_bytes(file.read(4), "big") for _ in range(2))
        if declared != 0xFFFF_FFFF:
            _check_declared(declared, size - begins)
        return
    if magic == b"riff":  # W64: names of 16 bytes, sizes that count themselves
        at = 40
        while at + 24 <= size:
            file.seek(at)
            name, length = file.read(16), int.from_bytes(file.read(8), "little")
            if name[:4] == b"data" or length < 24:
                _check_declared(length - 24, size - at - 24)
                return
            at += -(-length // 8) * 8
        return
    wide = 8 if magic == b"caff" else 4
    at = 8 if magic == b"caff" else 12
    while at + 4 + wide <= size:
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(wide), "big")
        at += 4 + wide
        if name in (b"data", b"SSND"):
            if length < 1 << (8 * wide - 1):  # else it is not known: a stream
                _check_declared(length, size - at)
            return
        at += length + (length % 2 if magic == b"FORM" else 0)


def _check_declared(declared: int, found: int) -> None:
    if found < declared:
        raise UtteranceError(
            Reason.AUDIO_TRUNCATED,
            f"the file is cut off: it declares {declared} bytes of audio and has {found}",
        )


def _check_riff(file: BinaryIO) -> None:
    """Check that the chunk `data` ends within the file.

    Source: Multimedia Programming Interface and Data Specifications 1.0, 1991.
    """
    size = size_of(file)
    file.seek(0)
    order = "big" if file.read(4) == b"RIFX" else "little"
    at = 12
    long_size = 0  # RF64 keeps the size of its data in the chunk ds64 (EBU Tech 3306)
    while at + 8 <= size:
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), order)  # type: ignore[arg-type]
        if name == b"\0\0\0\0":
            return  # not a chunk; libsndfile will say what is wrong
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name == b"data":
            declared = long_size if long_size and length == 0xFFFF_FFFF else length
            if size < at + 8 + declared and (declared < _UNKNOWN_SIZE or declared == long_size):
                _check_declared(declared, size - at - 8)
            return
        at += 8 + length + length % 2


def _check_ogg(data: bytes) -> None:
    """Check that every page is whole and undamaged and every stream has its last page (RFC 3533).

    libsndfile skips a damaged page, and whatever follows the end of a stream. Some encoders, as
    Android's, do not flag the last page; it is told from others by its length, see `_Stream`.
    """
    at = 0
    began: dict[bytes, _Stream] = {}
    ended: set[bytes] = set()
    while data[at : at + 4] == b"OggS":
        segments = data[at + 26 : at + 27]
        body = at + 27 + (segments[0] if segments else 0)
        end = body + sum(data[at + 27 : body])
        if not segments or end > len(data):
            raise UtteranceError(Reason.AUDIO_TRUNCATED, "the file is cut off inside an Ogg page")
        page = data[at:end]
        stored = int.from_bytes(page[22:26], "little")
        if _ogg_checksum(page[:22] + bytes(4) + page[26:]) != stored:
            message = f"the Ogg page at byte {at} is damaged: its checksum is wrong"
            raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
        flags, serial = page[5], page[14:18]
        if flags & 2 and began and began.keys() == ended:
            message = "the file has several Ogg streams in a row; only the first would be read"
            raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
        began.setdefault(serial, _Stream()).add(page)
        if flags & 4:
            ended.add(serial)
        at = end
    lost = data.find(b"OggS", at) >= 0
    if not lost and at == len(data):
        ended |= {serial for serial, stream in began.items() if stream.may_end}
    if began.keys() != ended:
        reason = Reason.AUDIO_UNREADABLE if lost else Reason.AUDIO_TRUNCATED
        message = "the file is cut off: its last Ogg page is missing"
        if lost:
            message = f"the file is damaged: no Ogg page begins at byte {at}"
        raise UtteranceError(reason, message)


_FULL, _FULL_BYTES = 50, 4096
"""Packets of a page of Opus, which has a second, and bytes of one of Vorbis, if it is full."""


class _Stream:
    """What the pages of an Ogg stream tell of its end.

    Encoders fill a page before they begin another, so a last page that is not flagged, and is as
    full as those before, is taken for one of a stream that was cut off between two pages. Where
    each page has one packet, as Android writes them, nothing can be told, and none is suspected.
    """

    def __init__(self) -> None:
        self._packets: list[int] = []
        self._open = True
        self._size = 0

    def add(self, page: bytes) -> None:
        """Take the next page."""
        lacing = page[27 : 27 + page[26]]
        self._packets.append(sum(length < 255 for length in lacing))
        self._open = bool(lacing) and lacing[-1] == 255
        self._size = sum(lacing)

    @property
    def may_end(self) -> bool:
        """Whether it may be whole: it ends behind a packet, on a page less full than before."""
        *before, last = self._packets[2:] or [0]  # behind the pages of its header
        full = last >= max(before) if before else last >= _FULL or self._size >= _FULL_BYTES
        return last > 0 and not self._open and (last == 1 or not full)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the most significant bit first, from 0 and without a final complement.

    zlib has the same polynomial with its bits in reversed order.
    """
    crc = ~zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) & 0xFFFF_FFFF
    return int(f"{crc:032b}"[::-1], 2)
