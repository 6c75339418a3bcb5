"""Lazy aliases of modules that have moved, so that imports shown in documents stay valid."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping
from typing import Any


class _Moved(types.ModuleType):
    """A module whose attributes are those of another module, which is imported on first use."""

    def __init__(self, name: str, target: str) -> None:
        super().__init__(name, f"Moved to `{target}`.")
        self.__file__ = None
        self._target = target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._target), name)


def moved(package: str, modules: Mapping[str, str]) -> None:
    """Keep the imports of moved modules valid; a module is imported when it is first used.

    Args:
        package: the package that the modules were in.
        modules: the new full name of each module, by its old name in the package.
    """
    for name, target in modules.items():
        sys.modules[f"{package}.{name}"] = _Moved(f"{package}.{name}", target)
