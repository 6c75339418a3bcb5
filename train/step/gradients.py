"""Gradients in one buffer, whose slices are added up over processes during the backward pass.

Every parameter's `grad` is a view of the buffer, in which they lie as the backward pass completes
them. So a slice of it is on its way to the other processes while the backward pass goes on with the
layers before. Losses travel in the last slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ns2.train.step.ranks import Ranks

SLICE = 64 << 20
"""Bytes of a slice, about."""
_ALIGNED = 64
"""Parameters begin at multiples of so many numbers: kernels then read several at once."""


class Gradients:
    """The gradients of a model, and some numbers that are added up with them.

    Attributes:
        extra: (n,) float32, the other numbers; 0 at the beginning of a step.
        slices: the number of messages in which all are added up.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], ranks: Ranks, extra: int) -> None:
        """Give the parameters of a model their gradients, which are 0.

        Args:
            parameters: about as the backward pass completes their gradients.
            extra: n, the number of other numbers.
        """
        self._ranks = ranks
        self._parameters = [p for p in parameters if p.requires_grad]
        starts, ends, end = [], [], 0
        for parameter in self._parameters:
            starts.append(end)
            ends.append(end + parameter.numel())
            end += -(-parameter.numel() // _ALIGNED) * _ALIGNED
        self._flat = torch.zeros(end + extra, device=ranks.device)
        self._views = [
            self._flat[a:b].view(parameter.shape)
            for a, b, parameter in zip(starts, ends, self._parameters, strict=True)
        ]
        self.extra = self._flat[end:]
        self._bounds, self._members = _sliced(starts, len(self._flat))
        self._waiting: list[int] = []
        self._works: list[dist.Work] = []
        self._sending = False
        if ranks.count > 1:
            for number, members in enumerate(self._members):
                for parameter in (self._parameters[i] for i in members):
                    parameter.register_post_accumulate_grad_hook(self._noting(number))

    @property
    def slices(self) -> int:
        """The number of messages in which all are added up."""
        return len(self._members)

    def begin(self) -> None:
        """Begin a step: all is 0, and nothing is sent."""
        self._flat.zero_()
        for parameter, view in zip(self._parameters, self._views, strict=True):
            parameter.grad = view
        self._waiting = [len(members) for members in self._members]
        self._works = []

    @contextmanager
    def sent(self) -> Iterator[None]:
        """The last backward pass of a step: slices that become complete in it are sent."""
        self._sending = True
        try:
            yield
        finally:
            self._sending = False

    def finish(self) -> None:
        """Send the slices that are left, and have all added up; a GPU waits, not this process."""
        if self._ranks.count == 1:
            return
        self._send(everything=True)
        with self._ranks.together():
            for work in self._works:
                work.wait()

    def _noting(self, number: int) -> Callable[[Tensor], None]:
        """A hook that notes the gradient of a parameter of a slice."""

        def note(_: Tensor) -> None:
            if self._sending:
                self._waiting[number] -= 1
                self._send()

        return note

    def _send(self, *, everything: bool = False) -> None:
        """Send the slices that are complete; in their order, which is the same in all processes."""
        while (number := len(self._works)) < self.slices:
            if self._waiting[number] and not everything:
                return
            part = self._flat[self._bounds[number] : self._bounds[number + 1]]
            with self._ranks.together():
                self._works.append(dist.all_reduce(part, async_op=True))


def _sliced(starts: Sequence[int], end: int) -> tuple[list[int], list[list[int]]]:
    """Where slices begin and end in a buffer, and the numbers of the parameters in each.

    Args:
        starts: of the parameters.
        end: of the buffer.
    """
    bounds: list[int] = []
    members: list[list[int]] = []
    for number, start in enumerate(starts):
        if not bounds or 4 * (start - bounds[-1]) >= SLICE:
            bounds.append(start)
            members.append([])
        members[-1].append(number)
    return [*bounds, end], members
