"""Tests that need Festival say so and are skipped where it is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_VOICES = Path("/usr/share/festival/voices")


def needs_festival(*voices: str) -> pytest.MarkDecorator:
    """A mark for tests that speak by these voices of Festival."""
    lacking = [voice for voice in voices if not [*_VOICES.glob(f"*/{voice}")]]
    program = shutil.which("festival") is not None
    return pytest.mark.skipif(
        bool(lacking) or not program,
        reason=f"festival with {', '.join(voices)} is not installed",
    )
