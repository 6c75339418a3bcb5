"""The README.md of a dataset: what its card says, for people and for hubs.

It is made of the card alone. What a user adds below its last line stays when it is written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.reading import read_small
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import Card, ColumnEntry
from ns2.pipeline.dataset.layout import README, README_END

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
"""Numbers of utterances, and how hubs call what is below them."""


def write_readme(out: Path, card: Card) -> None:
    """Write the README.md of a dataset whose card is in place, unless it is there already.

    A README.md that ns2 did not write, or that was added to, keeps what it has: below ours.

    Raises:
        OSError: the one that is there is larger than any text, or can't be read.
    """
    path = out / README
    theirs = ""
    if path.is_file() and not path.is_symlink():
        there = read_small(path).decode("utf-8", "replace")
        ours, end, rest = there.partition(README_END)
        theirs = rest if end else f"\n\n{ours}"
    text = f"{readme_text(card)}{README_END}{theirs or chr(10)}"
    write_if_changed(path, text.encode("utf-8", "replace"))


def readme_text(card: Card) -> str:
    """What the README.md of a dataset says, up to `README_END`."""
    return "\n".join([*_front_matter(card), *_body(card), ""])


def _front_matter(card: Card) -> Iterator[str]:
    """What hubs read, in YAML; a JSON string is a string of YAML, too."""
    from json import dumps

    licence = card.options.get("licence")
    count = card.counts.written
    size = next((name for most, name in _SIZES if count < most), "n>100M")
    languages = sorted({name.partition("-")[0] for name in card.counts.languages})
    yield "---"
    if licence:
        yield f"license: {dumps(licence.lower())}"
    yield f"language: {dumps(languages)}"
    yield 'task_categories: ["text-to-speech"]'
    yield 'tags: ["ns2", "webdataset"]'
    yield f"size_categories: {dumps([size])}"
    yield "---"


def _body(card: Card) -> Iterator[str]:
    counts, grid = card.counts, card.grid
    yield ""
    yield "# A dataset of speech with transcripts"
    yield ""
    yield (
        f"{counts.written:,} utterances, {counts.hours:.2f} hours, {counts.speakers:,} speakers; "
        f"{counts.frames:,} frames of {grid.hop_length} samples at {grid.sample_rate:,} Hz, "
        f"{counts.phones:,} phones. Made by ns2 {card.ns2}."
    )
    yield ""
    yield f"Licence: {_line(card.options.get('licence') or 'not given')}"
    yield ""
    yield from _shares("split", counts.splits)
    yield from _shares("language", counts.languages)
    yield "| column | dtype | axes | MB | made with |"
    yield "|---|---|---|---|---|"
    for name, entry in card.columns.items():
        yield _column(name, entry)
    yield ""
    yield "T is frames, N phonemes. The options of the run:"
    yield ""
    for name, value in card.options.items():
        if value not in (None, "", [], False):
            yield f"- {name}: {_line(value)}"
    yield ""
    if counts.reasons:
        left = ", ".join(f"{reason} {number:,}" for reason, number in counts.reasons.items())
        yield f"{counts.found:,} were found; left out: {left}."
        yield ""
    yield from _how_to_open(card)
    digest = hashlib.sha256(card.text().encode()).hexdigest()
    yield f"SHA-256 of {layout.CARD}: `{digest}`."
    yield f"It vouches for {layout.SUMS}, and that for all other files: `ns2 verify` checks them."
    yield ""


def _shares(kind: str, numbers: Mapping[str, int]) -> Iterator[str]:
    yield f"| {kind} | utterances |"
    yield "|---|---|"
    yield from (f"| {_line(name)} | {number:,} |" for name, number in numbers.items())
    yield ""


def _column(name: str, entry: ColumnEntry) -> str:
    axes = " x ".join(map(str, entry.dims))
    config = ", ".join(f"{key} {_line(value)}" for key, value in entry.config.items())
    return f"| {name} | {entry.dtype} | {axes} | {entry.bytes / 1e6:.1f} | {config} |"


def _how_to_open(card: Card) -> Iterator[str]:
    """How the dataset is read by ns2 and by webdataset."""
    column = next(iter(card.columns), "mel")
    suffix = card.columns[column].spec(column).suffix if card.columns else "mel.npy"
    yield f"""## How to open it

```python
from ns2.pipeline.dataset import Dataset

dataset = Dataset(".")  # the folder of this file
utterance = dataset[0]
utterance["{column}"], dataset.row(0)["text"]
```

Each column has its own tars, with the same utterances in the same order; the index names those
that are current. Any reader of WebDataset opens them, without ns2:

```python
import pyarrow.parquet as pq
import webdataset

tars = pq.read_table("{layout.INDEX}")["{column}_file"].unique().to_pylist()
for sample in webdataset.WebDataset(tars, shardshuffle=False).decode():
    sample["__key__"], sample["{suffix}"]
```
"""


def _line(value: Any) -> str:
    """A value of the card on one line, without what Markdown or HTML would take for its own."""
    text = " ".join(str(value).split())
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in text)
