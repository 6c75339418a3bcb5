"""The WaveNet against one written out with torch's plain functions, in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import Conv, packs
from ns2.model.blocks.wavenet import Film, WaveNet, WaveNetConfig, WaveNetLayer
from tests.support.model_factories import make_batch, make_model, narrow

CONFIG = WaveNetConfig(
    layers=7, hidden=8, filter=6, kernel=5, dilation=2, dilation_cycle=2, heads=2
)
FRAMES, TOKENS = 12, 4


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def net(config: WaveNetConfig = CONFIG) -> WaveNet:
    torch.manual_seed(0)
    made = WaveNet(config).double().eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def given(hidden: int = CONFIG.hidden) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, time, content, tokens, mask."""
    return (
        noise(2, FRAMES, hidden),
        noise(2, hidden, seed=1),
        noise(2, FRAMES, hidden, seed=2),
        noise(2, TOKENS, hidden, seed=3),
        torch.ones(2, FRAMES, dtype=torch.bool),
    )


def attended(layer: Film, x: Tensor, tokens: Tensor, heads: int) -> Tensor:
    """Attention head by head, then a scale and a shift of each channel."""
    attention = layer.attention
    query = functional.layer_norm(x, x.shape[-1:], layer.norm.weight, layer.norm.bias) @ (
        attention.query.weight.T
    )
    key = tokens @ attention.key.weight.T
    value = tokens @ attention.value.weight.T + attention.value.bias
    found = []
    for q, k, v in zip(*(a.chunk(heads, -1) for a in (query, key, value)), strict=True):
        found.append((q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1) @ v)
    left = torch.cat(found, -1) @ attention.leave.weight.T + attention.leave.bias
    change = left @ layer.change.weight.T + layer.change.bias
    scale, shift = change[..., : x.shape[-1]], change[..., x.shape[-1] :]
    return (1 + scale) * x + shift


def convolved(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """A sum over taps: (B, T, C) with as many frames before as behind."""
    out = bias.expand(*x.shape[:2], -1)
    middle = weight.shape[2] // 2
    for tap in range(weight.shape[2]):
        moved = torch.zeros_like(x)
        for t in range(x.shape[1]):
            source = t + (tap - middle) * dilation
            if 0 <= source < x.shape[1]:
                moved[:, t] = x[:, source]
        out = out + moved @ weight[:, :, tap].T
    return out


def test_layers_stand_in_sequence_as_written_out_by_hand() -> None:
    wavenet, config = net(), CONFIG
    x, time, content, tokens, mask = given()
    wanted, y = torch.zeros_like(x), x
    for i, layer in enumerate(wavenet.layers):
        assert isinstance(layer, WaveNetLayer)
        seen = y
        if i % 3 == 2:
            assert layer.film is not None
            seen = attended(layer.film, seen, tokens, config.heads)
        assert layer.content_gain is not None
        seen = seen + layer.content_gain * content
        at = time[:, None]
        seen = seen + seen * layer.time_scale * at + layer.time_gain * at
        inner = convolved(seen, layer.conv.weight, layer.conv.bias, 2 * 2 ** (i % 2))
        half = config.filter  # tanh and sigmoid take different halves
        gated = inner[..., :half].tanh() / (1 + (-inner[..., half:]).exp())
        left = gated @ layer.leave.weight.T + layer.leave.bias
        wanted = wanted + left[..., : config.hidden]
        if i < config.layers - 1:
            y = (y + left[..., config.hidden :]) / math.sqrt(2)
    wanted = wanted / math.sqrt(config.layers)
    torch.testing.assert_close(wavenet(x, time, content, tokens, mask), wanted)


def test_signal_and_gate_are_halves_of_their_own() -> None:
    """A gate that is shut silences a layer whatever its signal; a signal of 0 likewise."""
    x, time, content, tokens, mask = given()
    layer = net().layers[0]
    assert isinstance(layer, WaveNetLayer)
    bias, weight, half = layer.conv.bias, layer.conv.weight, CONFIG.filter
    assert bias is not None and weight.shape[0] == 2 * half
    with torch.no_grad():
        layer.leave.bias.zero_()
        saved = bias.clone()
        bias[half:] = -1e3
        assert not layer(x, time, content, tokens, mask)[1].any()
        bias[half:] = 1e3  # open: what comes out is the signal's tanh alone
        seen, at = x + layer.content_gain * content, time[:, None]
        signal = convolved(
            seen + seen * layer.time_scale * at + layer.time_gain * at,
            weight[:half],
            saved[:half],
            CONFIG.dilation_of(0),
        )
        wanted = signal.tanh() @ layer.leave.weight[: CONFIG.hidden].T
        torch.testing.assert_close(layer(x, time, content, tokens, mask)[1], wanted)


def test_each_layer_sees_what_those_before_it_made() -> None:
    """The first layer's convolution moves the inputs of all others: depth is what config says."""
    wavenet = net()
    inputs: list[Tensor] = []
    for layer in wavenet.layers:
        layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    wavenet(*given())
    with torch.no_grad():
        wavenet.layers[0].conv.weight += 0.1  # type: ignore[union-attr, operator]
    wavenet(*given())
    before, after = inputs[: CONFIG.layers], inputs[CONFIG.layers :]
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved == [False] + [True] * (CONFIG.layers - 1)


def test_only_every_third_layer_looks_at_the_prompt() -> None:
    assert [layer.film is not None for layer in net().layers] == [
        (i + 1) % 3 == 0 for i in range(CONFIG.layers)
    ]
    x, time, content, tokens, mask = given()
    wavenet = net()
    found = wavenet(x, time, content, tokens, mask)
    assert not torch.allclose(found, wavenet(x, time, content, tokens.flip(2), mask))
    # their order tells nothing: a prompt is a set of tokens
    torch.testing.assert_close(wavenet(x, time, content, tokens.flip(1), mask), found)


def test_the_width_need_not_be_the_codecs() -> None:
    """Latents of 16 channels, states of 8, a denoiser of 12: all losses and gradients are there."""
    config = narrow("tiny")
    assert {config.width, config.denoiser.wavenet.hidden} == {8}
    wavenet = replace(config.denoiser.wavenet, hidden=12)
    model = make_model(replace(config, denoiser=replace(config.denoiser, wavenet=wavenet)))
    assert model.denoiser.prompt is not None and model.sizes.latent_dim == 16
    model.total(model(make_batch())).backward()
    assert model.denoiser.prompt.weight.grad is not None


def test_configs_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="odd"):
        WaveNetConfig(kernel=4)
    with pytest.raises(ValueError, match="at least 1"):
        WaveNetConfig(layers=0)


