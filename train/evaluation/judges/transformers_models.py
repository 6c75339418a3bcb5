"""Models of the library transformers, by name or folder."""

from __future__ import annotations

from typing import Any

from ns2.pipeline.core.errors import UserError


def load_transformers() -> Any:
    """The module transformers.

    Raises:
        UserError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise UserError(
            "models by name need transformers, which is not installed: pip install transformers"
        ) from None
    return transformers


def not_loaded(name: str, error: Exception) -> UserError:
    """The error for a model that can't be loaded, with the first line of what its library says."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return UserError(
        f"the model {name!r} can't be loaded: {first}. Give its folder, or a name that "
        "transformers can download here."
    )
