"""The running mean of a model's weights (EMA), which is what a training results in."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def averaged_copy(model: M) -> M:
    """A copy of a model for its averaged weights: it is in eval mode and has no gradients."""
    return copy.deepcopy(model).eval().requires_grad_(False)


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """Move averaged weights towards those of the model, in place; buffers stay as they are.

    The decay is smaller in the first steps, so that the mean forgets the random start sooner.

    Args:
        decay: of later steps.
        step: the number of steps that were done before this one.
    """
    decay = min(decay, (1 + step) / (10 + step))
    means: list[Tensor] = list(averaged.parameters())
    weights: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(means, weights, 1 - decay)
