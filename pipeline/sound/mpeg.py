"""Frames of MPEG audio, layer III: how many an MP3 has, whatever its header says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason

_JUNK = 65_536  # most bytes before the first MPEG frame
_FEWER = 0.9  # a number of frames below this share of those that follow is wrong


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
    """An MP3 with the number of its frames put in front, or None if it has the right one already.

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
        return _recounted(data, first, frames)
    # A tag without a number is left out: a second tag would be decoded as if it were audio.
    end = first.at + first.length
    count, start = (0, end) if tagged else (1, first.at)
    for frame in frames:
        count += 1
        end = frame.at + frame.length
    _check_rest(data, end)
    # The frame of the tag: at the highest bit rate, without padding and without a checksum.
    header = (first.header & ~0xF200) | 0xE000 | 0x10000
    front = _frame(header.to_bytes(4, "big"), 0)
    assert front is not None
    tag = b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    tag = header.to_bytes(4, "big").ljust(front.tag, b"\0") + tag
    return tag.ljust(front.length, b"\0") + data[start:end]


def _check_rest(data: bytes, end: int) -> None:
    """Check that behind the last frame there are tags of other kinds at most, but no audio."""
    if end > len(data):
        raise UtteranceError(
            Reason.AUDIO_TRUNCATED, "the file is cut off inside its last MPEG frame"
        )
    rest = data[end:]
    if rest.strip(b"\0") and not rest.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")):
        message = f"no MPEG frame begins at byte {end} of {len(data)}, behind the frame before"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message)


def _recounted(data: bytes, first: _Frame, frames: Iterator[_Frame]) -> bytes | None:
    """An MP3 whose tag has a wrong number of frames, with the right one; None if it is right.

    A number that is too large is that of a file that was cut off, which its decoder notices, unless
    no file of its size has so many, or it has all the bytes that the tag tells.
    """
    there, end = 0, first.at + first.length
    for frame in frames:
        there, end = there + 1, frame.at + frame.length
    at = first.tag + 8
    declared = int.from_bytes(data[at : at + 4], "big")
    told = int.from_bytes(data[at + 4 : at + 8], "big") if data[first.tag + 7] & 2 else 0
    whole = 0 < told <= len(data) - first.at
    most = there / _FEWER + 2 if whole else len(data)
    if _FEWER * there - 2 <= declared <= most:
        return None
    _check_rest(data, end)
    return data[:at] + there.to_bytes(4, "big") + data[at + 4 :]


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
