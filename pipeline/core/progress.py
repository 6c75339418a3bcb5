"""The progress of a run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ns2.pipeline.core.terminal import printable, say

if TYPE_CHECKING:
    from rich.progress import TaskID


class Progress:
    """Counts what a run reports and shows nothing; `Lines` and `Live` show it."""

    def __init__(self) -> None:
        self.name, self.unit = "", "utterances"
        self.total: int | None = None
        self.rejected = 0
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        self.done = self._worked = 0
        self._seconds = 0.0
        self._stages: Counter[str] = Counter()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Show the end."""

    def phase(self, name: str, total: int | None = None, *, unit: str = "utterances") -> None:
        """Begin a new part of the run.

        Args:
            name: what is being done.
            total: the number of units to come, if known.
            unit: what is counted.
        """
        self.name, self.total, self.unit = name, total, unit
        self._start()

    def advance(
        self,
        *,
        utterances: int = 0,
        seconds: float = 0.0,
        rejected: int = 0,
        stages: Mapping[str, float] | None = None,
        idle: bool = False,
    ) -> None:
        """Count work that is done.

        Args:
            utterances: the number of utterances, or other units.
            seconds: of speech.
            rejected: the number of utterances that were rejected.
            stages: seconds of work by stage.
            idle: the work was done before this run, and says nothing about its speed.
        """
        self.done += utterances
        self._worked += 0 if idle else utterances
        self._seconds += seconds
        self.rejected += rejected
        self._stages.update(stages or {})
        self._show(self.status())

    def reach(self, done: int, total: int) -> None:
        """Set how many units are done, and how many there are."""
        self.total = total
        self.advance(utterances=done - self.done)

    def training(self, step: int, steps: int, loss: float, more: str = "") -> None:
        """Report a step of training; `more` is appended to its line."""
        self.done, self.total = step, steps
        self._show(f"step {step}/{steps}, loss {loss:.3f}{more}")

    def note(self, message: str) -> None:
        """Show a message that the user should read."""

    def _show(self, status: str) -> None:
        """Show a status line, unless the last one was shown too recently."""

    def status(self) -> str:
        """A line with utterances, hours, rejected ones, speed, the slowest stages, time left."""
        elapsed = time.monotonic() - self._started
        of = f"/{self.total}" if self.total is not None else ""
        parts = [f"{self.done}{of} {self.unit}"]
        if self._seconds:
            parts.append(f"{self._seconds / 3600:.2f} h")
            parts.append(f"{self._seconds / max(elapsed, 1e-9):.0f}x real time")
        if self.rejected:
            parts.append(f"{self.rejected} rejected")
        busy = sum(self._stages.values())
        if busy:
            top = self._stages.most_common(3)
            parts.append(" ".join(f"{name} {100 * t / busy:.0f}%" for name, t in top))
        if self.total is not None and self._worked and self.done < self.total:
            left = elapsed / self._worked * (self.total - self.done)
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time as people write it: "45 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Lines(Progress):
    """Plain lines on standard error, at most one every few seconds: for logs and pipes."""

    def __init__(self, every: float = 5.0) -> None:
        super().__init__()
        self._every, self._last = every, 0.0
        self._waiting = ""  # what was not shown yet

    def __exit__(self, *_: object) -> None:
        """Print how the last phase ended."""
        self._finish()

    def phase(self, name: str, total: int | None = None, *, unit: str = "utterances") -> None:
        """Print how the last phase ended, and the name of the next."""
        self._finish()
        super().phase(name, total, unit=unit)
        self._last = time.monotonic()
        say(name, err=True)

    def note(self, message: str) -> None:
        """Print the message immediately."""
        say(message, err=True)

    def _show(self, status: str) -> None:
        self._waiting = status
        if time.monotonic() - self._last >= self._every:
            self._finish()

    def _finish(self) -> None:
        if self._waiting:
            say(f"  {self._waiting}", err=True)
        self._waiting, self._last = "", time.monotonic()


class Live(Progress):
    """A moving bar, for terminals."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[status]}"),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Live:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the bars; they stay on the terminal."""
        self._bars.stop()

    def phase(self, name: str, total: int | None = None, *, unit: str = "utterances") -> None:
        """Begin a new bar; that of the last phase stays as it is."""
        if self._task is not None:
            self._bars.stop_task(self._task)
        super().phase(name, total, unit=unit)
        self._task = self._bars.add_task(name, total=total, status="")

    def note(self, message: str) -> None:
        """Print the message above the bars."""
        self._bars.console.print(printable(message), markup=False)

    def _show(self, status: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=self.done, total=self.total, status=status)


def display() -> Progress:
    """The display that fits standard error."""
    return Live() if sys.stderr.isatty() else Lines()
