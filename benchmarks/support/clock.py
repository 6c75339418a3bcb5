"""A clock for computations, on a shared CPU or on a GPU."""

from __future__ import annotations

import time

import torch


def now(device: str) -> float:
    """Return the CPU seconds of this process, or the clock's seconds once the GPU is idle."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
