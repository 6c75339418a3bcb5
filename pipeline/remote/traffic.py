"""What a process has asked of servers, and how often it had to ask again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

from ns2.pipeline.core.terminal import say


@dataclass
class Traffic:
    """What this process has asked of servers.

    Attributes:
        requests: all of them, the repeated ones included.
        retries: how many were made again.
        wrong: how many of these because the bytes that came were not what was written.
        received, sent: bytes of bodies.
        waited: seconds between a failed request and the next.
        told: whether the user knows that there are retries.
    """

    requests: int = 0
    retries: int = 0
    wrong: int = 0
    received: int = 0
    sent: int = 0
    waited: float = 0.0
    told: bool = field(default=False, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **more: float) -> None:
        """Add to some of the figures."""
        with self.lock:
            for name, value in more.items():
                setattr(self, name, getattr(self, name) + value)

    def again(self, url: str, why: str, **more: float) -> None:
        """Count a request that is made again, and tell the user of the first one.

        Args:
            why: what was wrong with the answer.
            more: what to add to other figures.
        """
        with self.lock:
            first, self.told = not self.told, True
        self.add(retries=1, **more)
        if first:
            say(f"note: {url}: {why}. {_AGAIN}", err=True)

    def join(self, figures: Mapping[str, float]) -> None:
        """Add what a worker counted, who tells nothing itself."""
        self.add(**figures)
        if figures["retries"] and not self.told:
            self.told = True
            say(f"note: a request of a worker failed. {_AGAIN}", err=True)

    def figures(self) -> dict[str, float]:
        """All figures by name."""
        with self.lock:
            return {one.name: getattr(self, one.name) for one in fields(self)[:_FIGURES]}

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """What was added to the figures since then."""
        return {name: value - before[name] for name, value in self.figures().items()}


_FIGURES = 6
_AGAIN = "The request is made again, as are all others that fail"

TRAFFIC = Traffic()
"""The traffic of this process."""


def summary(figures: Mapping[str, float]) -> str:
    """One line on the traffic of a command, for people."""
    wrong = f", {figures['wrong']:,.0f} of these for wrong bytes" if figures["wrong"] else ""
    sent = f", {figures['sent'] / 1e6:,.1f} MB sent" if figures["sent"] else ""
    return (
        f"network: {figures['requests']:,.0f} requests, {figures['retries']:,.0f} of them made "
        f"again after faults{wrong}; {figures['received'] / 1e6:,.1f} MB received{sent}, "
        f"{figures['waited']:.1f} s of waiting"
    )


@contextmanager
def retries_told(name: str = "") -> Iterator[None]:
    """Say at the end of the block what was asked of servers, if anything was asked again.

    Args:
        name: of the process, where there are several.
    """
    before, TRAFFIC.told = TRAFFIC.figures(), False
    try:
        yield
    finally:
        since = TRAFFIC.since(before)
        if since["retries"]:
            say(f"{name}{summary(since)}", err=True)
