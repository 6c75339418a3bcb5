#!/usr/bin/env python3
"""What no CPU can tell about ns2's training, on one GPU, in under ten minutes.

    python gpu_check.py --repo . --out "$OUT" --minutes 9        # on the GPU machine
    python gpu_check.py --repo . --device cpu           # a dry run, tiny sizes

Needs torch, numpy, pyarrow, safetensors and click; what else ns2 imports is stood in for. Each
section is on its own: one that fails says so and the next one begins. A line a finding goes to the
terminal, all numbers to gpu_check.json. `--only a,b` and `--skip a,b` choose sections.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

BEGAN = time.perf_counter()
RESULTS: dict[str, object] = {}
SECTIONS: list[tuple[str, float, object]] = []
GPU = True
SHIM = Path(tempfile.mkdtemp(prefix="ns2-gpu-"))


def section(seconds: float):
    """A section, and what it needs at most; it is left out where less is left."""

    def add(function):
        SECTIONS.append((function.__name__, seconds, function))
        return function

    return add


def say(text: str) -> None:
    print(f"[{time.perf_counter() - BEGAN:6.1f}] {text}", flush=True)


# -- ns2 without an installation --------------------------------------------------------------------


def prepare(repo: Path) -> None:
    """Make `import ns2` work from a checkout, and stand in for what is not installed."""
    package = SHIM / "ns2"
    package.mkdir()
    for name in ("cli.py", "model", "pipeline", "train"):
        (package / name).symlink_to((repo / name).resolve())
    about = SHIM / "ns2-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ns2\nVersion: 0.1.0\n")
    try:
        import isal.isal_zlib  # noqa: F401
    except ImportError:
        (SHIM / "isal").mkdir()
        (SHIM / "isal" / "__init__.py").write_text("")
        (SHIM / "isal" / "isal_zlib.py").write_text("from zlib import *\nfrom zlib import crc32\n")
    paths = [str(SHIM), str(repo.resolve())]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])


class Made:
    """Stands for `ns2.train.data.selection.Data`: utterances of speech-like lengths, nothing on the disk."""

    columns = ("codes", "phonemes", "durations", "f0")
    split, where, digest = "train", "", "made"

    def __init__(self, count: int, seconds: tuple[float, float, float]) -> None:
        import numpy as np

        from ns2.pipeline.core.schema import FrameGrid
        from ns2.pipeline.dataset.phoneme_table import PhonemeTable

        rng = np.random.default_rng(0)
        median, spread, most = seconds
        drawn = np.clip(np.exp(rng.normal(np.log(median), spread, count)), 0.4, most)
        self.frames = np.ceil(drawn * 75).astype(np.int32)
        self.shards = (np.arange(count) // 512).astype(np.int32)
        self._pool = rng.integers(0, 1024, (16, int(self.frames.max()) + 4096)).astype(np.uint16)
        self.grid = FrameGrid()
        table = PhonemeTable.default()
        self._ids = len(table)
        self.datasets = [SimpleNamespace(phoneme_table=table, root=Path("made"), grid=self.grid)]

    def __len__(self) -> int:
        return len(self.frames)

    def plan(self, *, seed: int, epoch: int, global_frames: int):
        from ns2.train.data.epochs import plan_epoch

        return plan_epoch(
            self.shards, self.frames, seed=seed, epoch=epoch, global_frames=global_frames
        )

    def read(self, column: str, number: int, *, check: bool = False):
        import numpy as np

        frames = int(self.frames[number])
        if column == "codes":
            return self._pool[:, number % 4096 : number % 4096 + frames]
        rng = np.random.default_rng(number)
        tokens = max(3, round(frames / 4.6))
        tokens = min(tokens, frames)
        if column == "phonemes":
            return rng.integers(1, self._ids, tokens).astype(np.uint16)
        if column == "durations":
            return (1 + rng.multinomial(frames - tokens, np.full(tokens, 1 / tokens))).astype("u2")
        return np.where(rng.random(frames) < 0.6, rng.uniform(80, 300, frames), 0).astype("f4")

    def read_many(self, column: str, numbers, *, check: bool = False):
        return [self.read(column, int(n), check=check) for n in numbers]

    def keys(self, numbers):
        return [str(n) for n in numbers]

    def other(self, number: int, seed: int):
        from ns2.train.data.epochs import mixed

        return int(mixed(seed, number, 17)) % len(self)

    def check_unchanged(self) -> None:
        pass


def random_model(config, seed: int = 0):
    import torch

    from ns2.model.tts.ns2 import NS2
    from ns2.train.step.build import usual_sizes

    torch.manual_seed(seed)
    sizes = usual_sizes()
    model = NS2(config, sizes)
    shape = (sizes.quantizers, sizes.entries, sizes.latent_dim)
    return model.fit_to(
        codebooks=torch.randn(shape) * 0.3,
        latent_mean=torch.zeros(sizes.latent_dim),
        latent_std=torch.full((sizes.latent_dim,), 1.2),
    )


def new_trainer(preset: str, data: Made | None = None, compiled: bool = False, **settings):
    """A real Trainer of made-up data."""
    import ns2.train.step.trainer as module
    from ns2.train.run.overrides import choose
    from ns2.train.step.ranks import Ranks

    module.build_model = lambda dataset, config, seed=0: random_model(config, seed)
    config = choose(preset, None, [f"{k}={json.dumps(v)}" for k, v in settings.items()])
    trainer = module.Trainer(
        config, data or Made(64, (4.3, 0.7, 20.0)), Ranks(DEVICE), compiled=compiled
    )
    trainer.model.train()
    return trainer


def inputs(shape, self_condition: bool, seed: int = 0):
    """A batch of that (B, T, N, P), its draws and counts, on the device; all of it is speech."""
    import torch

    from ns2.model.tts.batch import Batch, Counts
    from ns2.model.tts.draws import Draws

    batch, frames, tokens, prompt = shape
    g = torch.Generator().manual_seed(seed)
    durations = torch.full((batch, tokens), frames // tokens)
    durations[:, 0] += frames - durations.sum(1)
    f0 = torch.rand(batch, frames, generator=g) * 200 + 80
    made = Batch(
        codes=torch.randint(0, 1024, (batch, 16, frames), generator=g, dtype=torch.int32),
        frames=torch.full((batch,), frames),
        phonemes=torch.randint(1, 60, (batch, tokens), generator=g),
        tokens=torch.full((batch,), tokens),
        durations=durations,
        f0=f0 * (torch.rand(batch, frames, generator=g) < 0.6),
        prompt_codes=torch.randint(0, 1024, (batch, 16, prompt), generator=g, dtype=torch.int32),
        prompt_frames=torch.full((batch,), prompt),
        seeds=torch.arange(batch),
    )
    draws = Draws(
        uniform=torch.rand(batch, generator=g),
        noise=torch.randn(batch, 128, frames, generator=g),
        quantizer=torch.randint(0, 16, (batch,), generator=g),
        drop_prompt=torch.rand(batch, generator=g) < 0.1,
        drop_content=torch.rand(batch, generator=g) < 0.1,
        self_condition=self_condition,
    )
    made, draws = made.to(DEVICE), draws.to(DEVICE)
    return made, draws, Counts.of(made)


def autocast(enabled: bool = True):
    import torch

    return torch.autocast(DEVICE, torch.bfloat16, enabled=enabled)


def sync() -> None:
    import torch

    if GPU:
        torch.cuda.synchronize()


def timed(work, times: int = 5, before: int = 2) -> float:
    """The median of milliseconds of a piece of work."""
    for _ in range(before):
        work()
    taken = []
    for _ in range(times):
        sync()
        began = time.perf_counter()
        work()
        sync()
        taken.append((time.perf_counter() - began) * 1e3)
    return sorted(taken)[len(taken) // 2]


def pass_of(model, shape, self_condition=False, bf16=True):
    """Forwards and backwards as a function."""
    batch, draws, counts = inputs(shape, self_condition)

    def work() -> None:
        model.zero_grad(set_to_none=True)
        with autocast(bf16):
            losses = model(batch, draws, counts)
        model.total(losses).backward()

    return work


def peak(reset: bool = False) -> float:
    import torch

    if not GPU:
        return 0.0
    if reset:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return 0.0
    return torch.cuda.max_memory_allocated() / 2**30


def rss() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def flops_of(preset: str, shape, self_condition: bool) -> float:
    """Of a forward and backward pass, counted on tensors without values."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from ns2.model.tts.batch import Batch, Counts
    from ns2.model.tts.draws import Draws
    from ns2.model.tts.ns2 import NS2
    from ns2.model.tts.presets import preset as config_of
    from ns2.train.step.build import usual_sizes

    batch, frames, tokens, prompt = shape
    with FakeTensorMode():
        model = NS2(config_of(preset), usual_sizes())
        whole = lambda *s: torch.zeros(*s, dtype=torch.int64)  # noqa: E731
        one = torch.ones(())
        with FlopCounterMode(display=False) as counter:
            losses = model(
                Batch(codes=whole(batch, 16, frames), frames=whole(batch), seeds=whole(batch),
                      phonemes=whole(batch, tokens), tokens=whole(batch),
                      durations=whole(batch, tokens), f0=torch.zeros(batch, frames),
                      prompt_codes=whole(batch, 16, prompt), prompt_frames=whole(batch)),
                Draws(uniform=torch.zeros(batch), noise=torch.zeros(batch, 128, frames),
                      quantizer=whole(batch), drop_prompt=whole(batch) > 0,
                      drop_content=whole(batch) > 0, self_condition=self_condition),
                Counts(frames=one, tokens=one, voiced=one, utterances=one),
            )  # fmt: skip
            model.total(losses).backward()
    return float(counter.get_total_flops())