def test_under_autocast_layers_compute_in_bfloat16_throughout() -> None:
    """Gains are float32 and would make all that they multiply float32, twice the memory."""
    net_of = WaveNet(CONFIG).eval()
    x, time, content, tokens, mask = (
        value.bfloat16() if value.is_floating_point() else value for value in given()
    )
    kinds: set[torch.dtype] = set()
    for layer in net_of.layers:
        assert isinstance(layer, WaveNetLayer)
        layer.conv.register_forward_pre_hook(lambda _, taken: kinds.add(taken[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        found = net_of(x, time, content, tokens, mask)
    assert kinds == {torch.bfloat16} and found.dtype == torch.bfloat16
    wanted = net_of(x.float(), time.float(), content.float(), tokens.float(), mask)
    torch.testing.assert_close(found.float(), wanted, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("kernel", "dilation", "width"), [(3, 1, 128), (3, 2, 300), (5, 1, 160)])
def test_weights_that_are_laid_out_convolve_alike(
    kernel: int, dilation: int, width: int, causal: bool
) -> None:
    torch.manual_seed(0)
    conv = Conv(width, 2 * width, kernel, dilation=dilation, causal=causal)
    plain, sizes = {}, [(1, 1), (2, 40), (1, 700)]
    mask = {
        size: torch.arange(size[1]) < torch.tensor([[size[1]], [7]])[: size[0]] for size in sizes
    }
    given = {size: torch.randn(*size, width) for size in sizes}
    with torch.no_grad():
        for size in sizes:
            plain[size] = conv(given[size], mask[size])
        conv.pack()
        assert (conv._packed is not None) == packs
        for size in sizes:
            torch.testing.assert_close(
                conv(given[size], mask[size]), plain[size], atol=2e-5, rtol=1e-5
            )


def test_what_is_computed_once_for_all_steps_changes_nothing() -> None:
    made, tokens = net(CONFIG), torch.randn(2, 5, CONFIG.hidden, dtype=torch.float64)
    x, content = torch.randn(2, 2, 30, CONFIG.hidden, dtype=torch.float64)
    time = torch.randn(2, CONFIG.hidden, dtype=torch.float64)
    mask = torch.ones(2, 30, dtype=torch.bool)
    expected = made(x, time, content, tokens, mask)
    torch.testing.assert_close(
        made(x, time, content, tokens, None, made.keys_values(tokens)), expected
    )
