"""Finds out from the container of an audio file whether the file is whole.

libsndfile (as of 1.2.2) reads a WAV that was cut off as a shorter WAV, an Ogg stream with damaged
or lost pages as a shorter stream (one wrong bit can cost 95 % of it), and an MP3 without a frame
count up to a guess that can be wrong by a third. So these three formats are checked here before
they are decoded.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason

_UNKNOWN_SIZE = 0x7FFF_0000  # from here on: the size of a WAV that was written to a pipe
_JUNK = 65_536  # most bytes before the first MPEG frame


def check_container(path: Path) -> None:
    """Check that a WAV or Ogg file has all the bytes that it declares; other formats pass.

    Raises:
        UtteranceError: AUDIO_TRUNCATED if bytes are missing, AUDIO_UNREADABLE if an Ogg page is
            damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic in (b"RIFF", b"RIFX", b"RF64"):
            _check_riff(file)
        elif magic == b"OggS":
            _check_ogg(magic + file.read())


def _check_riff(file: BinaryIO) -> None:
    """Check that the chunk `data` ends within the file.

    Source: Multimedia Programming Interface and Data Specifications 1.0, 1991.
    """
    size = os.fstat(file.fileno()).st_size
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
                found = size - at - 8
                message = (
                    f"the file is cut off: it declares {declared} bytes of audio and has {found}"
                )
                raise UtteranceError(Reason.AUDIO_TRUNCATED, message)
            return
        at += 8 + length + length % 2


def _check_ogg(data: bytes) -> None:
    """Check that every page is whole and undamaged and every stream has its last page (RFC 3533).

    libsndfile skips a damaged page, and whatever follows the end of a stream.
    """
    at = 0
    began: set[bytes] = set()
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
        if flags & 2 and began and began == ended:
            message = "the file has several Ogg streams in a row; only the first would be read"
            raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
        began.add(serial)
        if flags & 4:
            ended.add(serial)
        at = end
    if began != ended:
        lost = data.find(b"OggS", at) >= 0
        reason = Reason.AUDIO_UNREADABLE if lost else Reason.AUDIO_TRUNCATED
        message = "the file is cut off: its last Ogg page is missing"
        if lost:
            message = f"the file is damaged: no Ogg page begins at byte {at}"
        raise UtteranceError(reason, message)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the most significant bit first, from 0 and without a final complement.

    zlib has the same polynomial with its bits in reversed order.
    """
    crc = ~zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) & 0xFFFF_FFFF
    return int(f"{crc:032b}"[::-1], 2)


class _Frame(NamedTuple):
    """A frame of MPEG audio, layer III, by its position in the file in bytes."""

    at: int
    length: int
    header: int  # its first four bytes
    tag: int  # position of a Xing or Info tag, if it has one


_KBPS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
)
_RATES = (44_100, 48_000, 32_000)


def counted_mp3(data: bytes) -> bytes | None:
    """An MP3 with the number of its frames put in front, or None if it has the number already.

    Without the number (in a Xing or Info tag) the decoder guesses the length from the first
    frames. A stream without a tag does not tell the delay of its encoder either, so its audio
    begins about 24 ms late at 24 kHz (576 samples with LAME); with a tag libmpg123 removes it.

    Args:
        data: the content of the file.

    Raises:
        UtteranceError: AUDIO_TRUNCATED if the last frame is not whole, AUDIO_UNREADABLE if
            something between the frames is not a frame.
    """
    frames = _frames(data)
    first = next(frames, None)
    if first is None:
        return None
    tag = data[first.tag : first.tag + 8]
    tagged = tag[:4] in (b"Xing", b"Info")
    if tagged and tag[7] & 1:
        return None
    # A tag without a number is left out: a second tag would be decoded as if it were audio.
    end = first.at + first.length
    count, start = (0, end) if tagged else (1, first.at)
    for frame in frames:
        count += 1
        end = frame.at + frame.length
    # Behind the last frame there may be tags of other kinds, but no audio.
    if end > len(data):
        raise UtteranceError(
            Reason.AUDIO_TRUNCATED, "the file is cut off inside its last MPEG frame"
        )
    rest = data[end:]
    if rest.strip(b"\0") and not rest.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")):
        message = f"no MPEG frame begins at byte {end} of {len(data)}, behind the frame before"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
    # The frame of the tag: at the highest bit rate, without padding and without a checksum.
    header = (first.header & ~0xF200) | 0xE000 | 0x10000
    front = _frame(header.to_bytes(4, "big"), 0)
    assert front is not None
    tag = b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    tag = header.to_bytes(4, "big").ljust(front.tag, b"\0") + tag
    return tag.ljust(front.length, b"\0") + data[start:end]


def _frames(data: bytes) -> Iterator[_Frame]:
    """The frames from the first one on, as long as each follows directly on the one before."""
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if data[at + 5] & 0x10 else 0)
    frame = next((f for f in _candidates(data, at) if _followed(data, f)), None)
    while frame is not None:
        yield frame
        frame = _frame(data, frame.at + frame.length)


def _candidates(data: bytes, start: int) -> Iterator[_Frame]:
    at = data.find(b"\xff", start)
    while 0 <= at < start + _JUNK:
        frame = _frame(data, at)
        if frame is not None:
            yield frame
        at = data.find(b"\xff", at + 1)


def _followed(data: bytes, frame: _Frame) -> bool:
    after = frame.at + frame.length
    return after >= len(data) or _frame(data, after) is not None


def _frame(data: bytes, at: int) -> _Frame | None:
    """The frame that begins at a byte, or None (ISO/IEC 11172-3, 2.4.1.3, and 13818-3)."""
    if at + 4 > len(data):
        return None
    header = int.from_bytes(data[at : at + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    bitrate, rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[rate] >> (0 if first else 1 if version == 2 else 2)
    length = (144_000 if first else 72_000) * _KBPS[first][bitrate] // hertz + (header >> 9 & 1)
    mono = header >> 6 & 3 == 3
    side = (17 if mono else 32) if first else (9 if mono else 17)
    checksum = 0 if header >> 16 & 1 else 2
    return _Frame(at, length, header, at + 4 + checksum + side)
