"""The ways to convolve, each for a device, against torch's own convolution in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ns2.model.blocks.layers import Conv


def plain(conv: Conv, x: Tensor, before: int, after: int) -> Tensor:
    line = functional.pad(x.transpose(1, 2), (before, after))
    found = functional.conv1d(line, conv.weight, conv.bias, dilation=conv.dilation)
    return found.transpose(1, 2)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 4), (9, 1)])
def test_all_ways_give_the_same(kernel: int, dilation: int, causal: bool) -> None:
    torch.manual_seed(0)
    conv = Conv(6, 10, kernel, dilation=dilation, causal=causal).double()
    x = torch.randn(2, 15, 6, dtype=torch.float64, requires_grad=True)
    reach = (kernel - 1) * dilation
    before = reach if causal else reach // 2
    wanted = plain(conv, x, before, reach - before)
    weights = torch.randn_like(wanted)
    of = [x, *conv.parameters()]
    gradients = torch.autograd.grad((wanted * weights).sum(), of)
    for found in (conv(x), conv._by_plane(x), conv._by_product(conv._padded(x), 15)):
        torch.testing.assert_close(found, wanted)
        for ours, theirs in zip(
            torch.autograd.grad((found * weights).sum(), of), gradients, strict=True
        ):
            torch.testing.assert_close(ours, theirs)
