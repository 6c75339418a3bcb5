"""Seconds of a computation, on a CPU that others use too and on a GPU."""

from __future__ import annotations

import time

import torch


def now(device: str) -> float:
    """Seconds: of this process's processors, or of the clock once a GPU is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
