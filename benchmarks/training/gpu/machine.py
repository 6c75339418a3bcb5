"""The ceilings of the machine."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import torch
from torch.nn import functional

from benchmarks.training.gpu.bench import Bench


def machine(bench: Bench) -> dict[str, Any]:
    """Measure matrix products, copies and random numbers, and which attention torch prefers."""
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        "device": torch.cuda.get_device_name() if bench.gpu else "cpu",
        "cpus": os.cpu_count(),
        "gcc": shutil.which("gcc") or "",
    }
    size = bench.pick(8192, 512)
    a, b = (torch.randn(size, size, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    found["bf16_tflops"] = 2 * size**3 / bench.timed(lambda: a @ b, 10, 3) / 1e9
    block = torch.empty(bench.pick(2**28, 2**20), device=bench.device, dtype=torch.float32)
    other = torch.empty_like(block)
    found["copy_gb_s"] = 2 * block.nbytes / bench.timed(lambda: other.copy_(block), 10, 3) / 1e6
    if bench.gpu:
        found |= _gpu_only(bench)
    began = time.perf_counter()
    torch.randn(128, 80_000, generator=torch.Generator().manual_seed(0))
    found["cpu_noise_of_80k_frames_ms"] = (time.perf_counter() - began) * 1e3
    bench.say(f"machine: {found}")
    return found


def _gpu_only(bench: Bench) -> dict[str, Any]:
    host = torch.empty(12_500_000)
    there = torch.empty_like(host, device=bench.device)
    pinned = host.pin_memory()
    pageable_ms = bench.timed(lambda: there.copy_(host))
    there.copy_(pinned)
    pinned_ms = bench.timed(lambda: there.copy_(pinned, non_blocking=True))
    q = torch.randn(2, 8, 64, 64, device=bench.device, dtype=torch.bfloat16)
    functional.scaled_dot_product_attention(q, q, q)
    return {
        "from_pageable_gb_s": host.nbytes / pageable_ms / 1e6,
        "from_pinned_gb_s": host.nbytes / pinned_ms / 1e6,
        "attention_order": torch._C._get_sdp_priority_order(),  # 3 first is cuDNN
    }
