"""Floating-point operations of a training step, known or counted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.gpu.models import SHARE, Shape
from ns2.model.tts.batch import Batch, Counts
from ns2.model.tts.draws import Draws
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.presets import preset
from ns2.train.step.build import usual_sizes

KNOWN = {"paper": (20.32e12, 24.51e12), "base": (5.12e12, 6.30e12)}
"""FLOPs of `SHARE`, forward and backward, without and with self-conditioning: counting them takes a
CPU half a minute per preset."""


def flops_of(name: str, shape: Shape, self_condition: bool) -> float:
    """Return the FLOPs of a forward and backward pass of a preset, counted if not known."""
    if name in KNOWN:
        return KNOWN[name][self_condition] * shape[0] / SHARE[0]
    count, frames, tokens, prompt = shape

    def whole(*size: int) -> Tensor:
        return torch.zeros(*size, dtype=torch.int64)

    with FakeTensorMode():  # tensors without values, so that nothing is computed
        model = NS2(preset(name), usual_sizes())
        one = torch.ones(())
        batch = Batch(
            codes=whole(count, 16, frames),
            frames=whole(count),
            phonemes=whole(count, tokens),
            tokens=whole(count),
            durations=whole(count, tokens),
            f0=torch.zeros(count, frames),
            prompt_codes=whole(count, 16, prompt),
            prompt_frames=whole(count),
            seeds=whole(count),
        )
        draws = Draws(
            uniform=torch.zeros(count),
            noise=torch.zeros(count, 128, frames),
            quantizer=whole(count),
            drop_prompt=whole(count) > 0,
            drop_content=whole(count) > 0,
            self_condition=self_condition,
        )
        counts = Counts(frames=one, tokens=one, voiced=one, utterances=one)
        with FlopCounterMode(display=False) as counter:
            model.total(model(batch, draws, counts)).backward()
    return float(counter.get_total_flops())
