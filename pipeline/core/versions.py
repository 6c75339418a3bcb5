"""Versions of installed packages."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version(name: str) -> str:
    """The version of an installed package, which is looked up once: that takes a millisecond.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    return metadata.version(name)
