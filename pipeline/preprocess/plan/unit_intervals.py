"""Numbers that chance draws of many keys at once, as `unit_interval` draws them of one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ns2.model.aligner.kernels import compiled, on_all_cores

_PART = 1 << 17
_LONGEST = 119
"""The most bytes of salt and text together: those of two blocks of SHA-256."""


def _first_bits(degree: int, count: int) -> np.ndarray:
    """The first 32 bits behind the point of the roots of the first primes."""
    found: list[int] = []
    number, primes = 2, list[int]()
    while len(primes) < count:
        if all(number % prime for prime in primes):
            primes.append(number)
            found.append(_root(number << (32 * degree), degree) & 0xFFFFFFFF)
        number += 1
    return np.array(found, np.uint32)


def _root(number: int, degree: int) -> int:
    """The whole part of a root."""
    low, high = 0, number
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= number else (low, middle)
    return low


_ROUNDS, _START = _first_bits(3, 64), _first_bits(2, 8)


def unit_intervals(texts: pa.Array, salt: str) -> np.ndarray:
    """Numbers in [0, 1) that depend only on texts and salt, (n,) float64; see `unit_interval`.

    Raises:
        ValueError: salt and the longest text have more than 118 bytes.
    """
    whole = texts.cast(pa.large_string())
    _, buffer, data = whole.buffers()
    offsets = np.frombuffer(buffer, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    before = np.frombuffer(salt.encode() + b"\0", np.uint8)
    if len(whole) and len(before) + int(np.diff(offsets).max()) > _LONGEST:
        raise ValueError("a text is too long")
    bytes_, out = np.frombuffer(data or b"\0", np.uint8), np.zeros(len(whole), np.uint64)

    def work(begin: int) -> None:
        end = min(begin + _PART, len(whole))
        _draw(before, bytes_, offsets[begin : end + 1], _ROUNDS, _START, out[begin:end])

    on_all_cores(work, range(0, len(whole), _PART))
    return np.asarray(out.astype(np.float64) / 2.0**64)


@compiled
def _draw(
    before: np.ndarray, data: np.ndarray, offsets: np.ndarray, rounds: np.ndarray,
    start: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """The first 8 bytes of the SHA-256 of each text behind what comes before it."""
    block, words, state = np.zeros(128, np.uint8), np.zeros(64, np.int64), np.zeros(8, np.int64)
    head = len(before)
    for i in range(len(out)):
        size = head + offsets[i + 1] - offsets[i]
        block[:] = 0
        block[:head] = before
        block[head:size] = data[offsets[i] : offsets[i + 1]]
        block[size] = 0x80
        blocks = 1 if size < 56 else 2
        block[64 * blocks - 2], block[64 * blocks - 1] = (8 * size) >> 8, (8 * size) & 255
        for j in range(8):
            state[j] = start[j]
        for j in range(blocks):
            _compress(block[64 * j : 64 * j + 64], words, rounds, state)
        out[i] = (np.uint64(state[0]) << np.uint64(32)) | np.uint64(state[1])


@compiled
def _turned(word: int, by: int) -> int:
    return ((word >> by) | (word << (32 - by))) & 0xFFFFFFFF


@compiled
def _compress(block: np.ndarray, words: np.ndarray, rounds: np.ndarray, state: np.ndarray) -> None:
    """One block of SHA-256 (FIPS 180-4, section 6.2.2); words of 32 bits in numbers of 64."""
    for t in range(16):
        words[t] = 0
        for j in range(4):
            words[t] = (words[t] << 8) | block[4 * t + j]
    for t in range(16, 64):
        one, two = words[t - 15], words[t - 2]
        low = _turned(one, 7) ^ _turned(one, 18) ^ (one >> 3)
        high = _turned(two, 17) ^ _turned(two, 19) ^ (two >> 10)
        words[t] = (high + words[t - 7] + low + words[t - 16]) & 0xFFFFFFFF
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for t in range(64):
        high = _turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)
        first = h + high + ((e & f) ^ (~e & g)) + np.int64(rounds[t]) + words[t]
        low = _turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)
        second = low + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e = g, f, e, (d + first) & 0xFFFFFFFF
        d, c, b, a = c, b, a, (first + second) & 0xFFFFFFFF
    state[0], state[1] = (state[0] + a) & 0xFFFFFFFF, (state[1] + b) & 0xFFFFFFFF
    state[2], state[3] = (state[2] + c) & 0xFFFFFFFF, (state[3] + d) & 0xFFFFFFFF
    state[4], state[5] = (state[4] + e) & 0xFFFFFFFF, (state[5] + f) & 0xFFFFFFFF
    state[6], state[7] = (state[6] + g) & 0xFFFFFFFF, (state[7] + h) & 0xFFFFFFFF
