"""What goes to the terminal: text of corpora and datasets, without what a terminal would obey."""

from __future__ import annotations

import re

import click

_RAW = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f"  # escape sequences; new lines and tabs stay
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows
    "\u2028\u2029\ud800-\udfff]"  # other ends of lines; names of files that are not UTF-8
)


def printable(text: str) -> str:
    """A text as a terminal may get it: what it would obey, or can't show, is escaped.

    Escapes are those of JSON, so a text that is JSON says the same as before.
    """
    return _RAW.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text and the end of the line, see `printable`.

    Args:
        err: to standard error.
    """
    click.echo(printable(text), err=err)
