"""Tests; folders are those of the code. `python -m tests.seeded_encodec` makes test weights."""

from pathlib import Path

__path__ += [str(Path(__file__).with_name("support"))]
