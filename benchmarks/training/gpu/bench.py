"""What all sections share: the device, the clock, and measures of time and memory.

Imports neither ns2 nor torch at import time, since the checkout is made importable only later.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Bench:
    """One run of the checks on one device."""

    device: str
    """The torch device: "cuda" or "cpu"."""

    minutes: float
    """The time limit of the whole run."""

    scratch: Path
    """A folder for files; it is removed by the caller."""

    began: float = field(default_factory=time.perf_counter)
    """When the run began, by `time.perf_counter`."""

    results: dict[str, Any] = field(default_factory=dict)
    """The results of finished sections by name, as JSON values."""

    @property
    def gpu(self) -> bool:
        """Whether the device is a GPU; otherwise this is a dry run with tiny sizes."""
        return self.device == "cuda"

    def pick(self, on_gpu: T, dry_run: T) -> T:
        """Return the first value on a GPU, the second in a dry run."""
        return on_gpu if self.gpu else dry_run

    def left(self) -> float:
        """Return the seconds that are left of the time limit."""
        return self.minutes * 60 - (time.perf_counter() - self.began)

    def say(self, text: str) -> None:
        """Print a line with the seconds since the run began."""
        print(f"[{time.perf_counter() - self.began:6.1f}] {text}", flush=True)

    def sync(self) -> None:
        """Wait for the GPU."""
        import torch

        if self.gpu:
            torch.cuda.synchronize()

    def autocast(self, enabled: bool = True) -> Any:
        """Return a context in which the device computes in bfloat16."""
        import torch

        return torch.autocast(self.device, torch.bfloat16, enabled=enabled)

    def clock(self, work: Callable[[], object]) -> float:
        """Return the milliseconds of one call, from an idle GPU to an idle GPU."""
        self.sync()
        began = time.perf_counter()
        work()
        self.sync()
        return (time.perf_counter() - began) * 1e3

    def timed(self, work: Callable[[], object], times: int = 5, before: int = 2) -> float:
        """Return the median milliseconds of several calls, after some to warm up."""
        for _ in range(before):
            work()
        return median([self.clock(work) for _ in range(times)])

    def reset_peak(self) -> None:
        """Free cached memory of the GPU and begin to measure the peak anew."""
        import torch

        if self.gpu:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        """Return the peak memory of the GPU in GiB since `reset_peak`; 0 on a CPU."""
        import torch

        return torch.cuda.max_memory_allocated() / 2**30 if self.gpu else 0.0


def median(values: list[float]) -> float:
    """Return the upper median of values."""
    return sorted(values)[len(values) // 2]


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
