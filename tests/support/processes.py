"""Processes of their own: what code loads, and process trees to kill with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path


def tree(root: int) -> list[int]:
    """Process ids of a process and all its descendants, the root first.

    Ray's workers are in process groups of their own, so a group is not enough.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            # the name in parentheses may hold spaces; the parent is the second field behind it
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting.extend(children.get(process, []))
    return found


def kill_tree(root: int) -> None:
    """SIGKILL a process and all its descendants."""
    for process in tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def command_line(process: int) -> str:
    """What a process was started as; Ray's workers name their actor here."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def loaded(code: str, *modules: str) -> set[str]:
    """Which of these modules a fresh Python has loaded after running some code."""
    code += f"\nimport sys; print(*[m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
