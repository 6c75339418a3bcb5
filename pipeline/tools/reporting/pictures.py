"""Mel, phones, words and F0 of an utterance as numbers for an SVG drawing on one time axis.

All places are in pixels of the drawing, from its upper left corner.

Letters for shapes: M mel bins, T frames.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ns2.pipeline.core.schema import BORDER, SILENCE, FrameGrid
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.draw import MEL_TICKS, mel_bin
from ns2.pipeline.tools.inspection.one_utterance import token_spans
from ns2.pipeline.tools.reporting.findings.distributions import round_step

LEFT, TOP = 48, 4
"""The margin for the scales, and the one above."""
MEL, TOKENS, WORDS, F0, TIME = 120, 40, 34, 90, 22
"""Heights of the panels; the last is the scale of time."""
_SECOND = 150
"""Pixels of a second."""
_SHORTEST = 240
_ROWS, _COLORS = 40, 16
"""Bins and colours of the mel as it is drawn: a page has many of them."""
_ROWS_OF_TOKENS, _ROWS_OF_WORDS = (12, 24, 36), (12, 27)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text at a place; `strong` where it is a phone and no silence or mark."""

    x: float
    y: float
    text: str
    strong: bool = True


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a drawing shows.

    Attributes:
        width, height: of the drawing.
        right: where the utterance ends.
        mel: a PNG as a data URI; None without mel.
        tops: the upper end of each panel that is there, by name.
        scales: labels of the panels' scales, on their left.
        tokens, words: their labels; `borders` where tokens begin.
        f0: an SVG path of the voiced frames.
        times: labels of the scale of time.
    """

    width: int
    height: int
    right: float
    mel: str | None
    tops: Mapping[str, int]
    scales: Sequence[Label]
    tokens: Sequence[Label]
    words: Sequence[Label]
    borders: Sequence[float]
    f0: str
    times: Sequence[Label]


def picture_of(dataset: Dataset, position: int, frames: int) -> Picture | None:
    """The drawing of an utterance; None where the dataset has nothing to draw.

    Args:
        position: of the utterance in the index.
        frames: T.

    Raises:
        DamageError: an array is damaged.
    """
    wanted = [c for c in ("mel", "f0", "durations", "meta") if c in dataset.columns]
    arrays: dict[str, Any] = {
        column: dataset.read(column, position, check=True) for column in wanted
    }
    spans = token_spans(dataset, arrays)
    there = {"mel": "mel" in arrays, "tokens": spans is not None, "f0": "f0" in arrays}
    if not any(there.values()):
        return None
    heights = {"mel": MEL, "tokens": TOKENS + WORDS, "f0": F0}
    tops, at = {}, TOP
    for name, height in heights.items():
        if there[name]:
            tops[name] = at
            at += height + 6
    seconds = frames / dataset.grid.frame_rate
    scales: list[Label] = []
    if "mel" in arrays:
        scales += _mel_scale(arrays["mel"], dataset.card.config("mel"), tops["mel"])
    f0, f0_scale = _f0(arrays["f0"], dataset.grid, tops["f0"]) if "f0" in arrays else ("", [])
    return Picture(
        width=max(int(LEFT + _SECOND * seconds) + 8, _SHORTEST),
        height=at + TIME,
        right=LEFT + _SECOND * seconds,
        mel=_png(arrays["mel"]) if "mel" in arrays else None,
        tops=tops,
        scales=[*scales, *f0_scale],
        tokens=list(_tokens(spans or (), tops.get("tokens", 0))),
        words=list(_words(spans, arrays["meta"]["words"], tops["tokens"])) if spans else [],
        borders=[_x(begin) for _, begin, end, _ in spans or () if end > begin],
        f0=f0,
        times=list(_times(seconds, at)),
    )


def _x(seconds: float) -> float:
    return round(LEFT + _SECOND * seconds, 1)


def _tokens(spans: Sequence[tuple[str, float, float, int]], top: int) -> Iterator[Label]:
    """Labels of tokens in rows that take turns, so that those of short phones do not overlap."""
    turn = 0
    for token, begin, end, _ in spans:
        if end == begin or token in (BORDER, SILENCE):
            continue
        y = top + _ROWS_OF_TOKENS[turn % len(_ROWS_OF_TOKENS)]
        phone = any(char.isalpha() for char in token)
        yield Label(x=_x((begin + end) / 2), y=y, text=token, strong=phone)
        turn += 1


def _words(spans: Sequence[Any], words: Sequence[Sequence[Any]], top: int) -> Iterator[Label]:
    for number, (word, first, behind) in enumerate(words):
        middle = (spans[first][1] + spans[behind - 1][2]) / 2
        y = top + TOKENS + _ROWS_OF_WORDS[number % len(_ROWS_OF_WORDS)]
        yield Label(x=_x(middle), y=y, text=str(word))


def _times(seconds: float, top: int) -> Iterator[Label]:
    step = 0.5 if seconds < 10 else 1.0
    for i in range(int(seconds / step) + 1):
        yield Label(x=_x(i * step), y=top + 14, text=f"{i * step:g} s" if i else "0")


def _mel_scale(mel: np.ndarray, config: Mapping[str, Any], top: int) -> list[Label]:
    """Frequencies at their heights, where the card tells those of the bins."""
    low, high = config.get("fmin"), config.get("fmax")
    if low is None or high is None:
        return []
    bins = mel.shape[0]
    return [
        Label(x=LEFT - 6, y=round(top + MEL * (1 - mel_bin(hz, bins, low, high) / bins) + 4, 1),
              text=f"{hz:,}")
        for hz in MEL_TICKS[1::2]
        if low < hz < high
    ]  # fmt: skip


def _f0(f0: np.ndarray, grid: FrameGrid, top: int) -> tuple[str, list[Label]]:
    """The voiced frames as a path, and the scale in Hz, of round numbers."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return "", []
    low, high = float(f0[voiced].min()), float(f0[voiced].max())
    step = round_step(max(high - low, 10.0) / 4)
    low, high = step * np.floor(low / step), step * (np.floor(high / step) + 1)

    def y(hz: float) -> float:
        return round(float(top + F0 * (1 - (hz - low) / (high - low))), 1)

    path = "".join(f"M{_x((i + 0.5) / grid.frame_rate):g} {y(f0[i]):g}h0" for i in voiced.tolist())
    count = round((high - low) / step)
    lines = [Label(x=LEFT - 6, y=y(low + i * step) + 4, text=f"{low + i * step:g}")
             for i in range(count + 1)]  # fmt: skip
    return path, lines


def _png(mel: np.ndarray) -> str:
    """A log-mel (M, T) as a data URI, of fewer rows and few colours."""
    from PIL import Image

    values = mel.astype(np.float32)
    rows = min(_ROWS, len(values))
    groups = np.array_split(values, rows)
    small = np.stack([group.mean(axis=0) for group in groups])[::-1]
    low, high = np.quantile(small, (0.05, 1.0))
    scaled = (small - low) / max(float(high - low), 1e-6) * (_COLORS - 1)
    image = Image.fromarray(np.clip(np.rint(scaled), 0, _COLORS - 1).astype(np.uint8), "P")
    image.putpalette(_palette())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, bits=4)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@cache
def _palette() -> list[int]:
    """The colours of magma, from dark to bright."""
    from matplotlib import colormaps

    colors = colormaps["magma"](np.linspace(0, 1, _COLORS))[:, :3]
    return [int(value) for value in np.rint(255 * colors).astype(int).ravel()]
