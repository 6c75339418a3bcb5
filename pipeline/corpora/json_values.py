"""Values of lines of JSON, found in their bytes by compiled code, without a Python object each."""

from __future__ import annotations

import numpy as np

from ns2.model.aligner.kernels import compiled

NULL, NAME, TEXT, ESCAPED, NUMBER, WHOLE = range(6)
"""Kinds of values: null; a string of printed ASCII without escapes; any other without; one with; a
number; a number that is whole."""


@compiled
def gather(data: np.ndarray, begins: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Copy values that begin at places (n,) of `data` to their offsets (n + 1,) in `out`."""
    for i in range(len(begins)):
        for j in range(offsets[i + 1] - offsets[i]):
            out[offsets[i] + j] = data[begins[i] + j]


@compiled
def plain_paths(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, plain: np.ndarray) -> None:
    """Which paths are relative, and of parts that are neither empty nor hidden."""
    for i in range(len(begins)):
        fresh, fine = True, ends[i] > begins[i] and ends[i] - begins[i] < 1000
        for at in range(begins[i], ends[i]):
            byte = data[at]
            if fresh and (byte == 46 or byte == 47 or byte == 95):  # . / _
                fine = False
            fresh = byte == 47
        plain[i] = fine and not fresh


@compiled
def _after_blanks(data: np.ndarray, at: int, end: int) -> int:
    while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 13):
        at += 1
    return at


@compiled
def read_all(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, heads: np.ndarray, cuts: np.ndarray,
    text_place: int, begins: np.ndarray, finals: np.ndarray, kinds: np.ndarray, plain: np.ndarray,
    says: np.ndarray,
) -> None:  # fmt: skip
    """Read rows whose names are those of a template; `plain` tells which have this form."""
    for i in range(len(starts)):
        end = ends[i]
        at = _after_blanks(data, starts[i], end)
        if at >= end or data[at] != 123:  # {
            continue
        at += 1
        good = True
        for field in range(len(cuts) - 1):
            at = _after_blanks(data, at, end)
            if field:
                if at >= end or data[at] != 44:  # ,
                    good = False
                    break
                at = _after_blanks(data, at + 1, end)
            size = cuts[field + 1] - cuts[field]
            if at + size >= end:
                good = False
                break
            for j in range(size):
                if data[at + j] != heads[cuts[field] + j]:
                    good = False
            at = _after_blanks(data, at + size, end)
            if not good or at >= end or data[at] != 58:  # :
                good = False
                break
            at = _after_blanks(data, at + 1, end)
            kind, begin, final, at, spoken = _value(data, at, end)
            if kind < 0:
                good = False
                break
            kinds[field, i], begins[field, i], finals[field, i] = kind, begin, final
            if field == text_place:
                says[i] = spoken
        if good:
            at = _after_blanks(data, at, end)
            plain[i] = at < end and data[at] == 125 and _after_blanks(data, at + 1, end) == end


@compiled
def _value(data: np.ndarray, at: int, end: int) -> tuple[int, int, int, int, bool]:
    """Kind, begin and end of a value, where what follows begins, and whether it has a letter.

    The kind is -1 for what is not plain.
    """
    if at >= end:
        return -1, 0, 0, at, False
    if data[at] == 34:  # "
        return _string(data, at + 1, end)
    if data[at] == 110:  # null
        good = at + 4 <= end and data[at + 1] == 117 and data[at + 2] == 108 and data[at + 3] == 108
        return (0 if good else -1), at, at, at + 4, False
    return _number(data, at, end)


@compiled
def _string(data: np.ndarray, begin: int, end: int) -> tuple[int, int, int, int, bool]:
    kind, at, spoken = 1, begin, False
    while at < end:
        byte = data[at]
        if byte == 34:
            trimmed = at > begin and (data[begin] <= 32 or data[at - 1] <= 32)
            return (2 if kind == 1 and trimmed else kind), begin, at, at + 1, spoken
        if byte < 32 or byte == 127:
            return -1, 0, 0, at, False
        if byte > 127:
            kind = max(kind, 2)
        if byte == 92:  # an escape
            kind = 3
            if at + 1 >= end:
                return -1, 0, 0, at, False
            named = data[at + 1]
            if named == 117:  # \u, but of a surrogate, a control or a blank
                if at + 6 > end or not _is_letter(data, at + 2):
                    return -1, 0, 0, at, False
                at += 6
                continue
            if named != 34 and named != 92 and named != 47:
                return -1, 0, 0, at, False
            at += 2
            continue
        if 32 < byte < 127:
            spoken = True
        at += 1
    return -1, 0, 0, at, False


@compiled
def _is_letter(data: np.ndarray, at: int) -> bool:
    """Whether four hex digits name a character that is no surrogate, control or blank."""
    code = 0
    for j in range(4):
        byte = data[at + j]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= byte <= 102:
            digit = byte - 87
        elif 65 <= byte <= 70:
            digit = byte - 55
        else:
            return False
        code = 16 * code + digit
    return code > 160 and not 0xD800 <= code <= 0xDFFF and not 0x2000 <= code <= 0x206F


@compiled
def _number(data: np.ndarray, begin: int, end: int) -> tuple[int, int, int, int, bool]:
    """A number as JSON writes it; a negative one is not plain."""
    at, whole, digits = begin, True, 0
    while at < end and 48 <= data[at] <= 57:
        at += 1
        digits += 1
    if not digits or (digits > 1 and data[begin] == 48) or digits > 15:
        return -1, 0, 0, at, False
    if at < end and data[at] == 46:
        whole, digits = False, 0
        at += 1
        while at < end and 48 <= data[at] <= 57:
            at += 1
            digits += 1
        if not digits:
            return -1, 0, 0, at, False
    if at < end and (data[at] == 101 or data[at] == 69):  # an exponent
        return -1, 0, 0, at, False
    return (5 if whole else 4), begin, at, at, False
