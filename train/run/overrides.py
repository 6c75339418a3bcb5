"""A training's settings: a preset, then a file, then --set, each laid over what was before.

A file is YAML or JSON, which YAML reads too. Names may be nested, dotted, or both:

    learning_rate: 1e-3
    model:
      denoiser.wavenet.layers: 12
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ns2.model.config_values import changed
from ns2.pipeline.core.errors import OptionError
from ns2.train.run.recipes import training
from ns2.train.run.settings import TrainConfig


def choose(
    name: str, file: Path | None, settings: Sequence[str], steps: int | None = None
) -> TrainConfig:
    """The settings that were asked for.

    Args:
        name: of a preset.
        settings: texts like "a.b=c".
        steps: in all; None for what the rest says.

    Raises:
        OptionError: a name that there is not, with the nearest that there is; a value that does not
            fit; a file that can't be read.
    """
    try:
        config = training(name)
    except ValueError as error:
        raise OptionError(str(error)) from error
    try:
        config = changed(config, read_settings(file)) if file is not None else config
    except ValueError as error:
        raise OptionError(f"{file}: {error}") from error
    changes = dict(_setting(text) for text in settings)
    if steps is not None:
        changes["steps"] = steps
    try:
        return changed(config, changes)
    except ValueError as error:
        raise OptionError(str(error)) from error


def read_settings(file: Path) -> dict[str, Any]:
    """Dotted names and values of a file.

    Raises:
        ValueError: it is neither YAML nor JSON, or no table of names and values.
    """
    import yaml

    class Reader(yaml.SafeLoader):
        """Safe YAML that knows 1e-3 for a number, as JSON does; YAML 1.1 wants 1.0e-3."""

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Reader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        values = yaml.load(file.read_text("utf-8"), Reader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"this is neither YAML nor JSON: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"expected names and values, got {type(values).__name__}")
    return _leaves(values)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"--set takes NAME=VALUE, got {text!r}")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()


def _leaves(values: dict[Any, Any], path: str = "") -> dict[str, Any]:
    """Dotted names of nested values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_leaves(value, f"{path}{name}."))
        else:
            found[f"{path}{name}"] = value
    return found
