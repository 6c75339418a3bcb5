"""Whole training steps: time and kernels, new shapes, synchronisation, memory."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.training.gpu.bench import Bench, median
from benchmarks.training.gpu.flops import flops_of
from benchmarks.training.gpu.kernels import cudnn_attention
from benchmarks.training.gpu.models import SHARE, Shape, new_model, new_trainer, pass_of, share_of
from ns2.model.config_values import changed


def steps(bench: Bench) -> dict[str, Any]:
    """Time whole steps of the trainer, with their memory and share of the matrix limit."""
    found = {}
    wanted: list[tuple[str, Shape]] = bench.pick(
        [("base", SHARE), ("paper", SHARE), ("base", (160, 576, 128, 320))],
        [("tiny", (3, 128, 32, 64))],
    )
    for preset, shape in wanted:
        row = _step(bench, preset, shape)
        found[f"{preset} {shape}"] = row
        if "of the limit" in row:
            bench.say(
                f"step of {preset} {shape}: {row['ms, False']:.0f} ms, self-conditioned "
                f"{row['ms, True']:.0f} ms, {row['of the limit']:.0%} of the matrix limit, "
                f"{row['gib']:.1f} GiB; {row.get('profile', {}).get('summary', '')}"
            )
        else:
            bench.say(f"step of {preset} {shape}: {row}")
    return found


def _step(bench: Bench, preset: str, shape: Shape) -> dict[str, Any]:
    """Time a step without and with self-conditioning."""
    ceiling = bench.results.get("machine", {}).get("bf16_tflops") or 800
    bench.reset_peak()
    trainer = new_trainer(bench, preset)
    share = share_of(bench, shape)
    row: dict[str, Any] = {}
    for self_condition in (False, True):
        # A share of 0 or 1 of self-conditioned steps decides each step.
        trainer.config = changed(
            trainer.config, {"model.diffusion.self_condition": float(self_condition)}
        )
        with contextlib.suppress(Exception):
            row[f"flops, {self_condition}"] = flops_of(preset, shape, self_condition)
        try:
            row[f"ms, {self_condition}"] = bench.timed(lambda: trainer.learn(share))
        except torch.OutOfMemoryError as error:
            row["out of memory"] = str(error)[:150]
            break
    row["gib"] = bench.peak()
    if "ms, True" in row:
        mean = (row["ms, False"] + row["ms, True"]) / 2
        flops = (row.get("flops, False", 0) + row.get("flops, True", 0)) / 2
        row["of the limit"] = flops / mean / 1e9 / ceiling
        row["slots a second"] = shape[0] * shape[1] / mean * 1e3
        if bench.gpu:
            row["profile"] = profiled(lambda: trainer.learn(share))
    return row


def profiled(work: Callable[[], object]) -> dict[str, Any]:
    """Profile the GPU's kernels in one call: their number, their time, and the longest."""
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        wall = (time.perf_counter() - began) * 1e3
    spent: Counter[str] = Counter()
    count = 0
    for event in trace.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            spent[event.name[:90]] += event.time_range.elapsed_us() / 1e3
            count += 1
    busy = sum(spent.values())
    longest = ", ".join(f"{ms:.1f} ms {name[:40]}" for name, ms in spent.most_common(6))
    return {
        "kernels": count,
        "busy_ms": busy,
        "wall_ms": wall,
        "top": spent.most_common(20),
        "summary": f"{count} kernels, busy {busy:.0f} of {wall:.0f} ms; {longest}",
    }


def new_shapes(bench: Bench) -> dict[str, Any]:
    """Time the first pass of a shape against the next ones, with cuDNN's attention and without."""
    model = new_model(bench, bench.pick("base", "tiny"))
    pass_of(bench, model, (4, 128, 32, 64))()
    bench.sync()
    found = {}
    kinds = bench.pick([("as it is", True), ("without cuDNN's attention", False)], [("cpu", True)])
    step = bench.pick(64, 16)
    for i, (name, cudnn) in enumerate(kinds):
        rows = []
        with cudnn_attention(bench, cudnn):
            for k in range(bench.pick(5, 2)):
                shape = (5 + k + 6 * i, step * (3 + k), 16 * (2 + k), step * (1 + k))
                work = pass_of(bench, model, shape)
                rows.append((shape, bench.clock(work), bench.timed(work, 3, 0)))
        extra = median([first - later for _, first, later in rows])
        found[name] = {"rows": rows, "median_extra_ms": extra}
        times = ", ".join(f"{first:.0f}/{later:.0f}" for _, first, later in rows)
        bench.say(
            f"new shapes, {name}: a new shape costs {extra:.0f} ms more ({times} ms first/next)"
        )
    return found


def syncs(bench: Bench) -> dict[str, Any]:
    """Find where a step makes the CPU wait for the GPU."""
    if not bench.gpu:
        return {"skipped": "needs a GPU"}
    trainer = new_trainer(bench, "tiny")
    share = share_of(bench, (3, 128, 32, 64), True)
    for _ in range(2):
        trainer.learn(share)
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.learn(share)
    torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{Path(warning.filename).name}:{warning.lineno}"
        for warning in caught
        if "synchron" in str(warning.message)
    )
    bench.say(f"syncs of a step: {sum(places.values())}: {dict(places)}")
    return dict(places)


def memory(bench: Bench) -> dict[str, Any]:
    """Measure steps of short utterances with long prompts, and what `recompute` saves."""
    found: dict[str, Any] = {}
    name, share = bench.pick(("paper", SHARE), ("tiny", (3, 128, 32, 64)))
    for recompute in (False, True):
        bench.reset_peak()
        trainer = new_trainer(bench, name, recompute=recompute)
        given = share_of(bench, share)
        took = bench.timed(lambda trainer=trainer, given=given: trainer.learn(given), 3, 1)
        found[f"{name}, recompute {recompute}"] = {"gib": bench.peak(), "ms": took}
        del trainer
    model = new_model(bench, bench.pick("base", "tiny"))
    shapes: list[Shape] = bench.pick(
        [(160, 576, 128, 320), (400, 128, 32, 384), (1180, 128, 32, 384)], [(4, 64, 16, 64)]
    )
    for shape in shapes:
        bench.reset_peak()
        try:
            pass_of(bench, model, shape)()
            bench.sync()
            found[str(shape)] = bench.peak()
        except torch.OutOfMemoryError as error:
            found[str(shape)] = f"out of memory: {str(error)[:120]}"
            model.zero_grad(set_to_none=True)
    bench.say(f"memory, GiB: {found}")
    return found
