"""Signals that ask a training to stop: it finishes its step, saves, and ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether the process was asked to stop."""

    def __init__(self) -> None:
        self.made = False


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """A request that SIGTERM or SIGINT makes while the block runs.

    The first signal of either kind only makes the request; a second one acts as it did before.
    """
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in STOPPING}

    def note(number: int, _: Any) -> None:
        request.made = True
        signal.signal(number, before[signal.Signals(number)])

    for number in STOPPING:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
