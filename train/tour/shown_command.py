"""Commands of ns2 that another one shows and runs, as a user would run them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ns2.pipeline.core.errors import UserError


def command(*arguments: object, show: Callable[[str], None]) -> None:
    """Show and run a command of ns2.

    Args:
        show: prints a line.

    Raises:
        UserError: the command failed, after it has printed why, or was stopped.
    """
    show(f"\n$ ns2 {shlex.join(map(str, arguments))}")
    done = run_ns2(arguments)
    if done.returncode:
        raise UserError(
            f"`ns2 {arguments[0]}` ended with exit code {done.returncode}; correct what it "
            "reports, and the same `ns2 demo` goes on"
        )


def run_ns2(arguments: Sequence[object], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of ns2; Ctrl-C reaches it from the terminal, and it ends in its own way.

    Args:
        how: arguments of `subprocess.run`.

    Raises:
        UserError: it was stopped by Ctrl-C.
    """
    words = [sys.executable, "-m", "ns2.cli", *map(str, arguments)]
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    try:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, env=environment, check=False, **how)
    finally:
        signal.signal(signal.SIGINT, before)
    if stopped:
        raise UserError("stopped; the same `ns2 demo` goes on")
    return done
