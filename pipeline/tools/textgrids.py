"""`ns2 textgrid`: phones and words of a dataset as TextGrids, for Praat and for reading back.

Times are those of the frame grid, k * hop / rate seconds, except the end, which is the audio's.
Silence of at least a frame is an interval without a label, whatever its token; only the last mark's
has its mark, so that it can be told from the `<sil>` behind it. Tokens of no frames leave no trace:
`--aligner textgrid` finds each phone, pause and word at its frames again and the marks in the
transcript, but no `|` of no frames inside a word that is spoken as several ("$2.50").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.atomic import temporary_path
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.inspection import find

TIERS = ("words", "phones")
_COLUMNS = ("durations", "meta")

Spans = list[tuple[float, float, str]]


def write_textgrids(
    dataset: Dataset,
    out: Path,
    *,
    keys: Sequence[str] | None = None,
    limit: int | None = None,
    short: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write `<key>.TextGrid` of utterances, with the tiers words and phones, in UTF-8.

    Args:
        out: a folder; files in it that are the same stay, others are never overwritten.
        keys: or ids; all utterances where None.
        limit: only the first ones.
        short: Praat's short text form in place of the long one.
        progress: called with the number of utterances done and of all.

    Returns:
        how many utterances have their file now.

    Raises:
        UserError: a key or column does not exist, `out` can't take it, or the dataset is damaged.
    """
    chosen = Dataset(dataset.root, _COLUMNS)  # checks the columns
    if out.resolve().is_relative_to(chosen.root.resolve()):
        raise UserError(f"{out} lies inside the dataset {chosen.root}; name a folder outside of it")
    names = chosen.keys if keys is None else list(dict.fromkeys(find(chosen, k) for k in keys))
    names = names[:limit]
    table = json.loads(chosen.asset("phonemes").read_text("utf-8"))
    optional = PhonemeTable.from_json(table).optional
    out.mkdir(parents=True, exist_ok=True)
    for done, key in enumerate(names, 1):
        try:
            meta = chosen.read("meta", key, check=True)
            durations = chosen.read("durations", key, check=True)
        except ValueError as error:
            raise UserError(f"{error}; `ns2 verify {chosen.root}` tells more") from error
        text = textgrid_text(meta, durations, chosen.grid, optional, short=short)
        _write(out / f"{key}.TextGrid", text.encode())
        progress(done, len(names))
    return len(names)


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
        optional: tokens of silence.
        short: Praat's short text form in place of the long one.
    """
    from praatio.utilities.constants import TextgridFormats
    from praatio.utilities.textgrid_io import getTextgridAsStr

    seconds, silences = meta["samples"] / grid.sample_rate, frozenset(optional)
    edges = [0, *(int(edge) for edge in np.cumsum(durations, dtype=np.int64))]
    times = [min(edge * grid.hop_length / grid.sample_rate, seconds) for edge in edges]
    labels = ["" if token in silences else token for token in meta["phonemes"]]
    if meta["phonemes"][-2] in silences:
        labels[-2] = meta["phonemes"][-2]
    phones: Spans = []
    lasting = [i for i, frames in enumerate(durations) if frames]
    for silent, run in groupby(lasting, lambda i: not labels[i]):
        some = list(run)
        if silent:
            phones.append((times[some[0]], times[some[-1] + 1], ""))
        else:
            phones += [(times[i], times[i + 1], labels[i]) for i in some]
    words: Spans = [(times[first], times[end], word) for word, first, end in meta["words"]]
    tiers = [
        {"class": "IntervalTier", "name": name, "xmin": 0.0, "xmax": seconds, "entries": entries}
        for name, entries in zip(TIERS, (words, phones), strict=True)
    ]
    form = TextgridFormats.SHORT_TEXTGRID if short else TextgridFormats.LONG_TEXTGRID
    whole = {"xmin": 0.0, "xmax": seconds, "tiers": tiers}
    return str(getTextgridAsStr(whole, form, True))


def _write(path: Path, data: bytes) -> None:
    """Write a file that appears whole; one that is there already may be somebody's work."""
    if path.is_file():
        if path.read_bytes() == data:
            return
        raise UserError(
            f"{path} is there already and says something else; name another folder, or move it "
            "away if it is not needed"
        )
    temporary = temporary_path(path)
    temporary.write_bytes(data)
    temporary.replace(path)
