"""Hostile things by name; each file here registers those of one family."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FAMILIES = ("keys", "paths", "cards", "values", "files")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a kind is made.

    Attributes:
        dataset: a copy of a valid dataset, to be changed.
        victim: a folder of somebody else, which nothing may change.
    """

    dataset: Path
    victim: Path


Make = Callable[[Place], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A hostile thing.

    Attributes:
        make: changes a dataset into it.
        found: whether `ns2 verify` has to find it; links, for example, may be meant well.
        in_ci: whether it is tried in continuous integration.
    """

    make: Make
    found: bool = True
    in_ci: bool = False


KINDS: dict[str, Kind] = {}


def kind(name: str, *, found: bool = True, in_ci: bool = False) -> Callable[[Make], Make]:
    """Register a function that makes a hostile dataset."""

    def add(make: Make) -> Make:
        assert name not in KINDS, name
        KINDS[name] = Kind(make=make, found=found, in_ci=in_ci)
        return make

    return add


def all_kinds() -> dict[str, Kind]:
    """All kinds of all families, by name."""
    for family in FAMILIES:
        importlib.import_module(f"tests.hostile.kinds.{family}")
    return KINDS
