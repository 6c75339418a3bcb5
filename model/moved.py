"""Modules that documents named before they moved: their imports stay valid."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping
from typing import Any


class _Moved(types.ModuleType):
    """Stands where a module was; what is asked for comes from where it is now."""

    def __init__(self, name: str, target: str) -> None:
        super().__init__(name, f"Moved to `{target}`.")
        self.__file__ = None
        self._target = target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._target), name)


def moved(package: str, modules: Mapping[str, str]) -> None:
    """Keep imports of modules that moved valid; nothing is loaded before it is used.

    Args:
        package: that they lay in.
        modules: where each of them is now, by its name in the package.
    """
    for name, target in modules.items():
        sys.modules[f"{package}.{name}"] = _Moved(f"{package}.{name}", target)
