"""What a URL is, and where its copies lie on this machine."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ns2.pipeline.core.errors import OptionError, UserError

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://.+", re.DOTALL)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

CACHE_VARIABLE, SIZE_VARIABLE = "NS2_CACHE", "NS2_CACHE_SIZE"
"""Variables of the environment: the folder of copies, and how large it may be."""
CACHE_SIZE = "50G"
"""How large the folder of copies may be unless something else is said."""


def is_url(place: object) -> bool:
    """Whether a place is a URL, such as s3://bucket/shards, and not a path."""
    return isinstance(place, str) and _URL.fullmatch(place) is not None


def tidy(url: str) -> str:
    """A URL without slashes at its end."""
    return url.rstrip("/")


def cache_folder() -> Path:
    """The folder of copies: $NS2_CACHE, or ns2 in the user's folder for caches."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "ns2"


def make_folder(folder: Path) -> None:
    """Make a folder of copies where it is missing.

    Raises:
        UserError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder of copies {cache_folder()} can't be used ({error.strerror}); name another "
            f"one with --cache or {CACHE_VARIABLE}"
        ) from error


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk has no room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def copies_told() -> Iterator[None]:
    """Work with the folder of copies; where there is no room for them, say so.

    Raises:
        UserError: there is none.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise UserError(
            f"there is no room for copies in {cache_folder()} ({error.strerror}): make room there, "
            f"or name another folder with --cache or {CACHE_VARIABLE}"
        ) from error


def cache_size() -> int:
    """The most bytes of the folder of copies: $NS2_CACHE_SIZE, or 50 GB.

    Raises:
        OptionError: it is no size.
    """
    return parse_size(os.environ.get(SIZE_VARIABLE) or CACHE_SIZE)


def parse_size(text: str) -> int:
    """The bytes of a size such as 200G, 512MB or 1.5T, in powers of ten.

    Raises:
        OptionError: it is no size, or below 1 MB.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise OptionError(f"--cache-size {text}: expected a number and a unit, such as 200G")
    size = int(float(found[1]) * _UNITS[found[2].upper()])
    if size < 10**6:
        raise OptionError(f"--cache-size {text} is less than a megabyte; name a unit, such as 200G")
    return size


def copy_folder(url: str) -> Path:
    """The folder of the copies of one URL; another server at the same name has another one."""
    server = os.environ.get("AWS_ENDPOINT_URL", "") if url.startswith("s3") else ""
    digest = hashlib.sha256(f"{server}\n{tidy(url)}".encode()).hexdigest()[:16]
    return cache_folder() / digest / (tidy(url).rsplit("/", 1)[-1] or "root")
