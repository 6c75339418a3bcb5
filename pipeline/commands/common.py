"""What all commands of ns2 share; loads nothing heavy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
DATASET = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a user can put right as one message, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from ns2.pipeline.core.errors import OptionError, UserError

        try:
            return command(*args, **kwargs)
        except OptionError as error:
            raise click.UsageError(str(error)) from error
        except UserError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            place = f": {error.filename}" if error.filename else ""
            raise click.ClickException(
                f"{error.strerror or error}{place}. What is written stays: put it right and run "
                "again."
            ) from error

    return wrapped
