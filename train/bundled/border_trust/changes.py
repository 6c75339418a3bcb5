"""Texts that are not what is said, or not as it is said.

Where a text has words that nobody says, these have no borders; all others stay where they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ns2.train.bundled.border_trust.told import Word

Change = Callable[[Sequence[Word], Sequence[Word], random.Random], "list[Word]"]
"""Makes another text of the words that are spoken, and of words of the corpus."""


def exchanged(words: Sequence[Word], others: Sequence[Word], rng: random.Random) -> list[Word]:
    """One word is another, of about as many phones."""
    place = exchange_place(words, rng)
    other = another(words[place], others, rng)
    return [*words[:place], other.unspoken, *words[place + 1 :]]


def exchange_place(words: Sequence[Word], rng: random.Random) -> int:
    """The place of one of the longer words."""
    long = [i for i, word in enumerate(words) if len(word.phones) >= 3]
    return rng.choice(long or range(len(words)))


def another(word: Word, others: Sequence[Word], rng: random.Random) -> Word:
    """Another word of about as many phones; few of them are the same in the same place."""
    size = len(word.phones)
    alike = [
        other
        for other in others
        if abs(len(other.phones) - size) <= 1
        and 2 * sum(a == b for a, b in zip(word.phones, other.phones, strict=False)) < size
    ]
    return rng.choice(alike or list(others))


def inserted(words: Sequence[Word], others: Sequence[Word], rng: random.Random) -> list[Word]:
    """Up to three words too many in a row."""
    place = rng.randint(0, len(words))
    more = [rng.choice(others).unspoken for _ in range(rng.randint(1, 3))]
    return [*words[:place], *more, *words[place:]]


def omitted(words: Sequence[Word], others: Sequence[Word], rng: random.Random) -> list[Word]:
    """Up to three words in a row are missing, if there are others."""
    count = min(rng.randint(1, 3), max(len(words) - 2, 0))
    place = rng.randint(0, len(words) - count)
    return [*words[:place], *words[place + count :]]


def swapped(words: Sequence[Word], others: Sequence[Word], rng: random.Random) -> list[Word]:
    """All words are others."""
    return [rng.choice(others).unspoken for _ in words]


def slurred(words: Sequence[Word], others: Sequence[Word], rng: random.Random) -> list[Word]:
    """Some phones are said otherwise than the text has them; borders stay."""
    phones = [phone for word in others for phone in word.phones]
    return [
        Word(
            tuple(rng.choice(phones) if rng.random() < 0.1 else p for p in word.phones),
            word.starts,
            word.end,
        )
        for word in words
    ]


CHANGES: dict[str, tuple[float, Change]] = {
    "right": (0.6, lambda words, others, rng: list(words)),
    "slurred": (0.15, slurred),
    "exchanged": (0.1, exchanged),
    "inserted": (0.05, inserted),
    "omitted": (0.05, omitted),
    "swapped": (0.05, swapped),
}
"""What may be done to a text, by name, and the share of texts of each kind among which a confidence
is what it says."""
