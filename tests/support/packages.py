"""Packages of others, as an installation would lay them into a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def installed(
    folder: Path, module: str, source: str, entry: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Have a package of one module on the path, and forget the module afterwards.

    Args:
        folder: to lay it into.
        entry: what its entry_points.txt says.
    """
    name = module.replace("_", "-")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop(module, None)
