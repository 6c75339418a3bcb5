"""Measures of works, and the table of them: operations, time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.support.memory import peak_growth
from benchmarks.training.model_work import Work

PRODUCT = {"cpu": 1024, "cuda": 8192}
"""Rows of the square matrices whose product gives the limit of the device."""
WIDTH = 30
"""Characters of the names in the table."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; `share` is that of the device's limit, `memory` is in bytes."""

    name: str
    parameters: int
    flop: int
    seconds: float
    share: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """The figures of one preset and type; `limit` is in operations per second."""

    preset: str
    dtype: str
    batch: int
    frames: int
    prompt: int
    phonemes: int
    limit: float
    rounds: int
    rows: list[Row]


def count_flop(work: Work) -> int:
    """Count the operations of forward and backward: two for each multiply-add.

    Attention is counted as matrix products, so that recomputation inside a kernel does not count.
    """
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work.run(nullcontext())
    work.clear()
    return int(counter.get_total_flops())


def measure(
    todo: Sequence[Work], device: str, dtype: torch.dtype, seconds: float
) -> tuple[float, int]:
    """Measure memory and seconds of works; return the limit and the number of rounds.

    The limit is that of the device in operations per second. All works take turns in each round.
    """

    def autocast() -> AbstractContextManager[object]:
        return nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)

    for work in todo:
        work.seconds.clear()
        work.memory = _peak(lambda w=work: w.run(autocast()), device)  # type: ignore[misc]
        work.clear()
    size = PRODUCT[device]
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    torch.matmul(matrix, matrix)
    limits: list[float] = []
    began = time.monotonic()
    while len(limits) < 2 or time.monotonic() - began < seconds:
        best = min(_timed(lambda: torch.matmul(matrix, matrix), device) for _ in range(3))
        limits.append(2 * size**3 / best)
        for work in todo:
            work.seconds.append(_timed(lambda w=work: w.run(autocast()), device))  # type: ignore[misc]
            work.clear()
    return statistics.median(limits), len(limits)


def _timed(run: Callable[[], object], device: str) -> float:
    """Return seconds; on a CPU those of the thread, which other processes disturb less."""
    if device == "cpu":
        began = time.process_time()
        run()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _peak(run: Callable[[], object], device: str) -> int:
    if device == "cpu":
        return peak_growth(run)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def rows(todo: Sequence[Work], limit: float) -> list[Row]:
    """Return the lines of the table."""
    found = []
    for work in todo:
        spent = statistics.median(work.seconds)
        found.append(
            Row(
                name=work.name,
                parameters=work.parameters,
                flop=work.flop,
                seconds=spent,
                share=work.flop / spent / limit,
                memory=work.memory,
            )
        )
    return found


def render(table: Table) -> str:
    """Render the table as text."""
    lines = [
        f"{table.preset}: {table.batch} x {table.frames} frames, {table.prompt} of prompt, "
        f"{table.phonemes} phonemes; {table.dtype}, limit {table.limit / 1e9:.1f} GFLOP/s, "
        f"{table.rounds} rounds",
        f"{'part':<{WIDTH}} {'parameters':>12} {'GFLOP':>9} {'seconds':>9} {'of limit':>9} "
        f"{'memory':>9}",
    ]
    for row in table.rows:
        lines.append(
            f"{row.name:<{WIDTH}} {row.parameters / 1e6:>10.2f} M {row.flop / 1e9:>9.2f} "
            f"{row.seconds:>9.4f} {row.share:>9.0%} {row.memory / 1e9:>6.2f} GB"
        )
    return "\n".join(lines)
