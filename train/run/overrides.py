"""The settings that a command line asks for: a preset, changed by a file, changed by --set.

A file is YAML, of which JSON is a part. Names may be nested, dotted, or both:

    learning_rate: 1e-3
    model:
      denoiser.wavenet.layers: 12
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ns2.model.config_values import changed
from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.reading import parse_json, read_small
from ns2.train.data.mix import parse_mix
from ns2.train.run.recipes import ADAPT, other_model, training, training_from
from ns2.train.run.settings import TrainConfig

BASE = "base"
"""The preset that is taken where none is named."""
_LARGEST = 1 << 20
"""The most bytes of a file of settings."""


def choose(
    name: str | None,
    file: Path | None,
    settings: Sequence[str],
    steps: int | None = None,
    mix: Sequence[str] = (),
    origin: TrainConfig | None = None,
) -> TrainConfig:
    """The settings that a command line asks for.

    Args:
        name: the preset; None for `base`, and for `adapt` with an origin.
        file: changes the preset's settings; None for no file.
        settings: texts like "a.b=c", which change those of the file.
        steps: the number of steps in all; None leaves it as the rest has it.
        mix: the parts of the mix; without any it is left as the rest has it.
        origin: the settings of the run whose weights the training begins with; None for none.

    Raises:
        OptionError: a setting does not exist (the message names the nearest that does), a value
            does not fit, the file can't be read, or the model is another than the origin's.
    """
    try:
        config = training_from(name or ADAPT, origin) if origin else training(name or BASE)
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
        if mix:
            changes["mix"] = parse_mix(mix).text
        config = changed(config, changes)
    except ValueError as error:
        raise OptionError(str(error)) from error
    if origin is not None and (told := other_model(config.model, origin.model)):
        raise OptionError(f"the model is that of the run of --init, and can't be changed: {told}")
    return config


def named(file: Path | None, settings: Sequence[str]) -> set[str]:
    """Dotted names of the settings that a command line names, see `choose`."""
    names = {_setting(text)[0] for text in settings}
    return names if file is None else names | set(read_settings(file))


def read_settings(file: Path) -> dict[str, Any]:
    """Dotted names of the settings in a file, and their values.

    Raises:
        ValueError: the file is neither YAML nor JSON, or holds no names with values.
    """
    import yaml

    class Reader(yaml.SafeLoader):
        """Safe YAML that reads 1e-3 as a number, as JSON does; YAML 1.1 wants 1.0e-3."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Refuse aliases: a few lines of them stand for more values than fit into memory."""
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not taken; write the values out")
            return super().compose_node(parent, index)

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Reader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        values = yaml.load(read_small(file, _LARGEST).decode("utf-8"), Reader)
    except OSError:
        raise
    except Exception as error:  # tags such as !!int fail in many ways
        raise ValueError(f"the file is neither YAML nor JSON: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"expected names and values, got {type(values).__name__}")
    return _leaves(values)


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of a text like "a.b=c"; a value that is no JSON is a word."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"--set takes NAME=VALUE, got {text!r}")
    try:
        return name.strip(), parse_json(value)
    except ValueError:
        return name.strip(), value.strip()


def _leaves(values: dict[Any, Any], path: str = "") -> dict[str, Any]:
    """Dotted names of nested settings, and their values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_leaves(value, f"{path}{name}."))
        else:
            found[f"{path}{name}"] = value
    return found
