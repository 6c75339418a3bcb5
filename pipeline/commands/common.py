"""What all commands of ns2 share: types of paths, errors without tracebacks, options of configs.

Nothing heavy is loaded here.
"""

from __future__ import annotations

import functools
import os
import select
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click

from ns2.model.config_values import field_docs

_LONGEST = 4000
"""The most characters of a message."""
_BROKEN_PIPE = 141
"""The exit code where the reader of the output has ended, as shells give it for SIGPIPE."""

FOLDER = click.Path(path_type=Path, file_okay=False)
DATASET = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def name_list(_: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """A callback for options such as `--columns mel,f0`: the names as a tuple.

    An option that is not given becomes (), which stands for everything.

    Raises:
        click.BadParameter: the option is given and names nothing.
    """
    if value is None:
        return ()
    names = tuple(name for part in value.split(",") if (name := part.strip()))
    if not names:
        raise click.BadParameter("expected at least one name, such as A or A,B")
    return names


def number_list(
    _: click.Context, option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """A callback for options such as `--prompt-seconds 3,5,10`: the numbers as a tuple.

    Raises:
        click.BadParameter: a part is no number.
    """
    try:
        return None if value is None else tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter("expected numbers, such as 3,5,10") from None


NAME_LIST = {
    "type": str,
    "callback": name_list,
    "metavar": "A,B,...",
    "default": None,
    "show_default": False,
}
"""Arguments of `click.option` for a config's field that holds a tuple of names."""
NUMBERS = {
    "type": str,
    "callback": number_list,
    "metavar": "A,B,...",
    "default": None,
    "show_default": False,
}
"""The same for one that holds a tuple of numbers; None where it is not given."""


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a user can put right as one message, without a traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from ns2.model.codec.interface import CodecError
        from ns2.pipeline.core.ending import ends_cleanly
        from ns2.pipeline.core.errors import DamageError, OptionError, UserError, UtteranceError

        try:
            with ends_cleanly():
                return command(*args, **kwargs)
        except OptionError as error:
            raise click.UsageError(_told(error)) from error
        except DamageError as error:
            more = "" if "verify" in str(error) else "; `ns2 verify` finds all that is damaged"
            raise click.ClickException(_told(f"{error}{more}")) from error
        except (UserError, UtteranceError, CodecError) as error:
            raise click.ClickException(_told(error)) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                _let_go_of_output()
                raise click.exceptions.Exit(_BROKEN_PIPE) from error
            place = f": {error.filename}" if error.filename else ""
            raise click.ClickException(
                _told(
                    f"{error.strerror or error}{place}. What is written stays: put it right and "
                    "run again."
                )
            ) from error
        except MemoryError as error:
            raise click.ClickException(
                "there is not enough memory. What is written stays: use a machine with more, or "
                "smaller batches or fewer workers, and run again."
            ) from error

    return wrapped


def _nobody_reads() -> bool:
    """Whether what standard output or error is piped into has ended."""
    return any(_is_broken(number) for number in (1, 2))


def _is_broken(number: int) -> bool:
    """Whether a file descriptor is a pipe that nobody reads."""
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _let_go_of_output() -> None:
    """Point standard output and error, where nobody reads them, at nothing: they are flushed."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        if _is_broken(number):
            os.dup2(nothing, number)
    os.close(nothing)


def _told(error: object) -> str:
    """A message for the terminal: a stranger's giant values are cut."""
    from ns2.pipeline.core.terminal import printable

    text = printable(_named_by_urls(str(error)))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _named_by_urls(text: str) -> str:
    """A message with the URLs of datasets in place of the folders of their copies."""
    module = sys.modules.get("ns2.pipeline.dataset.bucket.mirror")
    for folder, url in module.MIRRORS.items() if module else ():
        text = text.replace(folder, url)
    return text


def config_options(
    config: type, *names: str, leave: tuple[str, ...] = (), **special: Mapping[str, Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Click options made of the fields of a config class.

    Name, type, default and help text are those of the field, so each stands in one place. A field
    of type bool becomes a flag, one of a Literal a choice.

    Args:
        config: a dataclass whose fields are documented, see `field_docs`.
        names: the fields, in order; all of them where none is named.
        leave: fields that do not become options.
        special: arguments of `click.option` for a field that needs others, such as `type` and
            `metavar`; `flags` is a tuple of other names of the option.

    Raises:
        LookupError: a field is not there, or has no documentation.
    """
    there = {field.name: field for field in fields(config)}
    kinds, docs = typing.get_type_hints(config), field_docs(config)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names or tuple(name for name in there if name not in leave)):
            given = dict(special.get(name, {}))
            flags = given.pop("flags", (f"--{name.replace('_', '-')}",))
            default = there[name].default
            settings: dict[str, Any] = {"help": docs[name], **_click_type(kinds[name])}
            if not any(default is none for none in (None, MISSING, False)):  # 0 is a default
                settings |= {"default": default, "show_default": True}
            command = click.option(*flags, name, **{**settings, **given})(command)
        return command

    return add


def _click_type(kind: Any) -> dict[str, Any]:
    """Arguments of `click.option` that fit a field's type."""
    options = [one for one in typing.get_args(kind) if one is not type(None)]
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)  # with a Literal the latter
    if union and len(options) == 1:
        return _click_type(options[0])
    if kind is bool:
        return {"is_flag": True}
    if typing.get_origin(kind) is typing.Literal:
        return {"type": click.Choice([str(one) for one in options])}
    if kind is Path:
        return {"type": FILE}
    return {"type": kind}
