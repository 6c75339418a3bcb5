"""The codec and the generation of speech on the device."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.training.gpu.bench import Bench
from benchmarks.training.gpu.models import random_model
from ns2.model.codec.loading import load_codec
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Generated, Request, generate
from ns2.model.tts.presets import preset


def codec(bench: Bench) -> dict[str, Any]:
    """Test the codec: the same codes twice, near those of the CPU, its speed and memory."""
    rng = np.random.default_rng(0)
    waves = [
        torch.from_numpy((0.1 * rng.standard_normal(int(24_000 * seconds))).astype(np.float32))
        for seconds in rng.uniform(1, 12, bench.pick(32, 3))
    ]
    codec = load_codec("mini")
    began = time.perf_counter()
    right = [codec.encode(wave) for wave in waves[:4]]
    slow = time.perf_counter() - began
    bench.reset_peak()
    codec.to(bench.device)
    first = codec.encode_many(waves)
    second: list[torch.Tensor] = []
    taken = bench.clock(lambda: second.extend(codec.encode_many(waves))) / 1e3
    same = [(there == here.cpu()).float().mean() for there, here in zip(right, first, strict=False)]
    row = {
        "twice_the_same": all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        "codes_as_on_the_cpu": float(np.mean(same)),
        "times_real_time": sum(len(wave) for wave in waves) / 24_000 / taken,
        "gib": bench.peak(),
        "cpu_s_of_4": slow,
    }
    bench.say(f"codec mini: {row}")
    return row


def speak(bench: Bench) -> dict[str, Any]:
    """Time twenty steps of a sampler, in float32 and in the type that samples of a run use."""
    model = random_model(preset(bench.pick("base", "tiny"))).to(bench.device).eval()
    tokens, device = 64, bench.device
    request = Request(
        phonemes=torch.randint(1, 60, (1, tokens), device=device),
        tokens=torch.tensor([tokens], device=device),
        seeds=torch.tensor([1], device=device),
        prompt_codes=torch.randint(0, 1024, (1, 16, 225), device=device, dtype=torch.int32),
        prompt_frames=torch.tensor([225], device=device),
        durations=torch.full((1, tokens), 6, device=device),
    )
    choices = Choices(sampler=SamplerConfig(kind="dpm++", steps=20))

    def work() -> Generated:
        return generate(model, request, choices)

    row = {
        "fp32_ms": bench.timed(work, 3, 1),
        "finite": bool(work().latents.isfinite().all()),
    }
    with bench.autocast():
        row["bf16_ms"] = bench.timed(work, 3, 1)
    bench.say(f"speaking 5 s: {row}")
    return row
