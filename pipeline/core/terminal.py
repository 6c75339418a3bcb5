"""What goes to the terminal: text of corpora and datasets, without what a terminal would obey."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator

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


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """While the block runs, what libraries in C write to standard error does not get there.

    Decoders write a line for each odd tag of a file. How many lines there were, and the first of
    them, is said in the end. What Python writes to standard error gets there as usual.
    """
    try:
        real = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # no file, as in notebooks
        real = -1
    if real != 2:
        yield
        return
    with os.fdopen(os.memfd_create("libraries"), "w+b") as caught:
        before, kept = sys.stderr, os.dup(2)
        ours = io.TextIOWrapper(
            os.fdopen(kept, "wb"), before.encoding, before.errors, line_buffering=True
        )
        before.flush()
        sys.stderr = ours
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            sys.stderr = before
            ours.close()
            caught.seek(0)
            _tell_caught(caught.read(_MOST_CAUGHT).decode("utf-8", "replace"))


_MOST_CAUGHT = 1 << 20


def _tell_caught(text: str) -> None:
    """Say in a line what libraries wrote."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines:
        more = f" {len(lines)} messages of libraries are not shown;" if len(lines) > 1 else ""
        say(f"note:{more} the first: {lines[0][:300]}", err=True)
