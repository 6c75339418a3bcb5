"""Reading files that may come from a stranger: regular files only, and no more than fits.

Opening a pipe would wait for ever, and a device never ends. A link to a regular file is followed:
caches of hubs are made of links.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

SMALL = 64 << 20
"""The most bytes of a small file, such as a card or a config: far more than any has."""
_DEEPEST = 100


def check_regular(path: Path) -> os.stat_result:
    """See that a path, perhaps by links, leads to a regular file.

    Returns:
        its status.

    Raises:
        OSError: there is no file, or it is a folder, a pipe or a device.
    """
    status = path.stat()
    _check(status, path)
    return status


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to be read; anything else is refused and never waited for.

    Raises:
        OSError: there is no file, or it is a folder, a pipe or a device.
    """
    check_regular(path)  # opening some devices does something
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        _check(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def read_small(path: Path, most: int = SMALL) -> bytes:
    """The bytes of a regular file of bounded size.

    Raises:
        OSError: see `open_regular`; or the file is larger.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"is larger than {most >> 20} MiB", str(path))
    return data


def parse_json(data: bytes | str, *, finite: bool = True) -> Any:
    """The value of a JSON text, which is nested at most 100 deep.

    Args:
        finite: whether its numbers have to be; others write NaN for what they don't know.

    Raises:
        ValueError: it is no such text.
    """
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        value = json.loads(text, parse_constant=_not_a_number if finite else float)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    _check_value(value, 0, finite)
    return value


def read_json(path: Path) -> Any:
    """The value of a small JSON file, see `parse_json`.

    Raises:
        OSError: see `read_small`.
        ValueError: it is not JSON.
    """
    return parse_json(read_small(path))


def _check(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, no file", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is no regular file, but a pipe or a device", str(path))


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"holds {text}, which is no JSON number")


def _check_value(value: Any, depth: int, finite: bool) -> None:
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    if finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is too large")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _check_value(part, depth + 1, finite)
