"""How often each phone is spoken in a dataset."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.phoneme_table import SPECIALS, STRESSES
from ns2.pipeline.dataset.reader import Dataset

MOST = 200_000
"""The most utterances whose phones are counted; of more, these are evenly spaced."""
_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class PhoneCount:
    """How often a phone occurs: in all, and with primary and secondary stress."""

    phone: str
    count: int
    primary: int
    secondary: int


@dataclass(frozen=True, kw_only=True)
class PhoneCounts:
    """Phones, the most frequent first, and the utterances in which they were counted."""

    phones: tuple[PhoneCount, ...]
    utterances: int

    @property
    def total(self) -> int:
        """The number of phones that were counted."""
        return sum(one.count for one in self.phones)


def count_phones(dataset: Dataset, progress: Progress, most: int = MOST) -> PhoneCounts | None:
    """Count the phones of a dataset; None where it has no phonemes.

    Silence, borders of words and punctuation are no phones.

    Args:
        most: the most utterances to read, evenly spaced.

    Raises:
        DamageError: an array can't be read.
    """
    if "phonemes" not in dataset.columns or not len(dataset):
        return None
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).astype(np.int64))
    progress.phase("counting phones", len(chosen))
    table = dataset.phoneme_table
    counts = np.zeros(len(table), np.int64)
    for at in range(0, len(chosen), _AT_ONCE):
        arrays = dataset.read_many("phonemes", chosen[at : at + _AT_ONCE])
        counts += np.bincount(np.concatenate(arrays), minlength=len(table))
        progress.advance(utterances=len(arrays))
    by_phone: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    spoken = np.flatnonzero(counts)
    for symbol, count in zip(table.symbols(spoken), counts[spoken].tolist(), strict=True):
        if symbol in SPECIALS or symbol in table.marks:
            continue
        stress = STRESSES.index(symbol[0]) if symbol[0] in STRESSES else 0
        by_phone[symbol.lstrip("".join(STRESSES))][stress] += count
    phones = [
        PhoneCount(phone=phone, count=sum(three), primary=three[1], secondary=three[2])
        for phone, three in by_phone.items()
    ]
    phones.sort(key=lambda one: (-one.count, one.phone))
    return PhoneCounts(phones=tuple(phones), utterances=len(chosen))
