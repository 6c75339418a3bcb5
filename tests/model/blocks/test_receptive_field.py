"""What an output of the denoiser sees, by its gradients in float64, against what configs say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ns2.model.blocks.resampler import ResamplerConfig
from ns2.model.blocks.transformer import TransformerConfig
from ns2.model.blocks.wavenet import WaveNetConfig
from ns2.model.tts.denoiser import Denoiser, DenoiserConfig
from ns2.model.tts.presets import PRESETS
from tests.support.model_factories import narrow

DIM, WIDTH = 3, 4


def seen(config: DenoiserConfig, frames: int, place: int) -> tuple[Tensor, Tensor]:
    """Which frames of latents and of content move the output at one place: (T,) bool each."""
    torch.manual_seed(0)
    net = Denoiser(config, latent_dim=DIM, width=WIDTH).double().eval()
    x = torch.randn(1, DIM, frames, dtype=torch.float64, requires_grad=True)
    said = torch.randn(1, frames, WIDTH, dtype=torch.float64, requires_grad=True)
    prompt = torch.randn(1, 5, WIDTH, dtype=torch.float64)
    tokens = net.tokens(prompt, torch.ones(1, 5, dtype=torch.bool))
    mask = torch.ones(1, frames, dtype=torch.bool)
    out = net(x, torch.tensor([0.5]).double(), mask, content=said, tokens=tokens)
    of_x, of_said = torch.autograd.grad(out[0, :, place].sum(), (x, said))
    return of_x[0].any(0), of_said[0].any(1)


def around(place: int, reach: int, frames: int) -> Tensor:
    return (torch.arange(frames) - place).abs() <= reach


@pytest.mark.parametrize(
    ("kernel", "dilation", "cycle", "layers", "reach"),
    [(3, 2, 1, 4, 8), (5, 1, 1, 3, 6), (3, 1, 3, 5, 1 + 2 + 4 + 1 + 2), (7, 2, 2, 2, 6 + 12)],
)
def test_a_wavenet_sees_its_reach_on_either_side(
    kernel: int, dilation: int, cycle: int, layers: int, reach: int
) -> None:
    """Layers stand in sequence, so their reaches add up; in parallel the widest would do."""
    wavenet = WaveNetConfig(
        layers=layers,
        hidden=8,
        filter=8,
        kernel=kernel,
        dilation=dilation,
        dilation_cycle=cycle,
        heads=2,
    )
    config = DenoiserConfig(wavenet=wavenet, resampler=ResamplerConfig(queries=2, heads=2))
    assert config.reach == reach
    frames = 2 * reach + 9
    for place in (reach + 4, 0, frames - 1):  # in the middle, at the beginning, at the end
        latents, content = seen(config, frames, place)
        if kernel == 3 and cycle == 1:  # else some frames within the reach may be skipped
            parity = (torch.arange(frames) - place) % dilation == 0
            assert torch.equal(latents, around(place, reach, frames) & parity)
        inside = latents.nonzero()[:, 0]
        assert inside.min() == max(place - reach, 0)
        assert inside.max() == min(place + reach, frames - 1)
        assert torch.equal(latents, content)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_see_the_future_and_the_past(name: str) -> None:
    """All layers, with small widths."""
    config = narrow(name).denoiser
    if config.reach is None:
        frames, place = 40, 11
        latents, content = seen(config, frames, place)
        assert latents.all() and content.all()
        return
    frames = 2 * config.reach + 7
    place = config.reach + 3
    latents, _ = seen(config, frames, place)
    found = latents.nonzero()[:, 0] - place
    assert found.min() == -config.reach and found.max() == config.reach


def test_a_transformer_behind_sees_all_frames() -> None:
    wavenet = WaveNetConfig(layers=2, hidden=8, filter=8, heads=2)
    short = DenoiserConfig(wavenet=wavenet, resampler=ResamplerConfig(queries=2, heads=2))
    for causal in (False, True):  # its convolution may be causal, its attention is not
        long = replace(short, transformer=TransformerConfig(depth=1, heads=2, causal=causal))
        assert long.reach is None
        for place in (0, 12, 29):
            latents, content = seen(long, 30, place)
            assert latents.all() and content.all()
            assert not seen(short, 30, place)[0].all()
