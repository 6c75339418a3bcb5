"""Draws log-mels and F0 over time, with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ns2.pipeline.core.schema import FrameGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEL_TICKS = (250, 500, 1000, 2000, 4000, 8000)
"""Frequencies in Hz that a scale of mel bins shows."""


def ticks_every(seconds: float) -> Any:
    """A locator of ticks at each multiple of a number of seconds, for an axis of time."""
    from matplotlib.ticker import MultipleLocator

    return MultipleLocator(seconds)


def slaney_mel(hz: float) -> float:
    """A frequency on Slaney's mel scale: linear to 1 kHz, logarithmic above (Slaney 1998)."""
    if hz < 1000:
        return 3 * hz / 200
    return 15 + 27 * float(np.log(hz / 1000) / np.log(6.4))


def mel_bin(hz: float, bins: int, fmin: float, fmax: float) -> float:
    """Position of a frequency on an axis of M mel bins, where bin i has its centre at i + 0.5."""
    low, high = slaney_mel(fmin), slaney_mel(fmax)
    return (slaney_mel(hz) - low) / (high - low) * (bins + 1) - 0.5


def draw_mel(axis: Axes, mel: np.ndarray, grid: FrameGrid, config: Mapping[str, Any]) -> None:
    """Draw a log-mel (M, T) over seconds.

    Args:
        axis: the axes to draw in.
        mel: (M, T) natural logarithms of magnitudes.
        grid: the frame grid of the T frames.
        config: with `fmin` and `fmax` of the mel bins, in Hz, the ticks are in Hz.
    """
    bins, frames = mel.shape
    values = mel.astype(np.float32)
    axis.imshow(
        values,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, frames / grid.frame_rate, 0.0, float(bins)),
        cmap="magma",
        vmin=float(np.quantile(values, 0.02)),
    )
    fmin, fmax = config.get("fmin"), config.get("fmax")
    if fmin is None or fmax is None:
        axis.set_ylabel("mel bin")
        return
    ticks = [hz for hz in MEL_TICKS if fmin < hz < fmax]
    axis.set_yticks(
        [mel_bin(hz, bins, fmin, fmax) for hz in ticks], labels=[f"{hz:,}" for hz in ticks]
    )
    axis.set_ylabel("mel, Hz")


def draw_f0(
    axis: Axes, f0: np.ndarray, grid: FrameGrid, *, color: str = "#1f5fa8", label: str | None = None
) -> None:
    """Draw the voiced frames of F0 (T,) in Hz as points at their centres."""
    times = (np.arange(len(f0)) + 0.5) / grid.frame_rate
    voiced = f0 > 0
    axis.plot(times[voiced], f0[voiced], ".", markersize=4, color=color, label=label)
    axis.set_ylabel("f0, Hz")
    axis.grid(axis="y", color="#e0e0e0", linewidth=0.6)
    if voiced.any():
        low, high = float(f0[voiced].min()), float(f0[voiced].max())
        margin = max(0.1 * (high - low), 5.0)
        axis.set_ylim(max(low - margin, 0.0), high + margin)
