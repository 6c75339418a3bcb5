"""The benchmark of the model: what it counts, against closed forms; not how long things take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.training.model import benchmark
from benchmarks.training.model_table import count_flop, render
from benchmarks.training.model_work import Work, random_batch, works
from ns2.model.blocks.layers import Attention, Conv
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.presets import preset

B, T, K, C, F, KERNEL = 2, 17, 9, 12, 20, 3


def test_operations_of_a_linear_layer_and_a_convolution() -> None:
    """Forward, the gradient of the weights and, where wanted, that of the input: one each."""
    layers = {3: torch.randn(B, T, C, requires_grad=True), 2: torch.randn(B, T, C)}
    for products, x in layers.items():
        linear, conv = nn.Linear(C, F), Conv(C, F, KERNEL)
        once = 2 * B * T * C * F
        assert count_flop(Work("linear", lambda m=linear, x=x: m(x), [linear], 0)) == (  # type: ignore[misc]
            products * once
        )
        assert count_flop(Work("conv", lambda m=conv, x=x: m(x), [conv], 0)) == (  # type: ignore[misc]
            products * once * KERNEL
        )
        assert linear.weight.grad is None  # cleared


def test_operations_of_attention_are_counted_on_any_device() -> None:
    layer = Attention(C, 2)
    x, context = (torch.randn(B, n, C, requires_grad=True) for n in (T, K))
    mask = torch.ones(B, K, dtype=torch.bool)
    linear = 2 * B * C * C * (2 * T + 2 * K)
    scores_and_sums = 2 * (2 * B * T * K * C)
    work = Work("attention", lambda: layer(x, context, mask), [layer], 0)
    assert count_flop(work) == 3 * (linear + scores_and_sums)


@pytest.fixture(scope="module")
def table():  # type: ignore[no-untyped-def]
    (found,) = benchmark("tiny", device="cpu", count=B, frames=24, seconds=0.5)
    return found


def test_parts_add_up_to_the_model(table) -> None:  # type: ignore[no-untyped-def]
    model = NS2(preset("tiny"), Sizes())
    by_name = {row.name: row for row in table.rows}
    parts = table.rows[:5]
    everything = sum(p.numel() for p in model.parameters())
    assert sum(row.parameters for row in parts) == by_name["whole"].parameters == everything
    assert by_name["losses and the rest"].parameters == 0
    assert {row.name for row in parts} == {
        "phoneme encoder",
        "prompt encoder",
        "duration predictor",
        "pitch predictor",
        "diffusion network",
    }
    assert table.limit > 0 and all(row.seconds > 0 for row in parts)
    assert all(row.name in render(table) for row in table.rows)


def test_operations_outside_of_the_parts_are_those_of_the_cross_entropy(table) -> None:  # type: ignore[no-untyped-def]
    """One product of latents and a codebook, and one for its gradient, which books have none of."""
    by_name = {row.name: row for row in table.rows}
    sizes = Sizes()
    product = 2 * B * 24 * sizes.latent_dim * sizes.entries
    assert by_name["losses and the rest"].flop == 2 * product
    assert by_name["whole"].flop == sum(row.flop for row in table.rows[:6])


def test_self_conditioning_adds_one_forward_of_the_denoiser(table) -> None:  # type: ignore[no-untyped-def]
    by_name = {row.name: row for row in table.rows}
    whole, twice = by_name["whole"].flop, by_name["whole, self-conditioned"].flop
    denoiser = by_name["diffusion network"].flop
    assert 0.25 < (twice - whole) / denoiser < 0.36  # a third, but the prompt's tokens are there


def test_every_part_is_what_the_model_runs() -> None:
    """A part's gradient reaches its own parameters and no other's."""
    torch.manual_seed(0)
    model = NS2(preset("tiny"), Sizes())
    batch = random_batch(model.sizes, B, 24)
    owners = {
        "phoneme encoder": {"phone", "stress", "phoneme_encoder"},
        "prompt encoder": {"prompt_enter", "prompt_encoder"},
        "duration predictor": {"duration_predictor"},
        "pitch predictor": {"pitch_predictor"},
        "diffusion network": {"denoiser", "pitch"},
    }
    for work in works(model, batch)[:5]:
        out = work.forward()
        out.backward(torch.randn_like(out))
        got = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
        assert got == owners[work.name]
        work.clear()
