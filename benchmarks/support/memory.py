"""Memory of a process and of all it starts, sampled while it runs."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import tree

EVERY_SECONDS = 0.2
SELDOM_SECONDS = 5.0
"""Where time is measured: ten processes every 0.2 s would take 7 % of a core."""


@dataclass(frozen=True)
class Sample:
    """At one moment: bytes of the driver, of all processes, and how many there are."""

    time: float
    driver: int
    all: int
    processes: int


class Sampler(threading.Thread):
    """Samples a process tree until it is told to stop.

    Memory is the proportional set size (PSS), in which a shared page counts once over all its
    users, where the kernel shows it; else the resident set size (RSS), which counts it for each.

    Attributes:
        samples: in order of time.
        measure: "PSS" or "RSS".
        seen: process ids that were in the tree, with their start times.
        cpu_seconds: that the sampling itself took.
    """

    def __init__(self, root: int, every: float = EVERY_SECONDS) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.measure = "PSS" if _pss(os.getpid()) else "RSS"
        self.seen: dict[int, str] = {}
        self.cpu_seconds = 0.0
        self._root, self._every, self._stopped = root, every, threading.Event()

    def run(self) -> None:
        """Sample until `stop`."""
        read = _pss if self.measure == "PSS" else _rss
        while not self._stopped.is_set():
            begin = time.monotonic()
            found = tree(self._root)
            for process in found:
                if process not in self.seen and (started := _started(process)):
                    self.seen[process] = started
            sizes = [read(process) for process in found]
            self.samples.append(
                Sample(begin, sizes[0], sum(sizes), sum(size > 0 for size in sizes))
            )
            self.cpu_seconds = time.thread_time()
            self._stopped.wait(max(self._every - (time.monotonic() - begin), 0.0))

    def stop(self) -> None:
        """End the sampling."""
        self._stopped.set()
        self.join()

    def left_over(self, seconds: float = 30.0) -> list[int]:
        """Processes of the tree that still live after so long; Ray's take a moment to go."""
        deadline = time.monotonic() + seconds
        while left := [p for p, started in self.seen.items() if _started(p) == started]:
            if time.monotonic() > deadline:
                return left
            time.sleep(0.1)
        return []


def peaks(samples: Iterable[Sample]) -> tuple[int, int]:
    """The largest driver and the largest whole tree, in bytes; they need not coincide."""
    found = list(samples)
    return max((s.driver for s in found), default=0), max((s.all for s in found), default=0)


def peak_growth(work: Callable[[], object]) -> int:
    """Bytes by which this process grew at most while it did some work."""
    with suppress(OSError, AttributeError):  # else it would use what was freed but is resident
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now
    before = _status("VmRSS")
    work()
    return max(_status("VmHWM") - before, 0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _pss(process: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _rss(process: int) -> int:
    with suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def _started(process: int) -> str:
    """When a process started; with its id that names it for good. Empty if it is gone."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""
