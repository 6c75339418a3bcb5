"""Whose voice speaks: which utterance gives the prompt, and which part of it is taken.

The prompt is another utterance of the same speaker: of the same split where there is one, else of
any split. The only utterance of a speaker gives its own first half. What is longer than the model
can take gives its beginning. What a recording gives: `recorded_prompt`.

Letters for shapes: Q quantizers, T frames, P prompt frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.core.hashing import unit_interval
from ns2.train.data.epochs import mixed

if TYPE_CHECKING:
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.data.selection import Data


def prompt_in_data(
    data: Data, number: int, trained: Data, *, longest: int, seed: int
) -> np.ndarray:
    """The prompt of an utterance of a run's data.

    Args:
        number: of the utterance in `data`.
        trained: the data with the speaker's other utterances, where `data` has none.
        longest: the most frames that the prompt may have.
        seed: decides which of the speaker's utterances is drawn.

    Returns:
        codes (Q, P).

    Raises:
        DamageError: the codes can't be read as they were written.
    """
    giver = data.other(number, seed)
    if giver is not None:
        return _beginning(data.read("codes", giver, check=True), longest)
    if data is not trained:
        names, speaker_of = data.speakers
        trained_names, trained_of = trained.speakers
        name = names[int(speaker_of[number])]
        if name in trained_names:
            others = np.flatnonzero(trained_of == trained_names.index(name))
            if len(others):
                giver = int(others[int(mixed(seed, number, 2)) % len(others)])
                return _beginning(trained.read("codes", giver, check=True), longest)
    return _beginning(data.read("codes", number, check=True), longest, own=True)


def prompt_in_dataset(
    dataset: Dataset, position: int, *, longest: int, seed: int
) -> tuple[np.ndarray, str]:
    """The prompt of an utterance of a dataset.

    Args:
        position: of the utterance in the dataset's index.
        longest: the most frames that the prompt may have.
        seed: decides which of the speaker's utterances is drawn.

    Returns:
        codes (Q, P), and the key of the utterance that gives them.

    Raises:
        ValueError, OSError: the codes can't be read as they were written.
    """
    _, speaker_of = dataset.names("speaker")
    _, split_of = dataset.names("split")
    same = np.flatnonzero(speaker_of == speaker_of[position])
    others = same[same != position]
    near = others[split_of[others] == split_of[position]]
    givers = near if len(near) else others
    giver = position
    if len(givers):
        share = unit_interval(dataset.key(position), f"prompt {seed}")
        giver = int(givers[int(share * len(givers))])
    codes = dataset.read("codes", giver, check=True)
    return _beginning(codes, longest, own=giver == position), dataset.key(giver)


def _beginning(codes: np.ndarray, longest: int, *, own: bool = False) -> np.ndarray:
    """The beginning of codes (Q, T); of the utterance itself half of it at most."""
    most = max(1, codes.shape[1] // 2) if own else codes.shape[1]
    return np.asarray(codes[:, : min(longest, most)])
