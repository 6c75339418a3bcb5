"""Configs, which are frozen dataclasses, as plain values and back; changes by dotted names.

    changed(config, {"denoiser.wavenet.layers": 12})

A field's documentation is the string below it. It is also the help text of the option that is made
of the field, so that each default and each explanation are written once.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import json
import math
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


def to_values(config: Any) -> dict[str, Any]:
    """Return a config as JSON values."""
    return asdict(config)


def flat_values(config: Any) -> dict[str, str]:
    """Return dotted names of all settings of a config, and their values as JSON."""
    return _flat(to_values(config), "")


def _flat(values: Mapping[str, Any], path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{path}{name}."))
        else:
            found[f"{path}{name}"] = json.dumps(value)
    return found


def from_values(kind: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """Build the config that `to_values` took apart; missing fields have their defaults.

    Args:
        kind: the class of the config.
        values: the values by the names of fields.
        path: the dotted name of the config in a larger one, for messages.

    Raises:
        ValueError: a name is unknown, or a value has another type; the message says which.
    """
    if not isinstance(values, Mapping):
        what = path or "a config"
        raise ValueError(f"{what} must hold names and values, got {type(values).__name__}")
    types_of = typing.get_type_hints(kind)
    given = {}
    for name, value in values.items():
        where = f"{path}.{name}" if path else name
        if name not in types_of:
            raise ValueError(_unknown(where, name, list(types_of)))
        given[name] = _value(types_of[name], value, where)
    return kind(**given)


def changed(config: T, changes: Mapping[str, Any]) -> T:
    """Return a config with changed values, by dotted names.

    Raises:
        ValueError: see `from_values`; or the config rejects the values.
    """
    result: T = _changed(config, list(changes.items()), "")
    return result


def _changed(config: Any, changes: list[tuple[str, Any]], path: str) -> Any:
    types_of = typing.get_type_hints(type(config))
    inner: dict[str, list[tuple[str, Any]]] = {}
    given: dict[str, Any] = {}
    for name, value in changes:
        first, _, rest = name.partition(".")
        where = f"{path}.{first}" if path else first
        if first not in types_of:
            raise ValueError(_unknown(where, first, list(types_of)))
        if rest:
            if not is_dataclass(getattr(config, first)):
                raise ValueError(f"{where} is a single value and has no setting {rest!r}")
            inner.setdefault(first, []).append((rest, value))
        else:
            given[first] = _value(types_of[first], value, where)
    for first, below in inner.items():
        where = f"{path}.{first}" if path else first
        given[first] = _changed(given.get(first, getattr(config, first)), below, where)
    return replace(config, **given)


def _unknown(where: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(known)}"
    return f"there is no setting {where}; {hint}"


def _value(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, kind):
            return value
        if isinstance(value, Mapping):
            return from_values(kind, value, where)
        raise ValueError(f"{where} is a group of settings; name one of them, such as {where}.NAME")
    if isinstance(kind, types.UnionType):
        if value is None and type(None) in kind.__args__:
            return None
        (kind,) = (k for k in kind.__args__ if k is not type(None))
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        if value not in allowed:
            raise ValueError(
                f"{where} must be one of {', '.join(map(str, allowed))}, got {value!r}"
            )
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{where} must be {_named(kind)} that is not so large") from None
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError(f"{where} must be {_named(kind)}, got {value!r}")
    return value


def _named(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(kind, str(kind))


@functools.cache
def field_docs(kind: type) -> Mapping[str, str]:
    """Return the documentation of each field of a config class, inherited fields included.

    Returns:
        the string below each field, its lines joined; fields without a string are left out.
    """
    docs: dict[str, str] = {}
    for owner in reversed([base for base in kind.__mro__ if is_dataclass(base)]):
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                docs[field.target.id] = " ".join(below.value.value.split())
    return docs
