"""Strategies of hypothesis that spoil valid inputs."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_EDITS = 6
_BYTES = (b"\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f")
_TEXTS = (
    b"\n", b"\r\n", b"\t", b"|", b",", b'"', b"'", b"\\", b"/", b"..", b"../", b"{", b"}", b"[",
    b"]", b"(", b")", b"-", b"+", b"0", b"1e999", b"nan", b"inf", b"-1", b"9" * 400, b"9" * 5000,
    b"[" * 3000, b"{" * 300, b"(" * 3000, b"a" * 5000, b"http://host/a.wav?x=1#y", b"s3://b/c",
    b"file:///etc/passwd", b"/dev/zero", b"C:\\a", b"%2e%2e%2f", b"\xef\xbb\xbf", b"\xff\xfe",
    "\u202e".encode(), "\u2066".encode(), "e\u0301".encode(), b"\xed\xa0\x80",
    "\U0001f600".encode(), b"\x1b[2J", b"\x1b]0;x\x07", b"null", b"true", b"NaN", b"Infinity",
    b"&a", b"*a", b"!!python",
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, samples: Sequence[bytes], tokens: Sequence[bytes], text: bool) -> bytes:
    """A valid input with some edits.

    Args:
        samples: valid inputs.
        tokens: what is put in and over, besides what most readers dislike.
        text: whether the inputs are texts, in which zeros and odd bytes are rarer.
    """
    data = bytearray(draw(st.sampled_from(samples)))
    known = (*tokens, *_TEXTS) if text else (*tokens, *_BYTES)
    for _ in range(draw(st.integers(0, _EDITS))):
        # heads are short, and most of what is wrong is wrong in them
        most = len(data) if draw(st.booleans()) else min(len(data), 200)
        at = draw(st.integers(0, most))
        kind = draw(st.integers(0, 7))
        if kind <= 1:
            data[at:at] = draw(st.sampled_from(known))
        elif kind == 2:
            token = draw(st.sampled_from(known))
            data[at : at + len(token)] = token
        elif kind == 3:
            del data[at : at + draw(st.sampled_from((1, 2, 4, 16, 100, 10_000)))]
        elif kind == 4:
            piece = data[at : at + draw(st.sampled_from((1, 4, 30, 200)))]
            data[at:at] = piece * draw(st.sampled_from((1, 2, 50)))
        elif kind == 5 and data:
            data[min(at, len(data) - 1)] ^= 1 << draw(st.integers(0, 7))
        elif kind == 6:
            other = draw(st.sampled_from(samples))
            begin = draw(st.integers(0, len(other)))
            data[at:] = other[begin:]
        else:
            data[at : at + 8] = draw(st.binary(max_size=12))
    return bytes(data)
