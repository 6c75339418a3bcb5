"""Every parameter of every preset learns, and each loss trains the networks that it is for.

Presets keep their structure here, all layers, heads and kernels, but not their widths: a gradient
that is cut off is cut off at any width.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ns2.model.tts.ns2 import NS2
from ns2.model.tts.presets import PRESETS
from tests.support.model_factories import make_batch, make_model, narrow, with_drops

ENCODERS = {"phone", "stress", "phoneme_encoder", "prompt_enter", "prompt_encoder"}
DENOISER = {"denoiser", "phone", "stress", "phoneme_encoder", "pitch"}
VOICE = {"prompt_enter", "prompt_encoder", "null_prompt"}
TRAINED_BY = {
    "diffusion": DENOISER | VOICE | {"null_content"},
    "score": DENOISER | VOICE | {"null_content"},
    "ce_rvq": DENOISER | VOICE | {"null_content"},
    "duration": ENCODERS | {"null_prompt", "duration_predictor"},
    "pitch": ENCODERS | {"null_prompt", "pitch_predictor"},
    "voicing": ENCODERS | {"null_prompt", "pitch_predictor"},
}


def steps(model: NS2, count: int) -> dict[str, Tensor]:
    """Train; returns where each parameter ever had a gradient.

    Prompt and content are dropped and self-conditioning is used in the first step.
    """
    batch = make_batch()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    learnt = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in model.named_parameters()}
    for step in range(count):
        seeds = batch.seeds + 1000 * step
        draws = model.draw(replace(batch, seeds=seeds), self_condition=step == 0)
        if step == 0 and model.config.conditional:
            draws = with_drops(draws)
        optimiser.zero_grad()
        model.total(model(batch, draws)).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), name
                learnt[name] |= parameter.grad != 0
        optimiser.step()
    return learnt


@pytest.mark.parametrize("name", PRESETS)
def test_every_parameter_has_a_gradient_within_four_steps(name: str) -> None:
    learnt = steps(make_model(narrow(name)), 4)
    assert not [key for key, cells in learnt.items() if not cells.any()]
    # the half of this matrix that sees the earlier estimate
    enter = learnt["denoiser.enter.weight"]
    assert enter[:, : enter.shape[1] // 2].any() and enter[:, enter.shape[1] // 2 :].all()
    # embeddings have rows that no utterance uses, and a ReLU may be silent; all else learns whole
    silent = {"phone.weight", "stress.weight", "pitch.weight"}
    share = [cells.float().mean() for key, cells in learnt.items() if key not in silent]
    assert torch.stack(share).mean() > 0.95


def test_every_parameter_of_an_unconditional_model_has_a_gradient() -> None:
    config = replace(narrow("seed"), conditional=False)
    learnt = steps(make_model(config), 4)
    assert not [key for key, cells in learnt.items() if not cells.any()]
    assert {key.partition(".")[0] for key in learnt} == {"denoiser"}


def test_without_self_conditioning_the_estimate_is_not_seen() -> None:
    """What the test above finds is due to self-conditioning."""
    model, batch = make_model(narrow("tiny")), make_batch()
    model.total(model(batch, model.draw(batch, self_condition=False))).backward()
    gradient = model.denoiser.enter.weight.grad
    assert gradient is not None
    plain, earlier = gradient.chunk(2, dim=1)
    assert plain.all() and not earlier.any()


@pytest.mark.parametrize("name", ["tiny", "seed"])
def test_each_loss_trains_its_networks(name: str) -> None:
    """All losses are returned, and each reaches what it should and nothing else."""
    model, batch = make_model(narrow(name)), make_batch()
    draws = with_drops(model.draw(batch, self_condition=False))
    losses = model(batch, draws)
    assert losses.keys() == TRAINED_BY.keys()
    parameters = dict(model.named_parameters())
    for key, loss in losses.items():
        assert loss.shape == () and loss > 0
        gradients = torch.autograd.grad(
            loss, list(parameters.values()), retain_graph=True, allow_unused=True
        )
        reached = {
            path.partition(".")[0]
            for path, gradient in zip(parameters, gradients, strict=True)
            if gradient is not None and gradient.any()
        }
        assert reached == TRAINED_BY[key], key


def test_the_total_weighs_each_loss() -> None:
    model = make_model(narrow("tiny"))
    weights = {"diffusion": 2.0, "score": 0.0, "ce_rvq": 0.5, "duration": 3.0, "pitch": 5.0}
    config = replace(model.config.losses, **weights, voicing=7.0)
    model.config = replace(model.config, losses=config)
    losses = {key: torch.tensor(10.0**i) for i, key in enumerate(TRAINED_BY)}
    assert float(model.total(losses)) == pytest.approx(2 + 50 + 3e3 + 5e4 + 7e5)


def test_the_earlier_estimate_gets_no_gradient_of_its_own() -> None:
    """Self-conditioning: the second pass sees what the first says, and only the second learns."""
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    calls: list[Tensor | None] = []
    forward = model.denoiser.forward

    def spied(*args: Tensor, **given: Tensor | None) -> Tensor:
        calls.append(given.get("estimate"))
        return forward(*args, **given)  # type: ignore[arg-type]

    model.denoiser.forward = spied  # type: ignore[method-assign]
    plain = model(batch, model.draw(batch, self_condition=False))
    assert calls == [None]
    twice = model(batch, model.draw(batch, self_condition=True))
    assert calls[1] is None and calls[2] is not None
    assert calls[2].any() and not calls[2].requires_grad
    assert twice["diffusion"] != plain["diffusion"] and twice["pitch"] == plain["pitch"]