# -- sections -----------------------------------------------------------------------------------------


@section(20)
def machine() -> dict:
    """The ceilings: products of matrices, copies, and who answers attention first."""
    import torch

    found: dict = {
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        "device": torch.cuda.get_device_name() if GPU else "cpu",
        "cpus": os.cpu_count(),
        "gcc": subprocess.run(["which", "gcc"], capture_output=True, text=True).stdout.strip(),
    }
    size = 8192 if GPU else 512
    a, b = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    found["bf16_tflops"] = 2 * size**3 / timed(lambda: a @ b, 10, 3) / 1e9
    block = torch.empty(2**28 if GPU else 2**20, device=DEVICE, dtype=torch.float32)
    other = torch.empty_like(block)
    found["copy_gb_s"] = 2 * block.nbytes / timed(lambda: other.copy_(block), 10, 3) / 1e6
    if GPU:
        host = torch.empty(12_500_000)
        there = torch.empty_like(host, device=DEVICE)
        found["from_pageable_gb_s"] = host.nbytes / timed(lambda: there.copy_(host)) / 1e6
        pinned = host.pin_memory()
        there.copy_(pinned)
        found["from_pinned_gb_s"] = (
            host.nbytes / timed(lambda: there.copy_(pinned, non_blocking=True)) / 1e6
        )
        q = torch.randn(2, 8, 64, 64, device=DEVICE, dtype=torch.bfloat16)
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
        found["attention_order"] = torch._C._get_sdp_priority_order()  # 3 first is cuDNN
    began = time.perf_counter()
    torch.randn(128, 80_000, generator=torch.Generator().manual_seed(0))
    found["cpu_noise_of_80k_frames_ms"] = (time.perf_counter() - began) * 1e3
    say(f"machine: {found}")
    return found


