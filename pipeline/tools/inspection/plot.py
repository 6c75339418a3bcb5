"""`ns2 inspect --plot`: mel, phonemes and pitch of one utterance on one time axis."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import BORDER, SILENCE
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.draw import draw_f0, draw_mel, ticks_every
from ns2.pipeline.tools.inspection.one_utterance import find, token_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {"mel": 3.4, "phonemes": 1.3, "f0": 2.2}
"""The panels from the top, and their heights in inches."""
_INCHES_A_SECOND = 2.6
_LETTERS_AN_INCH = 13
"""Letters of the title that fit into an inch."""
_WIDTHS = (9.0, 78.0)
"""The smallest and largest width in inches: a PNG that is wider may not open."""
_DPI = 100
_HEIGHTS = (0.88, 0.7, 0.52)
"""Heights of the phones' labels, used in turn, so that those of short phones do not overlap."""
_STRONG, _FAINT = "#202020", "#b0b0b0"


Spans = Sequence[tuple[str, float, float, int]]
"""(token, begin and end in seconds, frames) of each token."""


def plot_utterance(dataset: Dataset, name: str | None, out: Path) -> str:
    """Write a PNG of one utterance: mel spectrogram, phonemes and words, F0.

    Args:
        dataset: an open dataset.
        name: the utterance's key or id; None takes the first utterance.
        out: the file; replaced if it exists.

    Returns:
        the key of the utterance.

    Raises:
        UserError: there is no such utterance, nothing to plot, or the file can't be written.
    """
    if name is None and not len(dataset):
        raise UserError(f"{dataset.root} holds no utterance to draw")
    key = dataset.key(0) if name is None else find(dataset, name)
    figure = draw_utterance(dataset, key)
    with warnings.catch_warnings():
        # words of a script that the font lacks are shown as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        try:
            with atomic_write(Path(out)) as file:
                figure.savefig(file, format="png", metadata={"Software": None})
        except OSError as error:
            raise UserError(f"can't write {out}: {error.strerror or error}") from error
    return key


def draw_utterance(dataset: Dataset, name: str) -> Figure:
    """The figure of one utterance; its axes share their time in seconds.

    Axes are labelled `mel`, `phonemes` and `f0` (`Axes.get_label`); what the dataset does not have
    is left out.

    Raises:
        UserError: there is no such utterance, or nothing to plot.
        ValueError: its arrays are damaged.
    """
    key = find(dataset, name)
    row = dataset.row(key)
    wanted = [c for c in ("mel", "f0", "durations", "meta") if c in dataset.columns]
    arrays: dict[str, Any] = {column: dataset.read(column, key, check=True) for column in wanted}
    spans = token_spans(dataset, arrays)
    there = {"mel": "mel" in arrays, "phonemes": spans is not None, "f0": "f0" in arrays}
    panels = [name for name in _PANELS if there[name]]
    if not panels:
        raise UserError(f"{dataset.root} has neither mel nor f0 nor durations: nothing to plot")
    seconds = row["frames"] / dataset.grid.frame_rate
    figure, axes = _panels(panels, seconds)
    if "mel" in axes:
        draw_mel(axes["mel"], arrays["mel"], dataset.grid, dataset.card.columns["mel"].config)
    if "f0" in axes:
        draw_f0(axes["f0"], arrays["f0"], dataset.grid)
    if spans is not None:
        _draw_tokens(axes["phonemes"], spans, arrays["meta"]["words"])
        for name, color in (("mel", "white"), ("f0", _STRONG)):
            if name in axes:
                _draw_borders(axes[name], spans, color)
    title = f"{key} ({row['speaker']}): {row['text']}"
    most = int(_LETTERS_AN_INCH * figure.get_figwidth())
    axes[panels[0]].set_title(
        title if len(title) <= most else title[: most - 1] + "…",
        loc="left", fontsize=10, parse_math=False,
    )  # fmt: skip
    return figure


def _panels(names: Sequence[str], seconds: float) -> tuple[Figure, dict[str, Axes]]:
    """An empty figure with these panels, from the top, over so many seconds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = min(max(_INCHES_A_SECOND * seconds + 1.2, _WIDTHS[0]), _WIDTHS[1])
    heights = [_PANELS[name] for name in names]
    figure = Figure(figsize=(width, sum(heights) + 0.9), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        len(names), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    axes = dict(zip(names, grid[:, 0], strict=True))
    for name, axis in axes.items():
        axis.set_label(name)
    last = axes[names[-1]]
    last.set_xlim(0, seconds)
    last.set_xlabel("seconds")
    last.xaxis.set_major_locator(ticks_every(0.5 if seconds > 3 else 0.1))
    return figure, axes


def _is_phone(token: str) -> bool:
    """Whether a token is a phone, not silence, a word border or a punctuation mark."""
    return token not in (SILENCE, BORDER) and any(char.isalpha() for char in token)


def _draw_borders(axis: Axes, spans: Spans, color: str) -> None:
    """A line where each token begins."""
    for token, begin, end, _ in spans:
        if end > begin:
            faint = not _is_phone(token)
            axis.axvline(begin, color=color, linewidth=0.6, alpha=0.3 if faint else 0.75)


def _draw_tokens(axis: Axes, spans: Spans, words: Sequence[Sequence[Any]]) -> None:
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
