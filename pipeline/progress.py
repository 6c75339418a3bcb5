"""What a run shows while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import click


class Progress(Protocol):
    """Takes what a run has to tell."""

    def phase(self, name: str, utterances: int | None = None) -> None:
        """A new part of the run begins, with so many utterances to come if that is known."""

    def advance(
        self,
        *,
        utterances: int = 0,
        seconds: float = 0.0,
        rejected: int = 0,
        stages: Mapping[str, float] | None = None,
        idle: bool = False,
    ) -> None:
        """Utterances done, seconds of speech, rejected ones, and time spent by stage.

        Args:
            idle: they were done before this run; they say nothing about its speed.
        """

    def training(self, step: int, steps: int, loss: float) -> None:
        """A step of training."""

    def note(self, message: str) -> None:
        """Something the user should read."""


class Silent:
    """Shows nothing."""

    def phase(self, name: str, utterances: int | None = None) -> None:
        """Nothing."""

    def advance(
        self,
        *,
        utterances: int = 0,
        seconds: float = 0.0,
        rejected: int = 0,
        stages: Mapping[str, float] | None = None,
        idle: bool = False,
    ) -> None:
        """Nothing."""

    def training(self, step: int, steps: int, loss: float) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


class _Counting:
    """Counts what is common to both displays."""

    def __init__(self) -> None:
        self.name, self.unit = "", "utterances"
        self.total: int | None = None
        self.rejected = 0
        self._begin_phase()

    def _begin_phase(self) -> None:
        self.started = time.monotonic()
        self.done = self.worked = 0
        self.seconds = 0.0
        self.stages: Counter[str] = Counter()

    def count(
        self,
        utterances: int,
        seconds: float,
        rejected: int,
        stages: Mapping[str, float] | None,
        idle: bool,
    ) -> None:
        """Add to the counts."""
        self.done += utterances
        self.worked += 0 if idle else utterances
        self.seconds += seconds
        self.rejected += rejected
        self.stages.update(stages or {})

    def status(self) -> str:
        """One line: utterances, hours, rejected, speed, the slowest stages, time left."""
        elapsed = time.monotonic() - self.started
        of = f"/{self.total}" if self.total is not None else ""
        parts = [f"{self.done}{of} {self.unit}"]
        if self.seconds:
            parts.append(f"{self.seconds / 3600:.2f} h")
            parts.append(f"{self.seconds / max(elapsed, 1e-9):.0f}x real time")
        if self.rejected:
            parts.append(f"{self.rejected} rejected")
        busy = sum(self.stages.values())
        if busy:
            top = self.stages.most_common(3)
            parts.append(" ".join(f"{name} {100 * t / busy:.0f}%" for name, t in top))
        if self.total is not None and self.worked and self.done < self.total:
            left = elapsed / self.worked * (self.total - self.done)
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them: "45 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Lines(_Counting):
    """Plain lines on standard error, at most one every few seconds: for logs and pipes."""

    def __init__(self, every: float = 5.0) -> None:
        super().__init__()
        self._every, self._last = every, 0.0
        self._told = False  # whether the last line says all

    def phase(self, name: str, utterances: int | None = None, *, unit: str = "utterances") -> None:
        """Close the last phase with a line and begin the next."""
        self._close()
        self.name, self.total, self.unit = name, utterances, unit
        self._begin_phase()
        self._last = time.monotonic()
        click.echo(name, err=True)

    def _close(self) -> None:
        if self.name and self.done and not self._told:
            click.echo(f"  {self.status()}", err=True)

    def advance(
        self,
        *,
        utterances: int = 0,
        seconds: float = 0.0,
        rejected: int = 0,
        stages: Mapping[str, float] | None = None,
        idle: bool = False,
    ) -> None:
        """Count, and print when it is time."""
        self.count(utterances, seconds, rejected, stages, idle)
        self._told = False
        self._print(f"  {self.status()}")

    def reach(self, done: int, total: int) -> None:
        """Say how far it is, and print when it is time."""
        self.total = total
        self.advance(utterances=done - self.done)

    def training(self, step: int, steps: int, loss: float) -> None:
        """Print when it is time."""
        self._print(f"  step {step}/{steps}, loss {loss:.3f}")

    def _print(self, line: str) -> None:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last, self._told = now, True
            click.echo(line, err=True)

    def note(self, message: str) -> None:
        """Print at once."""
        click.echo(message, err=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


class Live(_Counting):
    """A bar that moves, for terminals."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[status]}"),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None

    def phase(self, name: str, utterances: int | None = None, *, unit: str = "utterances") -> None:
        """Begin a new bar; the last one stays as it ended."""
        if self._task is not None:
            self._bars.stop_task(self._task)
        self.name, self.total, self.unit = name, utterances, unit
        self._begin_phase()
        self._task = self._bars.add_task(name, total=utterances, status="")

    def advance(
        self,
        *,
        utterances: int = 0,
        seconds: float = 0.0,
        rejected: int = 0,
        stages: Mapping[str, float] | None = None,
        idle: bool = False,
    ) -> None:
        """Count and move the bar."""
        self.count(utterances, seconds, rejected, stages, idle)
        if self._task is not None:
            self._bars.update(self._task, completed=self.done, status=self.status())

    def reach(self, done: int, total: int) -> None:
        """Move the bar to a place."""
        self.total = total
        if self._task is not None:
            self._bars.update(self._task, total=total)
        self.advance(utterances=done - self.done)

    def training(self, step: int, steps: int, loss: float) -> None:
        """Move the bar by steps."""
        if self._task is not None:
            status = f"step {step}/{steps}, loss {loss:.3f}"
            self._bars.update(self._task, completed=step, total=steps, status=status)

    def note(self, message: str) -> None:
        """Print above the bars."""
        self._bars.console.print(message, markup=False)

    def __enter__(self) -> Live:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def display() -> Lines | Live:
    """The display that fits standard error."""
    import sys

    return Live() if sys.stderr.isatty() else Lines()
