"""Stages of a user's own, which come from other packages: found, and checked before any work.

A stage is named by the module and the name of its class, `package.module:Class`, or by the name
under which an installed package gives it to the entry point group `ns2.stages`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ns2.model.named_objects import named_object
from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.names import COLUMN_NAME, SCALAR_NAME
from ns2.pipeline.core.schema import COLUMNS, ColumnSpec
from ns2.pipeline.dataset.card_values import PLAIN_DTYPES
from ns2.pipeline.dataset.index import is_taken
from ns2.pipeline.stages.catalogue import stage_classes
from ns2.pipeline.stages.graph import SOURCES
from ns2.pipeline.stages.stage import Stage

GROUP = "ns2.stages"
"""The entry points by which installed packages give stages."""


def own_stages(names: Sequence[str]) -> list[type[Stage]]:
    """The classes of the user's own stages.

    Args:
        names: as `--stage` takes them.

    Raises:
        OptionError: one is not there, can't be imported, or is no stage; the message says why.
    """
    taken = {kind.name: "of ns2" for kind in stage_classes()} | dict.fromkeys(SOURCES, "of ns2")
    found: list[type[Stage]] = []
    for name in dict.fromkeys(names):
        kind = _load(name)
        _check_class(name, kind)
        if kind in found:
            continue
        if kind.name in taken:
            raise OptionError(
                f"--stage {name}: its name is {kind.name}, and there is a stage {kind.name} "
                f"{taken[kind.name]} already; give it another name"
            )
        taken[kind.name] = f"by --stage {name}"
        found.append(kind)
    return found


def _load(name: str) -> Any:
    """What a name stands for.

    Raises:
        OptionError: nothing, or it can't be imported.
    """
    try:
        return named_object(name, GROUP)
    except LookupError as error:
        raise OptionError(f"--stage {name}: {error.args[0]}") from error


def _check_class(name: str, kind: Any) -> None:
    """Raise OptionError if a class is no stage, or lacks something that a stage has."""
    if not (isinstance(kind, type) and issubclass(kind, Stage)):
        raise OptionError(
            f"--stage {name}: it is no stage: expected a subclass of "
            "ns2.pipeline.stages.stage.Stage"
        )
    lacks = sorted(getattr(kind, "__abstractmethods__", ()))
    lacks += [one for one in ("name", "version", "requires") if not hasattr(kind, one)]
    if lacks:
        raise OptionError(f"--stage {name}: the class has no {', '.join(lacks)}")
    if not (isinstance(kind.name, str) and COLUMN_NAME.fullmatch(kind.name)):
        raise OptionError(
            f"--stage {name}: its name {kind.name!r} is none: expected a lower-case letter, and "
            "letters and digits"
        )
    if isinstance(kind.version, bool) or not isinstance(kind.version, int) or kind.version < 0:
        raise OptionError(f"--stage {name}: its version {kind.version!r} is no whole number")
    for field in ("requires", "scalars", "surveyed", "libraries", "assets"):
        value = getattr(kind, field)
        if not (isinstance(value, tuple) and all(isinstance(one, str) for one in value)):
            raise OptionError(f"--stage {name}: its {field} {value!r} are no tuple of names")
    if kind.assets:
        raise OptionError(f"--stage {name}: it needs assets, which are for stages of ns2")
    if inspect.getattr_static(kind, "of") is not inspect.getattr_static(Stage, "of"):
        return
    wanted = [
        one
        for one in inspect.signature(kind).parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if wanted:
        raise OptionError(
            f"--stage {name}: {kind.__name__}() needs {', '.join(map(str, wanted))}: give them "
            "defaults, or make the stage in its class method `of`"
        )


def check_own(own: Sequence[type[Stage]], stages: Sequence[Stage]) -> None:
    """Check the user's own stages of a run, which are made, against all of its stages.

    Raises:
        OptionError: a stage has settings, a column or numbers that a dataset can't hold.
    """
    columns = [stage.name for stage in stages if stage.column is not None]
    numbers: dict[str, str] = {}
    for stage in stages:
        fields = (*stage.scalars, *stage.surveyed)
        if isinstance(stage, tuple(own)):
            for field in fields:
                _check_field(stage, field, columns, numbers)
            _check_made(stage)
        numbers.update(dict.fromkeys(fields, stage.name))


def _check_made(stage: Stage) -> None:
    """Raise OptionError if a stage's settings are no JSON, or its column is none."""
    try:
        canonical_json(stage.config)
    except (TypeError, ValueError) as error:
        raise OptionError(f"stage {stage.name}: its config is no JSON: {error}") from error
    spec = stage.column
    if spec is None:
        if stage.scalars or stage.surveyed:
            raise OptionError(f"stage {stage.name}: it has scalars and no column to keep them")
        return
    if not isinstance(spec, ColumnSpec) or spec.name != stage.name:
        raise OptionError(f"stage {stage.name}: its column is no ColumnSpec of the same name")
    if spec.dtype != "json" and spec.dtype not in PLAIN_DTYPES:
        raise OptionError(
            f"stage {stage.name}: its column is of dtype {spec.dtype}; expected json or one of "
            f"{', '.join(sorted(PLAIN_DTYPES))}"
        )
    letters = {letter for _, axes in COLUMNS.values() for letter in axes}
    wrong = [dim for dim in spec.dims if not _is_axis(dim)]
    if wrong or len(spec.dims) > 4:
        raise OptionError(
            f"stage {stage.name}: its column has axes {spec.dims}; expected at most four, each a "
            f"size or a capital letter ({', '.join(sorted(letters))} as in other columns)"
        )


def _is_axis(dim: Any) -> bool:
    if isinstance(dim, str):
        return len(dim) == 1 and dim.isascii() and dim.isupper()
    return isinstance(dim, int) and not isinstance(dim, bool) and dim > 0


def _check_field(stage: Stage, name: str, columns: Sequence[str], numbers: dict[str, str]) -> None:
    """Raise OptionError if a number of a stage can't be a field of the index."""
    if not SCALAR_NAME.fullmatch(name):
        raise OptionError(
            f"stage {stage.name}: {name!r} is no name of a scalar: expected a lower-case letter, "
            "and letters, digits and _"
        )
    if is_taken(name, columns) or name in numbers:
        of = f" of {numbers[name]}" if name in numbers else ""
        raise OptionError(
            f"stage {stage.name}: the index has a field {name}{of} already; choose another name"
        )
