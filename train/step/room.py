"""A clear error where a device has no room for a step."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ns2.pipeline.core.errors import UserError
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer

_OF_CPU = "can't allocate memory"
"""What torch says where a CPU has no room."""


class RoomError(UserError):
    """A device has no room for a step; other processes may have."""


@contextmanager
def enough_room(trainer: Trainer, share: Share | None) -> Iterator[None]:
    """Compute a step, or say that the device has no room for it.

    Args:
        share: that this process has of the step.

    Raises:
        RoomError: it has not, and what was computed of the step is let go.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what fills the memory
        message = _message(trainer, share, error)
    else:
        return
    if trainer.ranks.device.type == "cuda":
        torch.cuda.empty_cache()
    raise RoomError(message)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or _OF_CPU in str(error)


def _message(trainer: Trainer, share: Share | None, error: BaseException) -> str:
    parts, accumulate = share.parts if share else (), trainer.config.accumulate
    most = max((batch.computed for batch, _ in parts), default=0)
    device = "GPU" if trainer.ranks.device.type == "cuda" else "machine"
    return (
        f"the {device} has no room for step {trainer.step + 1}, of which it computes {most:,} "
        f"frames at once ({str(error).splitlines()[0] if str(error) else 'out of memory'}). Give "
        f"the same command with --set accumulate={2 * accumulate} (now {accumulate}): the step is "
        "then computed in more parts, one after the other, and the run goes on."
    )
