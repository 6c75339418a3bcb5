"""What the stages that measure recordings share: who asks for them, and what must be installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, ClassVar, Self

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.stages.stage import Stage, StageOptions, StageSettings

INSTALL = "pip install 'ns2[quality]'"


class MeasureStage(Stage):
    """A stage that a run has where `--quality` is given, or `--columns` names it.

    Class attributes:
        modules: what must be installed.
    """

    modules: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        """The modules that it needs and that are not installed."""
        return tuple(name for name in cls.modules if find_spec(name) is None)

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """The stage, if it is asked for; with `--quality` alone, if it can be made.

        Raises:
            UserError: `--columns` names it, and what it needs is not installed.
        """
        named = cls.name in settings.options.columns
        if not is_asked_for(cls, settings.options):
            return None
        if missing := cls.missing():
            if named:
                raise UserError(
                    f"--columns {cls.name} needs {', '.join(missing)}, which is not installed: "
                    f"{INSTALL}"
                )
            return None
        return cls()

    @property
    def config(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {}


def is_asked_for(kind: type[MeasureStage], options: StageOptions) -> bool:
    """Whether a run is to have a stage, if it can be made."""
    return options.quality or kind.name in options.columns
