"""The backward pass of torch, node by node, where its own engine can't run.

The engine asks the driver of a GPU for streams before it calls the first node, so it does not run
on fake tensors of a GPU that is not there. The nodes themselves do.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor


def backward(loss: Tensor) -> None:
    """Add the gradients of a loss, (), to the `grad` of all parameters behind it.

    Raises:
        AssertionError: a gradient lies on another device than what it is the gradient of.
    """
    root: Any = loss.grad_fn
    waiting: dict[Any, int] = defaultdict(int)
    seen, todo = {root}, [root]
    while todo:
        for after, _ in todo.pop().next_functions:
            if after is not None:
                waiting[after] += 1
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
    gradients: dict[Any, dict[int, Tensor]] = {root: {0: torch.ones_like(loss)}}
    ready = [root]
    with torch.no_grad():
        while ready:
            node = ready.pop()
            found = _call(node, gradients.pop(node, {}))
            for (after, place), gradient in zip(node.next_functions, found, strict=True):
                if after is None:
                    continue
                if gradient is not None:
                    _add(gradients.setdefault(after, {}), after, place, gradient)
                waiting[after] -= 1
                if not waiting[after]:
                    ready.append(after)


def _call(node: Any, given: dict[int, Tensor]) -> tuple[Tensor | None, ...]:
    """The gradients that a node passes on; a parameter keeps what it is given."""
    if not given:
        return (None,) * len(node.next_functions)
    if node.name() == "torch::autograd::AccumulateGrad":
        parameter, gradient = node.variable, given[0]
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.add_(gradient)
        return ()
    found = node(*(given.get(place) for place in range(len(node._input_metadata))))
    return found if isinstance(found, tuple) else (found,)


def _add(given: dict[int, Tensor], node: Any, place: int, gradient: Tensor) -> None:
    """Add a gradient to those that a node is given, in the shape and type that it expects."""
    wanted = node._input_metadata[place]
    if gradient.shape != wanted.shape:
        gradient = gradient.sum_to_size(wanted.shape)
    gradient = gradient.to(wanted.dtype)
    assert gradient.device == wanted.device, (node.name(), gradient.device, wanted.device)
    given[place] = given[place] + gradient if place in given else gradient
