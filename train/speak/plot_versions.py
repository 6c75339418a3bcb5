"""A plot of several versions of an utterance: a log-mel each, and their F0 in one panel."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ns2.model.log_mel import MelConfig
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.sound.draw import draw_f0, draw_mel, ticks_every

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_COLOURS = ("#202020", "#1f5fa8", "#c0392b", "#2e8b57", "#8e44ad")
_INCHES_A_SECOND, _LEAST_INCHES, _MOST_INCHES = 2.0, 7.0, 40.0
_DPI = 80


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of an utterance.

    Attributes:
        name: its title in the plot.
        mel: (M, T) log-mel.
        f0: (T,) Hz, 0 where unvoiced.
    """

    name: str
    mel: np.ndarray
    f0: np.ndarray


def draw_versions(
    versions: Sequence[Version], grid: FrameGrid, config: MelConfig | None = None
) -> Figure:
    """Draw a panel for each log-mel and one for all F0s, over the same time in seconds.

    Axes are labelled (`Axes.get_label`) with the versions' names, and `f0`.

    Args:
        grid: the frame grid of mels and F0s.
        config: how the mels were made; None for the defaults.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # The width grows with the length, so that a second is as wide in every plot.
    seconds = max(version.mel.shape[1] for version in versions) / grid.frame_rate
    width = min(max(_INCHES_A_SECOND * seconds + 1, _LEAST_INCHES), _MOST_INCHES)
    height = 1.5 * len(versions) + 2.2
    figure = Figure(figsize=(width, height), dpi=_DPI)
    # Margins are fixed, since a computed layout takes twice as long as all the rest.
    figure.subplots_adjust(
        left=0.75 / width,
        right=1 - 0.15 / width,
        bottom=0.5 / height,
        top=1 - 0.3 / height,
        hspace=0.3,
    )
    FigureCanvasAgg(figure)

    # A panel for each mel, and the F0 of all versions in the last one.
    panels = figure.subplots(len(versions) + 1, 1, sharex=True, squeeze=False)[:, 0]
    settings: Mapping[str, object] = asdict(config or MelConfig())
    highest = 0.0
    for panel, version, colour in zip(panels, versions, _COLOURS, strict=False):
        panel.set_label(version.name)
        panel.set_title(version.name, loc="left", fontsize=9, color=colour)
        draw_mel(panel, version.mel, grid, settings)
        draw_f0(panels[-1], version.f0, grid, color=colour, label=version.name)
        highest = max(highest, float(version.f0.max(initial=0.0)))

    # The last panel shows the axes of all.
    panels[-1].set_label("f0")
    panels[-1].set_ylim(0, 1.1 * highest or 1.0)
    panels[-1].set_xlim(0, seconds)
    panels[-1].set_xlabel("seconds")
    panels[-1].xaxis.set_major_locator(ticks_every(0.5))
    panels[-1].legend(loc="upper right", fontsize=7, markerscale=2)
    return figure


def as_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG, which are the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
