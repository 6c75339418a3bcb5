"""The memory of a process and of all processes that it starts, sampled while it runs."""

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
"""The interval where memory is measured."""
SELDOM_SECONDS = 5.0
"""The interval where time is measured: ten processes every 0.2 s would take 7 % of a core."""


@dataclass(frozen=True)
class Sample:
    """The bytes of the driver and of all processes at one moment, and the number of processes."""

    time: float
    driver: int
    all: int
    processes: int


class Sampler(threading.Thread):
    """Samples a process tree until `stop` is called.

    Memory is the proportional set size (PSS), in which a shared page counts once over all its
    users, where the kernel shows it; else the resident set size (RSS), which counts it for each.

    Attributes:
        samples: the samples in order of time.
        measure: "PSS" or "RSS".
        seen: the start times of all processes of the tree, by process id.
        cpu_seconds: the CPU seconds that the sampling itself took.
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
        """Return the processes of the tree that still exist after so many seconds.

        Ray's processes take a moment to end.
        """
        deadline = time.monotonic() + seconds
        while left := [p for p, started in self.seen.items() if _started(p) == started]:
            if time.monotonic() > deadline:
                return left
            time.sleep(0.1)
        return []


def peaks(samples: Iterable[Sample]) -> tuple[int, int]:
    """Return the peaks of the driver and of the whole tree in bytes; they need not coincide."""
    found = list(samples)
    return max((s.driver for s in found), default=0), max((s.all for s in found), default=0)


def peak_growth(work: Callable[[], object]) -> int:
    """Return the bytes by which this process grew at most during some work."""
    with suppress(OSError, AttributeError):  # freed memory that is still resident would hide growth
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the memory resident now
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
    """Return when a process started, which with its id identifies it; empty if it has ended."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""