@section(60)
def numbers() -> dict:
    """Losses and gradients of a small model: CPU in float32, GPU in float32 and in bfloat16."""
    import torch

    from ns2.model.tts.presets import preset

    def run(device: str, bf16: bool, sc: bool):
        model = random_model(preset("tiny")).to(device).train()  # tiny has no dropout
        batch, draws, counts = inputs((3, 128, 32, 64), sc)
        batch, draws = batch.to(device), draws.to(device)
        counts = type(counts)(**{k: v.to(device) for k, v in vars(counts).items()})
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            losses = model(batch, draws, counts)
        model.total(losses).backward()
        grads = {n: p.grad.float().cpu() for n, p in model.named_parameters() if p.grad is not None}
        return {k: float(v) for k, v in losses.items()}, grads

    found = {}
    torch.backends.cuda.matmul.allow_tf32 = False
    for sc in (False, True):
        with torch.backends.cudnn.flags(allow_tf32=False, enabled=True):
            reference, right = run("cpu", False, sc)
            for name, bf16 in (("fp32", False), ("bf16", True)):
                losses, grads = run(DEVICE, bf16, sc)
                again, twice = run(DEVICE, bf16, sc)
                worst = max(abs(losses[k] - reference[k]) / abs(reference[k]) for k in reference)
                missing = [k for k in right if k not in grads or not grads[k].isfinite().all()]
                cosines = {
                    k: float(torch.cosine_similarity(right[k].flatten(), grads[k].flatten(), dim=0))
                    for k in right
                    if k in grads and right[k].numel() > 1
                }
                low = sorted(cosines.items(), key=lambda kv: kv[1])[:3]
                same = all(torch.equal(grads[k], twice[k]) for k in grads) and again == losses
                found[f"{name}, self_condition {sc}"] = {
                    "largest relative error of a loss": worst,
                    "gradients missing": missing,
                    "lowest cosines of gradients": low,
                    "twice the same bits": same,
                }
                say(f"numbers {name} sc={sc}: losses off {worst:.1e}, missing {missing}, "
                    f"lowest cosine {low[0]}, repeatable {same}")  # fmt: skip
    return found


