"""Whether a run has heard speakers before, as far as what it learned from can be looked up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.run.folder import RunFolder, learned_from

_NAMED = 5
"""So many speakers are named."""


def check_unheard(run: Path, dataset: Dataset, split: str) -> list[str]:
    """See that a run has learned from no speaker of a split.

    The run tells which datasets it learned from, with the runs that it began with. Where one is
    DATASET itself, or still lies in its folder and shares utterances with DATASET, speakers of one
    name are the same people.

    Returns:
        notes on what could not be looked up.

    Raises:
        UserError: it has learned from one; the message names the split and the speakers.
    """
    speakers = _speakers(dataset, split)
    notes = []
    for source in learned_from(RunFolder(run).about()):
        files, folder, trained = (source.get(name, "") for name in ("files", "folder", "split"))
        other: Dataset | None = dataset
        if files != dataset.card.sha256sums:
            other = _opened(Path(folder), files)
        if other is None:
            notes.append(
                f"the run has learned from {folder}, which is not there any more: whether it has "
                "these speakers is not known"
            )
            continue
        heard = sorted(speakers & _speakers(other, trained))
        if not heard:
            continue
        named = ", ".join(heard[:_NAMED]) + (" ..." if len(heard) > _NAMED else "")
        if other is not dataset and not _utterances(dataset) & _utterances(other):
            notes.append(
                f"{folder}, which the run has learned from, has speakers of the same names "
                f"({named}); they share no utterance, and are taken to be other people"
            )
            continue
        raise UserError(
            f"split {split!r} of {dataset.root} has speakers that the run was trained on "
            f"({len(heard)}: {named}; split {trained!r} of {folder}): the zero-shot protocol is "
            "about voices that it has never heard. Hold speakers out (`ns2 preprocess --val-by "
            "speaker`, or the field split of a manifest), and train without them."
        )
    return list(dict.fromkeys(notes))


def _opened(folder: Path, files: str) -> Dataset | None:
    """A dataset, if it still holds the files that it held."""
    try:
        found = Dataset(folder)
    except (UserError, OSError):
        return None
    return found if found.card.sha256sums == files else None


def _speakers(dataset: Dataset, split: str) -> set[str]:
    """The speakers of a split; "" for those of all."""
    names, speaker_of = dataset.names("speaker")
    if split:
        splits, split_of = dataset.names("split")
        chosen = split_of == (splits.index(split) if split in splits else -1)
        speaker_of = speaker_of[chosen]
    return {names[i] for i in np.unique(speaker_of).tolist()}


def _utterances(dataset: Dataset) -> set[tuple[str, str]]:
    """Ids and texts of all utterances."""
    rows = dataset.fields(["id", "text"]).to_pydict()
    return set(_pairs(rows["id"], rows["text"]))


def _pairs(ids: list[str], texts: list[str]) -> Iterator[tuple[str, str]]:
    yield from zip(ids, texts, strict=True)
