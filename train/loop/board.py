"""The scalars, audio and images that a run shows on TensorBoard, below `run/tensorboard`.

A run that goes on writes another file there, which begins by removing every step that is done once
more, so that no point is shown twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ns2.pipeline.core.atomic import member_folder
from ns2.train.run.names import BOARD

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter


_POINTS = 5000
"""About the number of points in a curve of steps; metrics.jsonl has all steps."""


class Board:
    """The TensorBoard of one run; without a folder it shows nothing."""

    def __init__(self, run: Path | None, step: int, steps: int) -> None:
        """Begin, or go on.

        Args:
            run: the run's folder; None for a process that shows nothing.
            step: the number of steps that are done.
            steps: the number of steps of the whole run.
        """
        self._every = max(1, steps // _POINTS)
        self._writer: SummaryWriter | None = None
        if run is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(member_folder(run, BOARD), purge_step=step + 1)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def curve(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Scalars of a step of training; very long runs do not show every step."""
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
        """Write all of it to the file: before a checkpoint, from which the run goes on."""
        if self._writer is not None:
            self._writer.flush()
