"""Whether the device computes what the CPU computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.training.gpu.bench import Bench
from benchmarks.training.gpu.models import inputs, random_model
from ns2.model.tts.presets import preset

Pass = tuple[dict[str, float], dict[str, Tensor]]
"""Losses and gradients by name."""


def numbers(bench: Bench) -> dict[str, Any]:
    """Compare losses and gradients of `tiny`: the CPU's in float32, the device's in both types."""
    found = {}
    torch.backends.cuda.matmul.allow_tf32 = False
    for self_condition in (False, True):
        with torch.backends.cudnn.flags(allow_tf32=False, enabled=True):
            reference = _one_pass(bench, "cpu", False, self_condition)
            for name, bf16 in (("fp32", False), ("bf16", True)):
                row = _compared(
                    reference,
                    _one_pass(bench, bench.device, bf16, self_condition),
                    _one_pass(bench, bench.device, bf16, self_condition),
                )
                found[f"{name}, self_condition {self_condition}"] = row
                bench.say(
                    f"numbers {name}, self_condition {self_condition}: "
                    f"losses off {row['largest relative error of a loss']:.1e}, "
                    f"missing {row['gradients missing']}, "
                    f"lowest cosine {row['lowest cosines of gradients'][0]}, "
                    f"repeatable {row['twice the same bits']}"
                )
    return found


def _one_pass(bench: Bench, device: str, bf16: bool, self_condition: bool) -> Pass:
    model = random_model(preset("tiny")).to(device).train()  # tiny has no dropout
    batch, draws, counts = inputs(bench, (3, 128, 32, 64), self_condition)
    batch, draws = batch.to(device), draws.to(device)
    counts = type(counts)(**{name: value.to(device) for name, value in vars(counts).items()})
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        losses = model(batch, draws, counts)
    model.total(losses).backward()
    gradients = {
        name: parameter.grad.float().cpu()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return {name: float(value.detach()) for name, value in losses.items()}, gradients


def _compared(reference: Pass, first: Pass, second: Pass) -> dict[str, Any]:
    (expected, right), (losses, gradients) = reference, first
    cosines = {
        name: float(torch.cosine_similarity(right[name].flatten(), grad.flatten(), dim=0))
        for name, grad in gradients.items()
        if name in right and right[name].numel() > 1
    }
    return {
        "largest relative error of a loss": max(
            abs(losses[name] - value) / abs(value) for name, value in expected.items()
        ),
        "gradients missing": [
            name for name in right if name not in gradients or not gradients[name].isfinite().all()
        ],
        "lowest cosines of gradients": sorted(cosines.items(), key=lambda item: item[1])[:3],
        "twice the same bits": losses == second[0]
        and all(torch.equal(gradients[name], second[1][name]) for name in gradients),
    }
