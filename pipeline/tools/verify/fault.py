"""A fault: what is wrong in a dataset, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ns2.pipeline.remote.faults import RemoteError

MOST_FAULTS = 20
"""The most faults of a file that are named; of the others only the number is given."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that is wrong in a dataset, and where.

    Attributes:
        place: the file, relative to the dataset.
        column, shard, key: empty (None for shard) where they do not apply or are unknown.
        message: what was found and what was expected.
    """

    place: str
    column: str = ""
    shard: int | None = None
    key: str = ""
    message: str

    def __str__(self) -> str:
        where = [self.place]
        if self.column:
            where.append(f"column {self.column}")
        if self.shard is not None:
            where.append(f"shard {self.shard}")
        if self.key:
            where.append(f"key {self.key}")
        return f"{', '.join(where)}: {self.message}"


@contextmanager
def caught(faults: list[Fault], place: str, **where: Any) -> Iterator[None]:
    """Turn any exception into a fault: damaged input must not end a verification.

    A place that can't be reached is no damage, and ends it.
    """
    try:
        yield
    except RemoteError:
        raise
    except FileNotFoundError:
        faults.append(Fault(place=place, message="is missing", **where))
    except OSError as error:
        faults.append(Fault(place=place, message=error.strerror or str(error), **where))
    except ValueError as error:
        faults.append(Fault(place=place, message=str(error), **where))
    except Exception as error:
        faults.append(Fault(place=place, message=f"{type(error).__name__}: {error}", **where))
