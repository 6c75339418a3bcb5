"""The data of a run: which utterances, in which order, and fetching them ahead of use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ns2.train.data.prefetch import Reader
    from ns2.train.data.selection import open_data

__all__ = ["Reader", "open_data"]


def __getattr__(name: str) -> Any:
    """Load a name of the package when it is first used."""
    if name == "Reader":
        from ns2.train.data.prefetch import Reader

        return Reader
    if name == "open_data":
        from ns2.train.data.selection import open_data

        return open_data
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
