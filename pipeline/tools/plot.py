"""`ns2 inspect --plot`: mel, phonemes and pitch of one utterance on one time axis."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import BORDER, SILENCE
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.inspection import find, token_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from ns2.pipeline.sound.draw import draw_f0, draw_mel, ticks_every

_INCHES_A_SECOND = 2.6
_WIDTHS = (9.0, 78.0)
"""Least and most inches: beyond 30 s labels get too close, but a PNG stays one that opens."""
_DPI = 100
_HEIGHTS = (0.88, 0.7, 0.52)
"""Of the labels, by turns, so that those of short phones do not run into each other."""
_STRONG, _FAINT = "#202020", "#b0b0b0"


def plot_utterance(dataset: Dataset, key: str, out: Path) -> None:
    """Write a PNG of one utterance: mel, phonemes and words, pitch.

    Args:
        key: or id.
        out: the file; replaced if there.

    Raises:
        UserError: there is no such utterance, nothing to plot, or no place for the file.
    """
    figure = draw_utterance(dataset, key)
    with warnings.catch_warnings():
        # words of a script that the font lacks are shown as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        try:
            with atomic_write(Path(out)) as file:
                figure.savefig(file, format="png", metadata={"Software": None})
        except OSError as error:
            raise UserError(f"can't write {out}: {error.strerror or error}") from error


def draw_utterance(dataset: Dataset, key: str) -> Figure:
    """The figure of one utterance; its axes share their time in seconds.

    Axes are labelled `mel`, `phonemes` and `f0` (`Axes.get_label`); what the dataset does not have
    is left out.

    Raises:
        UserError: there is no such utterance, or nothing to plot.
        ValueError: its arrays are damaged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    key = find(dataset, key)
    row = dataset.row(key)
    wanted = [c for c in ("mel", "f0", "durations", "meta") if c in dataset.columns]
    arrays: dict[str, Any] = {column: dataset.read(column, key, check=True) for column in wanted}
    spans = token_spans(dataset, arrays)
    panels = [
        (name, height)
        for name, height, there in (
            ("mel", 3.4, "mel" in arrays),
            ("phonemes", 1.3, spans is not None),
            ("f0", 2.2, "f0" in arrays),
        )
        if there
    ]
    if not panels:
        raise UserError(f"{dataset.root} has neither mel nor f0 nor durations: nothing to plot")
    seconds = row["frames"] / dataset.grid.frame_rate
    width = min(max(_INCHES_A_SECOND * seconds + 1.2, _WIDTHS[0]), _WIDTHS[1])
    heights = [height for _, height in panels]
    figure = Figure(figsize=(width, sum(heights) + 0.9), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    axes = {name: grid[i, 0] for i, (name, _) in enumerate(panels)}
    for name, axis in axes.items():
        axis.set_label(name)
    if "mel" in axes:
        draw_mel(axes["mel"], arrays["mel"], dataset.grid, _mel_config(dataset))
    if "f0" in axes:
        draw_f0(axes["f0"], arrays["f0"], dataset.grid)
    if spans is not None:
        _draw_tokens(axes["phonemes"], spans, arrays["meta"]["words"])
        for name in ("mel", "f0"):
            if name in axes:
                _draw_borders(axes[name], spans, "white" if name == "mel" else _STRONG)
    last = grid[-1, 0]
    last.set_xlim(0, seconds)
    last.set_xlabel("seconds")
    last.xaxis.set_major_locator(ticks_every(0.5 if seconds > 3 else 0.1))
    title = f"{key} ({row['speaker']}): {row['text']}"
    most = int(13 * width)  # letters that fit
    grid[0, 0].set_title(
        title if len(title) <= most else title[: most - 1] + "…",
        loc="left", fontsize=10, parse_math=False,
    )  # fmt: skip
    return figure


def _mel_config(dataset: Dataset) -> Mapping[str, Any]:
    config: Mapping[str, Any] = dataset.card.columns["mel"].config
    return config


def _is_phone(token: str) -> bool:
    """Whether a token is a phone, not silence, a word border or a punctuation mark."""
    return token not in (SILENCE, BORDER) and any(char.isalpha() for char in token)


def _draw_borders(axis: Axes, spans: Sequence[tuple[str, float, float, int]], color: str) -> None:
    """A line where each token begins."""
    for token, begin, end, _ in spans:
        if end > begin:
            faint = not _is_phone(token)
            axis.axvline(begin, color=color, linewidth=0.6, alpha=0.3 if faint else 0.75)


def _draw_tokens(
    axis: Axes, spans: Sequence[tuple[str, float, float, int]], words: Sequence[Sequence[Any]]
) -> None:
    """Tokens over their spans, and words below."""
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    turn = 0
    for token, begin, end, _ in spans:
        if end == begin:
            continue  # what lasts no frame has no place
        phone = _is_phone(token)
        axis.axvline(begin, ymin=0.34, color=_STRONG if phone else _FAINT, linewidth=0.6)
        if not phone:
            axis.axvspan(begin, end, ymin=0.34, color="#ececec", linewidth=0)
        axis.text(
            (begin + end) / 2, _HEIGHTS[turn % len(_HEIGHTS)] if phone else 0.42, token,
            ha="center", va="center", clip_on=True, parse_math=False,
            fontsize=11 if phone else 8, color=_STRONG if phone else _FAINT,
            fontfamily="DejaVu Sans",
        )  # fmt: skip
        turn += phone
    for number, (word, first, behind) in enumerate(words):
        begin, end = spans[first][1], spans[behind - 1][2]
        height = 0.22 - 0.13 * (number % 2)
        axis.plot([begin, end], [height - 0.07] * 2, color="#1f5fa8", linewidth=1.2)
        axis.text(
            (begin + end) / 2, height, word,
            ha="center", va="center", clip_on=True, fontsize=9, color="#1f5fa8", parse_math=False,
        )  # fmt: skip
    axis.set_ylabel("phonemes")