@section(20)
def attention() -> dict:
    """cuDNN's attention, which torch 2.11 takes first on Hopper: its dropout, and NaN in gradients.

    pytorch#174245: dropout is rounded to sixteenths. pytorch#196678: NaN where the keys are 64 more
    than a multiple of 128, there is a mask, and a row's scores are all below -88.
    """
    import math

    import torch
    from torch.nn import functional as f

    found = {}
    kinds = [("as it is", True), ("without cuDNN", False)] if GPU else [("cpu", True)]
    for name, cudnn in kinds:
        if GPU:
            torch.backends.cuda.enable_cudnn_sdp(cudnn)
        row = {}
        zero = torch.zeros(64, 8, 256, 64, device=DEVICE, dtype=torch.bfloat16)
        keys = zero[:, :, :64]
        values = (
            torch.eye(64, device=DEVICE, dtype=torch.bfloat16).expand(64, 8, 64, 64).contiguous()
        )
        mask = torch.ones(64, 1, 1, 64, dtype=torch.bool, device=DEVICE)
        for asked in (0.1, 0.2, 0.5):
            out = f.scaled_dot_product_attention(
                zero, keys, values, attn_mask=mask, dropout_p=asked
            )
            kept = out != 0
            row[f"dropout {asked}"] = {
                "dropped": 1 - float(kept.float().mean()),
                "mean": float(out.float().mean() * 64),
                "kept times": float(out[kept].float().mean() * 64),
            }
        for length in (192, 256, 320):
            q, k, v = (torch.randn(1, 1, length, 64, device=DEVICE, dtype=torch.bfloat16) * 0.1
                       for _ in range(3))  # fmt: skip
            q[..., 0], k[..., 0] = 1.0, -120 * math.sqrt(64)
            for tensor in (q, k, v):
                tensor.requires_grad_()
            mask = torch.ones(1, 1, 1, length, dtype=torch.bool, device=DEVICE)
            f.scaled_dot_product_attention(q, k, v, attn_mask=mask).float().sum().backward()
            row[f"not finite, {length} keys"] = int((~q.grad.isfinite()).sum())
        found[name] = row
        say(f"attention, {name}: {row}")
    if GPU:
        torch.backends.cuda.enable_cudnn_sdp(True)
    return found


