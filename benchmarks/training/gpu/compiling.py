"""Compilation of the model by torch: its repeated layers, and the whole."""

from __future__ import annotations

from typing import Any

import torch
from torch._dynamo.utils import counters

from benchmarks.training.gpu.bench import Bench
from benchmarks.training.gpu.models import SHARE, Shape, new_model, pass_of
from ns2.train.step.repeated import compile_layers

_SECONDS_OF_PAPER = 220
"""The seconds that must be left to compile the layers of `paper`."""


def compiled(bench: Bench) -> dict[str, Any]:
    """Compile the repeated layers, as `--compile` does, and time passes of several shapes."""
    found: dict[str, Any] = {}
    wanted: list[tuple[str, Shape]] = bench.pick(
        [("base", SHARE), ("paper", SHARE)], [("tiny", (3, 64, 16, 64))]
    )
    for name, shape in wanted:
        if name == "paper" and bench.left() < _SECONDS_OF_PAPER:
            break
        found[f"layers of {name}"] = row = _layers(bench, name, shape)
        bench.say(f"compiled layers of {name}: {row}")
    return found


def _layers(bench: Bench, name: str, shape: Shape) -> dict[str, Any]:
    model = new_model(bench, name)
    compile_layers(model, bench.pick("inductor", "aot_eager"))
    row: dict[str, Any] = {}
    before = counters["stats"]["unique_graphs"]
    count, frames, tokens, _ = shape
    for label, one, self_condition in (
        ("first", shape, False),
        ("self-conditioned", shape, True),
        ("other shape", (count + 3, frames + 64, tokens + 16, 64), False),
        ("again", (count + 1, frames + 128, tokens, 128), True),
    ):
        work = pass_of(bench, model, one, self_condition)
        row[f"{label}, s"] = bench.clock(work) / 1e3
    bench.reset_peak()
    row["ms"] = bench.timed(pass_of(bench, model, shape), 5, 1)
    row["ms, self-conditioned"] = bench.timed(pass_of(bench, model, shape, True), 5, 1)
    row["gib"] = bench.peak()
    row["graphs"] = counters["stats"]["unique_graphs"] - before
    row["eager_ms"] = bench.timed(pass_of(bench, new_model(bench, name), shape))
    return row


def compile_whole(bench: Bench) -> dict[str, Any]:
    """Compile the whole model for one shape, to see what is left to gain, and time it."""
    name, shape = bench.pick(("base", SHARE), ("tiny", (3, 64, 16, 64)))
    model = new_model(bench, name)
    fast = torch.compile(
        model, fullgraph=True, dynamic=False, backend=bench.pick("inductor", "aot_eager")
    )
    work = pass_of(bench, model, shape, run=fast)
    row = {"first_s": bench.clock(work) / 1e3, "ms": bench.timed(work, 5, 1)}
    bench.say(
        f"the whole of {name}, compiled: {row['first_s']:.0f} s per shape, "
        f"then {row['ms']:.1f} ms per pass"
    )
    return row
