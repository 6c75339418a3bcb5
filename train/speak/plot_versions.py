"""Several versions of one utterance under each other: log-mels, and their pitch in one panel."""

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
    """One of them: its name, log-mel (M, T) and F0 in Hz (T,), 0 where unvoiced."""

    name: str
    mel: np.ndarray
    f0: np.ndarray


def draw_versions(
    versions: Sequence[Version], grid: FrameGrid, config: MelConfig | None = None
) -> Figure:
    """A panel for each log-mel, one for all pitches; all share their time in seconds.

    Axes are labelled with the names, and `f0` (`Axes.get_label`).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seconds = max(version.mel.shape[1] for version in versions) / grid.frame_rate
    width = min(max(_INCHES_A_SECOND * seconds + 1, _LEAST_INCHES), _MOST_INCHES)
    height = 1.5 * len(versions) + 2.2
    figure = Figure(figsize=(width, height), dpi=_DPI)
    # A layout that is worked out would take twice as long as all the rest.
    figure.subplots_adjust(
        left=0.75 / width,
        right=1 - 0.15 / width,
        bottom=0.5 / height,
        top=1 - 0.3 / height,
        hspace=0.3,
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(versions) + 1, 1, sharex=True, squeeze=False)[:, 0]
    settings: Mapping[str, object] = asdict(config or MelConfig())
    highest = 0.0
    for panel, version, colour in zip(panels, versions, _COLOURS, strict=False):
        panel.set_label(version.name)
        panel.set_title(version.name, loc="left", fontsize=9, color=colour)
        draw_mel(panel, version.mel, grid, settings)
        draw_f0(panels[-1], version.f0, grid, color=colour, label=version.name)
        highest = max(highest, float(version.f0.max(initial=0.0)))
    panels[-1].set_label("f0")
    panels[-1].set_ylim(0, 1.1 * highest or 1.0)
    panels[-1].set_xlim(0, seconds)
    panels[-1].set_xlabel("seconds")
    panels[-1].xaxis.set_major_locator(ticks_every(0.5))
    panels[-1].legend(loc="upper right", fontsize=7, markerscale=2)
    return figure


def as_png(figure: Figure) -> bytes:
    """A figure as a PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
