"""What a run shows in TensorBoard: scalars, audio and images below `run/tensorboard`.

A run that goes on writes another file there, which begins by taking back every step that will come
again, so that no point is shown twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ns2.train.run.names import BOARD

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter


_POINTS = 5000
"""Of a curve of steps, about; metrics.jsonl has them all."""


class Board:
    """The board of one run; it shows nothing where it has no folder."""

    def __init__(self, run: Path | None, step: int, steps: int) -> None:
        """Begin, or go on.

        Args:
            run: the run's folder; None for a process that shows nothing.
            step: that is done.
            steps: of the whole run.
        """
        self._every = max(1, steps // _POINTS)
        self._writer: SummaryWriter | None = None
        if run is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(run / BOARD, purge_step=step + 1)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def curve(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Scalars of a step of training; of very long runs not every step is shown."""
        if step % self._every == 0:
            self.scalars(group, step, values)

    def scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Scalars, each named `group/name`."""
        if self._writer is not None:
            for name, value in values.items():
                if math.isfinite(value):
                    self._writer.add_scalar(f"{group}/{name}", value, step)

    def audio(self, name: str, step: int, wave: Tensor, sample_rate: int) -> None:
        """A sound (S,) between -1 and 1."""
        if self._writer is not None:
            self._writer.add_audio(name, wave[None], step, sample_rate)

    def image(self, name: str, step: int, pixels: np.ndarray) -> None:
        """A picture, (height, width, 3) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """See that all of it is in the file: before a checkpoint, which the run goes on from."""
        if self._writer is not None:
            self._writer.flush()
