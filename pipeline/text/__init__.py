"""From written text to phonemes: clauses, normalised English, pronunciation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ns2.pipeline.text.pronunciation import pronounce

__all__ = ["pronounce"]


def __getattr__(name: str) -> Any:
    """Import `pronounce` when it is first used."""
    if name == "pronounce":
        from ns2.pipeline.text.pronunciation import pronounce

        return pronounce
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
