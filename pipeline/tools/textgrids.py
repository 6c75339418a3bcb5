"""`ns2 textgrid`: phones and words of a dataset as TextGrids, for Praat and for reading back.

Times are those of the frame grid, k * hop / rate seconds, except the end, which is the audio's.
Silence of at least one frame is an interval without a label, whatever its token; only the last
punctuation mark keeps its label, which distinguishes it from the `<sil>` behind it. Tokens of 0
frames are not written. `--aligner textgrid` finds each phone, pause and word at its frames again,
and takes the marks from the transcript; only a `|` of 0 frames inside a word that is spoken as
several ("$2.50") is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.inspection.one_utterance import find
from ns2.pipeline.tools.tool_options import TextGridOptions

TIERS = ("words", "phones")
_COLUMNS = ("durations", "meta")

Spans = list[tuple[float, float, str]]
"""Begin and end in seconds, and the label, of each interval."""


def write_textgrids(
    dataset: Dataset,
    out: Path,
    options: TextGridOptions | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write `<key>.TextGrid` of utterances, with the tiers words and phones, in UTF-8.

    Args:
        dataset: an open dataset.
        out: a folder; a file in it that is the same stays, any other is never overwritten.
        options: which utterances are written, and in which text form.
        progress: called with the number of utterances done and of all.

    Returns:
        the number of utterances that have their file now.

    Raises:
        UserError: a key or column does not exist, `out` lies in the dataset or holds another file
            of that name, or the dataset is damaged.
    """
    options = options or TextGridOptions()
    chosen = Dataset(dataset.place, _COLUMNS)  # checks the columns
    if out.resolve().is_relative_to(chosen.root.resolve()):
        raise UserError(f"{out} lies inside the dataset {chosen.root}; name a folder outside of it")
    named = dict.fromkeys(find(chosen, name) for name in options.keys)
    keys = (list(named) or chosen.keys)[: options.limit]
    optional = chosen.phoneme_table.optional
    out.mkdir(parents=True, exist_ok=True)
    for done, key in enumerate(keys, 1):
        try:
            meta = chosen.read("meta", key, check=True)
            durations = chosen.read("durations", key, check=True)
        except ValueError as error:
            raise UserError(f"{error}; `ns2 verify {chosen.place}` says more") from error
        text = textgrid_text(meta, durations, chosen.grid, optional, short=options.short)
        _write(out / f"{key}.TextGrid", text.encode())
        progress(done, len(keys))
    return len(keys)


def textgrid_text(
    meta: Mapping[str, Any],
    durations: np.ndarray,
    grid: FrameGrid,
    optional: Iterable[str],
    *,
    short: bool = False,
) -> str:
    """A TextGrid's text.

    Args:
        meta: of an utterance; `phonemes`, `words` and `samples` are read.
        durations: (N,) frames.
        grid: the frame grid of the durations.
        optional: tokens of silence.
        short: Praat's short text form in place of the long one.
    """
    from praatio.utilities.constants import TextgridFormats
    from praatio.utilities.textgrid_io import getTextgridAsStr

    seconds = meta["samples"] / grid.sample_rate
    edges = [0, *(int(edge) for edge in np.cumsum(durations, dtype=np.int64))]
    times = [min(edge * grid.hop_length / grid.sample_rate, seconds) for edge in edges]
    phones = _phone_intervals(meta["phonemes"], durations, times, frozenset(optional))
    words: Spans = [(times[first], times[end], word) for word, first, end in meta["words"]]
    tiers = [
        {"class": "IntervalTier", "name": name, "xmin": 0.0, "xmax": seconds, "entries": entries}
        for name, entries in zip(TIERS, (words, phones), strict=True)
    ]
    form = TextgridFormats.SHORT_TEXTGRID if short else TextgridFormats.LONG_TEXTGRID
    whole = {"xmin": 0.0, "xmax": seconds, "tiers": tiers}
    return str(getTextgridAsStr(whole, form, True))


def _phone_intervals(
    tokens: Sequence[str], durations: np.ndarray, times: Sequence[float], silences: frozenset[str]
) -> Spans:
    """The intervals of the tier of phones: neighbouring silences become one without a label."""
    labels = ["" if token in silences else token for token in tokens]
    # Its label distinguishes the last mark from the <sil> behind it.
    if len(tokens) > 1 and tokens[-2] in silences:
        labels[-2] = tokens[-2]
    phones: Spans = []
    lasting = [i for i, frames in enumerate(durations) if frames]
    for silent, run in groupby(lasting, lambda i: not labels[i]):
        positions = list(run)
        if silent:
            phones.append((times[positions[0]], times[positions[-1] + 1], ""))
        else:
            phones += [(times[i], times[i + 1], labels[i]) for i in positions]
    return phones


def _write(path: Path, data: bytes) -> None:
    """Write a file that appears whole; a different one of that name may be somebody's work."""
    if path.is_file():
        if path.read_bytes() == data:
            return
        raise UserError(
            f"{path} exists and has other content; name another folder, or move the file away "
            "if it is not needed"
        )
    with atomic_write(path, durable=False) as file:
        file.write(data)
