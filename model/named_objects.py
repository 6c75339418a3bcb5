"""Classes of a user's own, which come from other packages and are named on the command line.

A class is named by its module and name, `package.module:Class`, or by the name under which an
installed package gives it to a group of entry points.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any


def given_names(group: str) -> dict[str, EntryPoint]:
    """What installed packages give to a group of entry points, by name."""
    return {point.name: point for point in entry_points(group=group)}


def named_object(name: str, group: str) -> Any:
    """What a name stands for.

    Raises:
        LookupError: nothing, or it can't be imported; the message says why.
    """
    module, colon, path = name.partition(":")
    if not colon:
        given = entry_points(group=group)
        if not (found := [point for point in given if point.name == name]):
            known = ", ".join(sorted({point.name for point in given})) or "none"
            raise LookupError(
                f"no installed package has an entry point of this name in {group} (there: "
                f"{known}); a class is named as package.module:Class"
            )
        if len({point.value for point in found}) > 1:
            values = ", ".join(sorted(point.value for point in found))
            raise LookupError(f"several packages give it ({values}); name one of the classes")
        module, _, path = found[0].value.partition(":")
    if not (module and path):
        raise LookupError("expected package.module:Class")
    loaded = _import(module)
    for part in path.split("."):
        if not hasattr(loaded, part):
            raise LookupError(f"{module} has no {path}")
        loaded = getattr(loaded, part)
    return loaded


def _import(module: str) -> Any:
    """Import a module; the folder in which the command runs is looked in last.

    Raises:
        LookupError: it can't be imported.
    """
    here = str(Path.cwd())
    if not {"", here}.intersection(sys.path):
        sys.path.append(here)  # of which Ray's workers get a copy
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever its code raises
        said = f"{type(error).__name__}: {error}"
        raise LookupError(
            f"the module {module} can't be imported: {said}. Install its package, or add the "
            "folder that it lies in to PYTHONPATH."
        ) from error