@section(70)
def conv() -> dict:
    """Convolutions as they are (torch makes conv1d's input contiguous), as conv2d, as products."""
    import torch
    from torch.nn import functional as f

    found = {}
    batch, frames = (20, 576) if GPU else (2, 64)
    for name, enter, leave, kernel, dilation in (
        ("wavenet", 512, 2048, 3, 1), ("wavenet dilated", 512, 2048, 3, 2),
        ("wavenet of base", 384, 1536, 3, 2), ("encoder", 512, 2048, 9, 1),
        ("predictor", 512, 512, 5, 1),
    ):  # fmt: skip
        weight = torch.randn(leave, enter, kernel, device=DEVICE, dtype=torch.bfloat16) * 0.02
        weight.requires_grad_()
        bias = torch.zeros(leave, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
        x = torch.randn(batch, frames, enter, device=DEVICE, dtype=torch.bfloat16)
        x.requires_grad_()
        reach = (kernel - 1) * dilation
        out_grad = torch.randn(batch, frames, leave, device=DEVICE, dtype=torch.bfloat16)

        def as_is():
            padded = f.pad(x, (0, 0, reach // 2, reach - reach // 2))
            return f.conv1d(padded.transpose(1, 2), weight, bias, dilation=dilation).transpose(1, 2)

        def as_2d():
            planes = x.transpose(1, 2).unsqueeze(2)
            return (
                f.conv2d(planes, weight.unsqueeze(2).contiguous(memory_format=torch.channels_last),
                         bias, padding=(0, reach // 2), dilation=(1, dilation))
                .squeeze(2).transpose(1, 2)
            )  # fmt: skip

        def as_product():
            padded = f.pad(x, (0, 0, reach // 2, reach - reach // 2))
            taps = [padded[:, t * dilation : t * dilation + frames] for t in range(kernel)]
            return f.linear(torch.cat(taps, -1), weight.permute(0, 2, 1).flatten(1), bias)

        flops = 3 * 2 * batch * frames * enter * leave * kernel
        row = {}
        reference = as_is().float()
        for way, work in (("conv1d", as_is), ("conv2d", as_2d), ("product", as_product)):
            y = work()
            error = float((y.float() - reference).norm() / reference.norm())

            def both(work=work):
                work().backward(out_grad)
                x.grad = weight.grad = bias.grad = None

            def on(work=work):
                # what follows wants (B, T, C) as it lies: that belongs to the cost
                return work().contiguous()

            forwards, all_of_it = timed(on), timed(both)
            row[way] = {"forward_ms": forwards, "both_ms": all_of_it, "error": error,
                        "tflops": flops / all_of_it / 1e9, "contiguous": y.is_contiguous()}  # fmt: skip
        found[name] = row
        say(f"conv {name}: " + ", ".join(
            f"{w} {r['both_ms']:.2f} ms ({r['tflops']:.0f} TFLOP/s, contiguous {r['contiguous']}, "
            f"error {r['error']:.0e})" for w, r in row.items()))  # fmt: skip
    return found


@section(90)
def new_shapes() -> dict:
    """What the first step of a shape costs above the next one; with cuDNN's attention and without."""
    import torch

    from ns2.model.tts.presets import preset

    model = random_model(preset("base" if GPU else "tiny")).to(DEVICE).train()
    pass_of(model, (4, 128, 32, 64))()
    sync()
    found = {}
    kinds = [("as it is", True), ("without cuDNN's attention", False)] if GPU else [("cpu", True)]
    step = 64 if GPU else 16
    for i, (name, cudnn) in enumerate(kinds):
        if GPU:
            torch.backends.cuda.enable_cudnn_sdp(cudnn)
        rows = []
        for k in range(5 if GPU else 2):
            shape = (5 + k + 6 * i, step * (3 + k), 16 * (2 + k), step * (1 + k))
            work = pass_of(model, shape)
            sync()
            began = time.perf_counter()
            work()
            sync()
            first = (time.perf_counter() - began) * 1e3
            rows.append((shape, first, timed(work, 3, 0)))
        extra = sorted(a - b for _, a, b in rows)[len(rows) // 2]
        found[name] = {"rows": rows, "median_extra_ms": extra}
        say(f"new shapes, {name}: a new shape costs {extra:.0f} ms more "
            f"({', '.join(f'{a:.0f}/{b:.0f}' for _, a, b in rows)} ms first/next)")  # fmt: skip
    if GPU:
        torch.backends.cuda.enable_cudnn_sdp(True)
    return found


SHARE = (20, 576, 128, 320)
"""About what one of eight GPUs has of 96,000 frames."""
COUNTED = {"paper": (20.32e12, 24.51e12), "base": (5.12e12, 6.30e12)}
"""FLOPs of SHARE, forwards and backwards, without and with self-conditioning."""


@section(120)
def steps() -> dict:
    """Whole steps as the trainer does them: time, memory, share of the matrix units' limit."""
    import torch

    found = {}
    ceiling = RESULTS.get("machine", {}).get("bf16_tflops") or 800
    for preset, shape in (
        (("base", SHARE), ("paper", SHARE), ("base", (160, 576, 128, 320)))
        if GPU
        else (("tiny", (3, 128, 32, 64)),)
    ):
        peak(reset=True)
        trainer = new_trainer(preset)
        batch, draws, _ = inputs(shape, False)
        from ns2.train.step.trainer import Share

        share = Share(((batch, draws),))
        row = {}
        for sc in (False, True):
            trainer._self_conditions = lambda sc=sc: sc
            with contextlib.suppress(Exception):
                known = COUNTED.get(preset)  # counting takes a CPU half a minute a preset
                row[f"flops, {sc}"] = (
                    known[sc] * shape[0] / SHARE[0] if known else flops_of(preset, shape, sc)
                )
            try:
                row[f"ms, {sc}"] = timed(lambda: trainer.learn(share), 5, 2)
            except torch.OutOfMemoryError as error:
                row["out of memory"] = str(error)[:150]
                break
        row["gib"] = peak()
        if "ms, False" in row and "ms, True" in row:
            mean = (row["ms, False"] + row["ms, True"]) / 2
            work = (row.get("flops, False", 0) + row.get("flops, True", 0)) / 2
            row["of the limit"] = work / mean / 1e9 / ceiling
            row["slots a second"] = shape[0] * shape[1] / mean * 1e3
            if GPU:
                row["profile"] = profiled(lambda: trainer.learn(share))
            say(f"step of {preset} {shape}: {row['ms, False']:.0f} ms, self-conditioned "
                f"{row['ms, True']:.0f} ms, {row['of the limit']:.0%} of the matrix limit, "
                f"{row['gib']:.1f} GiB; {row.get('profile', {}).get('told', '')}")  # fmt: skip
        else:
            say(f"step of {preset} {shape}: {row}")
        found[f"{preset} {shape}"] = row
        del trainer, share, batch, draws
    return found


def profiled(work) -> dict:
    """Kernels of a step: how many, how long, which."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        wall = (time.perf_counter() - began) * 1e3
    spent, count = Counter(), 0
    for event in trace.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            spent[event.name[:90]] += event.time_range.elapsed_us() / 1e3
            count += 1
    busy = sum(spent.values())
    return {
        "kernels": count, "busy_ms": busy, "wall_ms": wall, "top": spent.most_common(20),
        "told": f"{count} kernels, busy {busy:.0f} of {wall:.0f} ms; "
        + ", ".join(f"{t:.1f} ms {n[:40]}" for n, t in spent.most_common(6)),
    }  # fmt: skip


@section(40)
def syncs() -> dict:
    """Where a step makes the CPU wait for the GPU."""
    import torch

    if not GPU:
        return {"told": "needs a GPU"}
    trainer = new_trainer("tiny")
    batch, draws, _ = inputs((3, 128, 32, 64), True)
    from ns2.train.step.trainer import Share

    share = Share(((batch, draws),))
    for _ in range(2):
        trainer.learn(share)
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trainer.learn(share)
    torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{Path(w.filename).name}:{w.lineno}" for w in told if "synchron" in str(w.message)
    )
    say(f"syncs of a step: {sum(places.values())}: {dict(places)}")
    return dict(places)


@section(100)
def compiled() -> dict:
    """The repeated layers compiled, with dimensions that vary; then the step as --compile does it."""
    import torch
    from torch._dynamo.utils import counters

    from ns2.model.blocks.encoder import EncoderLayer
    from ns2.model.blocks.wavenet import WaveNetLayer
    from ns2.model.tts.predictors import ConvBlock, PromptAttention
    from ns2.model.tts.presets import preset

    found = {}
    torch._dynamo.config.recompile_limit = 64
    kinds = (WaveNetLayer, EncoderLayer, ConvBlock, PromptAttention)
    for name, shape in (("base", SHARE), ("paper", SHARE)) if GPU else (("tiny", (3, 64, 16, 64)),):
        if name == "paper" and left() < 220:
            break
        model = random_model(preset(name)).to(DEVICE).train()
        for module in model.modules():
            if isinstance(module, kinds):
                module.compile(
                    dynamic=True, fullgraph=True, backend="inductor" if GPU else "aot_eager"
                )
        row, before = {}, counters["stats"]["unique_graphs"]
        for label, one, sc in (("first", shape, False), ("self-conditioned", shape, True),
                               ("other shape", (shape[0] + 3, shape[1] + 64, shape[2] + 16, 64), False),
                               ("again", (shape[0] + 1, shape[1] + 128, shape[2], 128), True)):  # fmt: skip
            work = pass_of(model, one, sc)
            began = time.perf_counter()
            work()
            sync()
            row[f"{label}, s"] = time.perf_counter() - began
        peak(reset=True)
        row["ms"] = timed(pass_of(model, shape), 5, 1)
        row["ms, self-conditioned"] = timed(pass_of(model, shape, True), 5, 1)
        row["gib"] = peak()
        row["graphs"] = counters["stats"]["unique_graphs"] - before
        eager = random_model(preset(name)).to(DEVICE).train()
        row["eager_ms"] = timed(pass_of(eager, shape), 5, 2)
        found[f"layers of {name}"] = row
        say(f"compiled layers of {name}: {row}")
        del model, eager
    return found


@section(150)
def compile_whole() -> dict:
    """`--compile` as it is: one shape of base, forwards and backwards, fullgraph, static."""
    import torch

    from ns2.model.tts.presets import preset

    name, shape = ("base", SHARE) if GPU else ("tiny", (3, 64, 16, 64))
    model = random_model(preset(name)).to(DEVICE).train()
    fast = torch.compile(
        model, fullgraph=True, dynamic=False, backend="inductor" if GPU else "aot_eager"
    )
    batch, draws, counts = inputs(shape, False)

    def work() -> None:
        model.zero_grad(set_to_none=True)
        with autocast():
            losses = fast(batch, draws, counts)
        model.total(losses).backward()

    began = time.perf_counter()
    work()
    sync()
    first = time.perf_counter() - began
    row = {"first_s": first, "ms": timed(work, 5, 1)}
    say(f"--compile of {name}: {first:.0f} s a shape, then {row['ms']:.1f} ms a pass")
    return row


@section(60)
def loop() -> dict:
    """Steps with the reader: what reading, copying and telling cost; and what grows."""
    from ns2.train.data.prefetch import Reader

    found = {}
    data = Made(4096 if GPU else 64, (4.3, 0.75, 20.0))
    for preset, frames, count in (("base", 12_000, 40),) if GPU else (("tiny", 1600, 6),):
        trainer = new_trainer(preset, data, global_frames=frames)
        reader = Reader(
            data, trainer.share, seed=0, global_frames=frames, pin=GPU,
            other_below=trainer.config.model.prompt.whole_below,
        )  # fmt: skip
        taken, slots, copying, shapes = [], [], [], Counter()
        start = rss()
        with reader:
            for _ in range(count):
                began, waited = time.perf_counter(), reader.meter.waited
                step = next(reader)
                batch = step.batch.parts[0][0]
                shapes[
                    (
                        *tuple(batch.codes.shape[::2]),
                        batch.phonemes.shape[1],
                        batch.prompt_codes.shape[2],
                    )
                ] += 1
                sync()
                here = time.perf_counter()
                _ = [(b.to(DEVICE), d.to(DEVICE)) for b, d in step.batch.parts]
                sync()
                copying.append((time.perf_counter() - here) * 1e3)
                trainer.learn(step.batch)
                trainer.step += 1
                taken.append((time.perf_counter() - began) * 1e3)
                slots.append((reader.meter.waited - waited) * 1e3)
        last = next(iter(trainer.averaged.parameters()))
        row = {
            "median_ms": sorted(taken)[len(taken) // 2], "first10_ms": taken[:10],
            "waited_ms": sum(slots) / len(slots), "copying_ms": sorted(copying)[len(copying) // 2],
            "shapes": len(shapes), "of": count, "rss_mib_a_step": (rss() - start) / count,
            "average_is_a_leaf": last.is_leaf, "average_grad_fn": type(last.grad_fn).__name__,
            "noise_pinned": step.batch.parts[0][1].noise.is_pinned() if GPU else None,
            "batch_pinned": batch.codes.is_pinned() if GPU else None,
        }  # fmt: skip
        found[preset] = row
        say(f"loop of {preset}: {row}")
    return found


@section(40)
def memory() -> dict:
    """A step of short utterances with long prompts: what --dry-run does not look at."""
    import torch

    from ns2.model.tts.presets import preset

    found = {}
    if not GPU:
        return {"told": "needs a GPU"}
    model = random_model(preset("base")).to(DEVICE).train()
    for shape in ((160, 576, 128, 320), (400, 128, 32, 384), (1180, 128, 32, 384)):
        peak(reset=True)
        try:
            pass_of(model, shape)()
            sync()
            found[str(shape)] = peak()
        except torch.OutOfMemoryError as error:
            found[str(shape)] = f"out of memory: {str(error)[:120]}"
            model.zero_grad(set_to_none=True)
    say(f"memory of base, GiB: {found}")
    return found


@section(40)
def checkpoint() -> dict:
    """How long a save holds up the run, and what of it."""
    import io

    import torch

    from ns2.train.run.checkpoint import load_checkpoint, save_checkpoint

    trainer = new_trainer("base" if GPU else "tiny")
    from ns2.train.step.trainer import Share

    batch, draws, _ = inputs((3, 128, 32, 64), False)
    trainer.learn(Share(((batch, draws),)))
    folder = Path(tempfile.mkdtemp(prefix="ns2-save-"))
    began = time.perf_counter()
    state = trainer.state()
    path = save_checkpoint(folder, 1, state, 3)
    whole = time.perf_counter() - began
    size = path.stat().st_size / 1e9
    began = time.perf_counter()
    torch.save(state, io.BytesIO())
    buffer = time.perf_counter() - began
    tensors = [t for t in torch.utils._pytree.tree_leaves(state) if isinstance(t, torch.Tensor)]
    host = [torch.empty_like(t, device="cpu", pin_memory=GPU) for t in tensors]
    sync()
    began = time.perf_counter()
    for there, here in zip(host, tensors, strict=True):
        there.copy_(here, non_blocking=True)
    sync()
    copy = time.perf_counter() - began
    began = time.perf_counter()
    load_checkpoint(path)
    row = {"gb": size, "save_s": whole, "of_it_torch_save_to_memory_s": buffer,
           "copy_to_pinned_s": copy, "load_s": time.perf_counter() - began}  # fmt: skip
    path.unlink()
    say(f"checkpoint: {row}")
    return row


@section(30)
def sums() -> dict:
    """The sum of gradients over processes, with NCCL and one process: the copies around it."""
    import torch
    import torch.distributed as dist

    from ns2.model.tts.presets import preset
    from ns2.train.step.ranks import Ranks

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29577", RANK="0", WORLD_SIZE="1")
    dist.init_process_group("nccl" if GPU else "gloo", rank=0, world_size=1)
    try:
        for name in ("RANK", "WORLD_SIZE"):
            os.environ.pop(name)
        ranks = Ranks(DEVICE)
        ranks.count = 2  # so that it does what several do
        model = random_model(preset("paper" if GPU else "tiny")).to(DEVICE)
        grads = [torch.randn_like(p) for p in model.parameters()]
        flat = torch.cat([g.reshape(-1) for g in grads])
        row = {
            "gb": flat.nbytes / 1e9, "sum_ms": timed(lambda: ranks.sum(grads)),
            "all_reduce_alone_ms": timed(lambda: dist.all_reduce(flat)),
            "total_ms": timed(lambda: ranks.total(1.0, 2.0)),
            "pieces": len(grads),
        }  # fmt: skip
    finally:
        dist.destroy_process_group()
    say(f"sums: {row}")
    return row


@section(40)
def codec() -> dict:
    """The codec on the GPU: the same twice, near the CPU's, how fast, how much memory."""
    import numpy as np
    import torch

    from ns2.model.codec.loading import load_codec

    rng = np.random.default_rng(0)
    waves = [
        torch.from_numpy((0.1 * rng.standard_normal(int(24_000 * s))).astype(np.float32))
        for s in rng.uniform(1, 12, 32 if GPU else 3)
    ]
    seconds = sum(len(w) for w in waves) / 24_000
    codec = load_codec("mini")
    began = time.perf_counter()
    right = [codec.encode(w) for w in waves[:4]]
    slow = time.perf_counter() - began
    peak(reset=True)
    codec.to(DEVICE)
    first = codec.encode_many(waves)
    sync()
    began = time.perf_counter()
    second = codec.encode_many(waves)
    sync()
    taken = time.perf_counter() - began
    row = {
        "twice_the_same": all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        "codes_as_on_the_cpu": float(np.mean([
            (a == b.cpu()).float().mean() for a, b in zip(right, first, strict=False)])),
        "times_real_time": seconds / taken, "gib": peak(), "cpu_s_of_4": slow,
    }  # fmt: skip
    say(f"codec mini: {row}")
    return row


@section(40)
def speak() -> dict:
    """Samples of a run: twenty steps of a sampler, in the type that `samples` takes."""
    import torch

    from ns2.model.diffusion.samplers import SamplerConfig
    from ns2.model.tts.generation import Choices, Request, generate
    from ns2.model.tts.presets import preset

    model = random_model(preset("base" if GPU else "tiny")).to(DEVICE).eval()
    tokens = 64
    request = Request(
        phonemes=torch.randint(1, 60, (1, tokens), device=DEVICE),
        tokens=torch.tensor([tokens], device=DEVICE),
        seeds=torch.tensor([1], device=DEVICE),
        prompt_codes=torch.randint(0, 1024, (1, 16, 225), device=DEVICE, dtype=torch.int32),
        prompt_frames=torch.tensor([225], device=DEVICE),
        durations=torch.full((1, tokens), 6, device=DEVICE),
    )
    work = lambda: generate(model, request, Choices(sampler=SamplerConfig(kind="dpm++", steps=20)))  # noqa: E731
    row = {"fp32_ms": timed(work, 3, 1), "finite": bool(work().latents.isfinite().all())}
    with autocast():
        row["bf16_ms"] = timed(work, 3, 1)
    say(f"speaking 5 s: {row}")
    return row


@section(100)
def command() -> dict:
    """`ns2 train` itself on a made-up dataset: runs, goes on, and tells clearly what is not there."""
    from tests.support.dataset_factories import Recipe, make_dataset

    root = SHIM / "shards"
    make_dataset(root, Recipe(shards=2, per_shard=24, frames=(160, 400)))
    run, found = SHIM / "run", {}

    def ns2(*words: str, launcher: tuple[str, ...] = (), wait: int = 90) -> tuple[int, str]:
        start = [sys.executable, *launcher, "-m", "ns2.cli"]
        done = subprocess.run(
            [*start, "train", str(root), "-o", str(run), "--preset", "tiny", "--device", DEVICE,
             "--set", "samples=0", "--set", "global_frames=1500", "--set", "checkpoint_every=3",
             "--set", "validate_every=3", *words],
            capture_output=True, text=True, timeout=wait, env={**os.environ},
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr)[-600:]

    several = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1")
    for name, words, launcher in (
        ("runs", ("--steps", "6", "--set", "statistics_every=2"), ()),
        ("goes on", ("--steps", "9", "--set", "statistics_every=2"), ()),
        ("dry run", ("--steps", "9", "--dry-run"), ()),
        ("torchrun", ("--steps", "12", "--set", "statistics_every=2"), several),
        ("compiled", ("--steps", "3", "--fresh", "--compile"), ()),
        ("two devices where one is", ("--steps", "4", "--fresh", "--devices", "2"), ()),
    ):
        if name == "compiled" and (left() < 120 or not GPU):
            continue
        try:
            code, told = ns2(*words, launcher=launcher)
        except subprocess.TimeoutExpired:
            code, told = -1, "took too long"
        found[name] = {"code": code, "told": told}
        say(f"command, {name}: code {code}: {told[-160:].strip()!r}")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found["steps"] = [(r["step"], r["loss"], r["seconds"]) for r in rows]
    return found


def left() -> float:
    return MINUTES * 60 - (time.perf_counter() - BEGAN)


def main() -> None:
    global DEVICE, GPU, MINUTES
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("--repo", type=Path, default=Path())
    asked.add_argument("--out", type=Path, default=Path())
    asked.add_argument("--device", default="cuda")
    asked.add_argument("--minutes", type=float, default=9)
    asked.add_argument("--only", default="")
    asked.add_argument("--skip", default="")
    chosen = asked.parse_args()
    prepare(chosen.repo)
    import torch

    DEVICE, MINUTES = chosen.device, chosen.minutes
    GPU = DEVICE == "cuda"
    if GPU and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU here; --device cpu is the dry run")
    if not GPU:
        torch.set_num_threads(1)
    order = [
        "machine",
        "numbers",
        "attention",
        "conv",
        "steps",
        "new_shapes",
        "loop",
        "syncs",
        "memory",
        "checkpoint",
        "sums",
        "compiled",
        "codec",
        "command",
        "speak",
        "compile_whole",
    ]  # what matters most comes first
    SECTIONS.sort(key=lambda one: order.index(one[0]))
    only, skip = (set(filter(None, t.split(","))) for t in (chosen.only, chosen.skip))
    for name, seconds, work in SECTIONS:
        if (only and name not in only) or name in skip:
            continue
        if left() < (min(seconds, 30) if GPU else 0):
            RESULTS[name] = "left out: no time"
            say(f"{name}: left out, {left():.0f} s are left")
            continue
        began = time.perf_counter()
        try:
            RESULTS[name] = work()
        except Exception as error:
            RESULTS[name] = {"failed": traceback.format_exc()[-3000:]}
            say(f"{name}: FAILED: {type(error).__name__}: {str(error)[:400]}")
        with contextlib.suppress(Exception):
            peak(reset=True)
        RESULTS.setdefault("seconds", {})[name] = round(time.perf_counter() - began, 1)
        (chosen.out / "gpu_check.json").write_text(json.dumps(RESULTS, indent=1, default=str))
    say(f"done: {RESULTS.get('seconds')}")


DEVICE, MINUTES = "cuda", 9.0
if __name__ == "__main__":
    main()
