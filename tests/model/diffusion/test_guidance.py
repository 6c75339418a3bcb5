"""Guidance by hand, and its deviation against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ns2.model.diffusion.guidance import guide, rescale


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_guidance_goes_on_in_the_direction_of_the_condition() -> None:
    without, with_it = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0])
    for scale, wanted in {0.0: [1, 2], 1.0: [2, 0], 3.0: [4, -4]}.items():
        assert torch.equal(guide([without, with_it], [scale]), torch.tensor(wanted).float())


def test_each_condition_has_its_scale() -> None:
    nothing, content, both = (noise(2, 3, 4, seed=seed) for seed in range(3))
    found = guide([nothing, content, both], [1.5, 4.0])
    wanted = nothing + 1.5 * (content - nothing) + 4 * (both - content)
    assert torch.allclose(found, wanted)
    assert torch.allclose(guide([nothing, content, both], [1.0, 1.0]), both, atol=1e-6)
    assert torch.allclose(guide([nothing, content, both], [1.0, 0.0]), content, atol=1e-6)
    with pytest.raises(ValueError, match="1 scales were given"):
        guide([nothing, content, both], [1.0])


def test_for_gaussians_it_sharpens_the_condition() -> None:
    """Score of p(x) (p(x|c) / p(x))^w, which for Gaussians is known."""
    x, scale = torch.linspace(-3, 3, 7), 2.5
    wide, narrow = -x / 4, -(x - 1) / 0.25
    precision = 1 / 4 + scale * (4 - 1 / 4)
    mean = scale * 4 / precision
    assert torch.allclose(guide([wide, narrow], [scale]), -(x - mean) * precision, atol=1e-4)


def test_rescaling_restores_the_deviation_over_an_utterances_own_frames() -> None:
    """Frames behind the end, here enormous, count in neither deviation."""
    guided, conditional = 7 * noise(2, 3, 9, seed=3) + 1, 2 * noise(2, 3, 9, seed=4)
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    for x in (guided, conditional):
        x[1, :, 4:] = 1e4
    for amount in (0.0, 0.7, 1.0):
        found = rescale(guided, conditional, mask, amount)
        for i, frames in enumerate((9, 4)):
            own, other = guided[i, :, :frames].numpy(), conditional[i, :, :frames].numpy()
            factor = amount * np.std(other) / np.std(own) + 1 - amount
            np.testing.assert_allclose(found[i, :, :frames].numpy(), factor * own, rtol=1e-4)
    with pytest.raises(ValueError, match="amount"):
        rescale(guided, conditional, mask, 1.5)


def test_rescaling_is_the_same_with_padding() -> None:
    guided, conditional = noise(1, 3, 5, seed=5), noise(1, 3, 5, seed=6)
    alone = rescale(guided, conditional, torch.ones(1, 5, dtype=torch.bool))
    padded = [torch.nn.functional.pad(x, (0, 4)) for x in (guided, conditional)]
    found = rescale(padded[0], padded[1], torch.arange(9)[None] < 5)
    assert torch.allclose(found[:, :, :5], alone, atol=1e-6)
    silent = rescale(torch.zeros(1, 3, 5), torch.zeros(1, 3, 5), torch.zeros(1, 5).bool())
    assert silent.isfinite().all()
