"""Arguments that are a folder or a URL, and the options of the cache of what URLs name."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ns2.pipeline.remote.traffic import retries_told
from ns2.pipeline.remote.urls import CACHE_SIZE, CACHE_VARIABLE, SIZE_VARIABLE, is_url, parse_size


class PlaceType(click.ParamType):
    """A folder as a `Path`, or a URL as a `str`."""

    name = "directory or URL"

    def __init__(self, **folder: Any) -> None:
        """Take the arguments of `click.Path` for folders."""
        self._folder = click.Path(path_type=Path, **folder)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        """The folder or URL that an argument names."""
        if is_url(value):
            return str(value)
        found = self._folder.convert(value, param, ctx)
        return Path(os.fsdecode(found))

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        """How help texts name the argument, where it has no other name."""
        return "DIRECTORY|URL"


PLACE = PlaceType(exists=True, file_okay=False)
"""A dataset that is there."""


def cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of the cache, which go to all processes through their environment.

    What had to be asked of servers again is told when the command ends.
    """
    command = _telling_retries(command)
    for option in (
        click.option(
            "--cache-size",
            metavar="SIZE",
            expose_value=False,
            callback=_take_size,
            help="The most that copies of tars take in --cache, such as 200G; what was not used "
            f"for longest is deleted.  [default: ${SIZE_VARIABLE}, or {CACHE_SIZE}]",
        ),
        click.option(
            "--cache",
            type=click.Path(file_okay=False),
            expose_value=False,
            callback=_take_folder,
            help="The folder that keeps what was read of a dataset in a bucket; processes and "
            f"runs may share it.  [default: ${CACHE_VARIABLE}, or ~/.cache/ns2]",
        ),
    ):
        command = option(command)
    return command


def _telling_retries(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def telling(*args: Any, **kwargs: Any) -> Any:
        with retries_told():
            return command(*args, **kwargs)

    return telling


def _take_folder(_: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ[CACHE_VARIABLE] = str(Path(value).absolute())


def _take_size(_: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        try:
            parse_size(value)
        except Exception as error:
            raise click.BadParameter(str(error)) from None
        os.environ[SIZE_VARIABLE] = value
