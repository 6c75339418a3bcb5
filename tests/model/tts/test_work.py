"""The operations of a pass by formula, against those that torch counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ns2.model.tts.ns2 import NS2
from ns2.model.tts.presets import preset
from ns2.model.tts.work import PassShape, Work
from ns2.train.step.build import usual_sizes
from tests.support.model_factories import make_batch, make_example, make_model, narrow

COUNTED = {"paper": (20.32e12, 24.51e12), "base": (5.12e12, 6.30e12)}
"""What torch counted once, without and with self-conditioning: it takes half a minute for each.

It did not count the backward passes of attention.
"""


@pytest.mark.parametrize("name", list(COUNTED))
def test_passes_of_the_large_presets_have_the_work_that_torch_has_counted(name: str) -> None:
    with torch.device("meta"):
        work = Work(NS2(preset(name), usual_sizes()))
    shape = PassShape(batch=20, frames=576, phonemes=128, prompt=320)
    for self_condition, wanted in enumerate(COUNTED[name]):
        found = work.of_pass(shape, self_condition=bool(self_condition))
        assert found == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("name", ["tiny", "base", "seed", "demo"])
@pytest.mark.parametrize("self_condition", [False, True])
def test_passes_have_the_work_that_torch_counts(name: str, self_condition: bool) -> None:
    config = narrow(name, head=8)
    if name == "base":
        config = replace(config, diffusion=replace(config.diffusion, ce_quantizers="all"))
    self_condition &= config.denoiser.self_condition
    model = make_model(config)
    examples = [make_example(200 + 20 * i, 40, seed=i, other=60) for i in range(3)]
    batch = make_batch(examples, frame_multiple=64, token_multiple=16, prompt_multiple=32)
    draws = model.draw(batch, self_condition=self_condition)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.total(model(batch, draws)).backward()
    shape = PassShape(
        batch=len(batch),
        frames=batch.codes.shape[2],
        phonemes=batch.phonemes.shape[1],
        prompt=batch.prompt_codes.shape[2],
    )
    found = Work(model).of_pass(shape, self_condition=self_condition)
    assert found == pytest.approx(counter.get_total_flops(), rel=0.03)
