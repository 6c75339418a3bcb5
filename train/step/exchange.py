"""What processes tell each other at the start of a run: who has what, and the first one's state."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ns2.train.step.ranks import Ranks

V = TypeVar("V")


class _Place(NamedTuple):
    """Stands for a tensor in a state whose tensors are sent apart from it."""

    number: int
    shape: tuple[int, ...]
    dtype: torch.dtype


def gathered(ranks: Ranks, value: V) -> list[V]:
    """A small value of each process, by rank."""
    if ranks.count == 1:
        return [value]
    found: list[Any] = [None] * ranks.count
    with ranks.together():
        dist.all_gather_object(found, value, group=ranks.control)
    return found


def from_first(ranks: Ranks, value: V) -> V:
    """The first process's value, in all of them."""
    if ranks.count == 1:
        return value
    found: list[Any] = [value]
    with ranks.together():
        dist.broadcast_object_list(found, src=0, group=ranks.control)
    return found[0]


def state_from_first(ranks: Ranks, state: dict[str, Any]) -> dict[str, Any]:
    """The state of the first process, in all of them.

    Args:
        state: numbers, texts and tensors in dictionaries and lists; what other processes than the
            first give is not looked at.

    Returns:
        the same, with tensors on the CPU.
    """
    if ranks.count == 1:
        return state
    tensors: list[Tensor] = []
    frame = from_first(ranks, _without_tensors(state, tensors) if ranks.rank == 0 else None)
    found: dict[int, Tensor] = {}
    for place in _places(frame):
        own = torch.empty(place.shape, dtype=place.dtype)
        if ranks.rank == 0:
            own = tensors[place.number]
        # as bytes, which every backend sends
        sent = own.contiguous().reshape(-1).view(torch.uint8).to(ranks.device)
        if len(sent):
            with ranks.together():
                dist.broadcast(sent, src=0)
        found[place.number] = sent.cpu().view(place.dtype).reshape(place.shape)
    if ranks.rank == 0:
        return state
    filled: dict[str, Any] = _with_tensors(frame, found)
    return filled


def checksums(model: nn.Module) -> dict[str, int]:
    """A checksum of each tensor of a model, by its name."""
    with torch.no_grad():
        named = {name: _checksum(t) for name, t in model.state_dict().items()}
        return dict(zip(named, torch.stack(list(named.values())).tolist(), strict=True))


def _checksum(tensor: Tensor) -> Tensor:
    """The sum of a tensor's bytes, each as often as its place says, modulo 2**64; () int64."""
    values = tensor.contiguous().reshape(-1).view(torch.uint8)
    if values.numel() % 4 == 0 and values.numel():
        values = values.view(torch.int32)
    return (values.long() * (2 * torch.arange(values.numel(), device=values.device) + 1)).sum()


def _without_tensors(value: Any, tensors: list[Tensor]) -> Any:
    """A value with places where it holds tensors, which are added to the list."""
    if isinstance(value, Tensor):
        tensors.append(value.detach())
        return _Place(len(tensors) - 1, tuple(value.shape), value.dtype)
    if isinstance(value, dict):
        return {name: _without_tensors(one, tensors) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_tensors(one, tensors) for one in value]
    return value


def _places(value: Any) -> list[_Place]:
    """The places of a value, in order."""
    if isinstance(value, _Place):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [place for one in inner for place in _places(one)]


def _with_tensors(value: Any, tensors: dict[int, Tensor]) -> Any:
    """A value with tensors at its places."""
    if isinstance(value, _Place):
        return tensors[value.number]
    if isinstance(value, dict):
        return {name: _with_tensors(one, tensors) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_tensors(one, tensors) for one in value]
    return value
