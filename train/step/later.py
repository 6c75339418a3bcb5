"""Numbers of a GPU that are fetched later, when it has long computed them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def fetch_later(values: dict[str, Tensor]) -> Callable[[], dict[str, float]]:
    """Begin to fetch scalars of a device.

    Returns:
        gives the numbers by name, once what was asked of the device until now is done; work that it
        is given in the meantime is not waited for.
    """
    there = torch.stack(list(values.values()))
    if there.device.type == "cpu":
        return lambda: _named(values, there)
    here = torch.empty_like(there, device="cpu", pin_memory=True)
    here.copy_(there, non_blocking=True)
    arrived = torch.cuda.current_stream(there.device).record_event()

    def fetched() -> dict[str, float]:
        arrived.synchronize()
        return _named(values, here)

    return fetched


def by_name(values: dict[str, Tensor]) -> dict[str, float]:
    """Scalars of a device as numbers, fetched at once."""
    return _named(values, torch.stack(list(values.values())))


def _named(values: dict[str, Tensor], stacked: Tensor) -> dict[str, float]:
    return dict(zip(values, stacked.tolist(), strict=True))
