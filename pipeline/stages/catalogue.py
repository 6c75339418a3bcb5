"""All stages: every subclass of `Stage` in a module of this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from ns2.pipeline import stages
from ns2.pipeline.stages.graph import SOURCES
from ns2.pipeline.stages.stage import Stage, StageSettings


def stage_classes() -> list[type[Stage]]:
    """The classes of all stages, those of one module in the order in which they stand there."""
    classes: list[type[Stage]] = []
    found = pkgutil.walk_packages(stages.__path__, f"{stages.__name__}.")
    for module in sorted(info.name for info in found):
        loaded = importlib.import_module(module)
        classes += [
            value
            for value in vars(loaded).values()
            if isinstance(value, type)
            and issubclass(value, Stage)
            and value.__module__ == loaded.__name__
            and hasattr(value, "name")
        ]
    return classes


def make_stages(settings: StageSettings, own: Sequence[type[Stage]] = ()) -> list[Stage]:
    """The stages of a run, each after those that it requires.

    Args:
        own: classes of the user's own stages.

    Raises:
        UserError, ValueError: an option has a value that a stage can't work with, or a stage
            requires what none provides.
        RuntimeError: two stages provide the same.
    """
    kinds = (*stage_classes(), *own)
    made = [stage for kind in kinds if (stage := kind.of(settings)) is not None]
    names = [stage.name for stage in made]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RuntimeError(f"several stages provide {', '.join(sorted(twice))}")
    return _in_order(made)


def _in_order(made: Sequence[Stage]) -> list[Stage]:
    """Stages after what they require; among those that could be next, by `order` and name."""
    waiting = sorted(made, key=lambda stage: (stage.order, stage.name))
    ordered: list[Stage] = []
    known = set(SOURCES)
    while waiting:
        ready = next((s for s in waiting if known.issuperset(s.requires)), None)
        if ready is None:
            left = ", ".join(f"{s.name} ({', '.join(s.requires)})" for s in waiting)
            raise ValueError(f"no stage provides what these require: {left}")
        waiting.remove(ready)
        ordered.append(ready)
        known.add(ready.name)
    return ordered
