"""Floating-point operations of a training step."""

from __future__ import annotations

import torch

from benchmarks.training.gpu.models import Shape
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.presets import preset
from ns2.model.tts.work import PassShape, Work
from ns2.train.step.build import usual_sizes


def flops_of(name: str, shape: Shape, self_condition: bool) -> float:
    """Return the FLOPs of a forward and backward pass of a preset."""
    with torch.device("meta"):
        work = Work(NS2(preset(name), usual_sizes()))
    count, frames, tokens, prompt = shape
    size = PassShape(batch=count, frames=frames, phonemes=tokens, prompt=prompt)
    return work.of_pass(size, self_condition=self_condition)
