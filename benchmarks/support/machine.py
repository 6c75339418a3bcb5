"""The machine that a benchmark runs on, and the verdict on a limit."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("ns2", "torch", "ray", "encodec", "pyworld", "phonemizer", "soxr", "numpy", "numba")


def machine() -> dict[str, Any]:
    """Describe the machine, its load and the versions of libraries."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = named[0].partition(":")[2].strip() if named else cpu
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": pages / 1e9,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def verdict(good: bool) -> str:
    """Return PASS if a limit is met, otherwise short."""
    return "PASS" if good else "short"


def show_machine(found: Mapping[str, Any], workers: int) -> None:
    """Print what `machine` returned, and the number of workers."""
    print(f"machine     {found['cpu']}, {found['cores']} cores, {found['memory_gb']:.0f} GB")
    print(f"            {found['system']}, load {found['load']:.2f} at the start")
    libraries = ", ".join(f"{name} {number}" for name, number in found["libraries"].items())
    print(f"versions    Python {found['python']}, {libraries}")
    print(f"workers     {workers}")
