"""The averaged weights against the sum that an exponential mean is."""

from __future__ import annotations

import torch
from torch import nn

from ns2.train.step.averaging import average, averaged_copy


def test_the_average_is_an_exponential_mean_with_a_quick_start() -> None:
    torch.manual_seed(0)
    model = nn.BatchNorm1d(3).double()
    averaged = averaged_copy(model)
    assert not averaged.training and not averaged.weight.requires_grad
    expected = model.weight.detach().clone()
    for step in range(60):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3))
            model.running_mean.add_(1)
        average(averaged, model, decay=0.8, step=step)
        decay = min(0.8, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
        torch.testing.assert_close(averaged.weight.detach(), expected)
    assert averaged.weight.is_leaf and float(averaged.running_mean.abs().max()) == 0


def test_no_graph_of_past_steps_hangs_on_the_average() -> None:
    model = nn.Linear(3, 2)
    averaged = averaged_copy(model)
    for step in range(3):
        average(averaged, model, decay=0.8, step=step)  # gradients are on, as in training
    assert all(mean.grad_fn is None and mean.is_leaf for mean in averaged.parameters())
