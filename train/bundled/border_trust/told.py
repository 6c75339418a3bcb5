"""Speech whose borders are known word by word.

Letters for shapes: S samples, N tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.core.schema import BORDER, SILENCE
from ns2.pipeline.corpora.spoken.espeak import WORD, speak
from ns2.pipeline.sound.decode import resample
from ns2.train.bundled.labelled_speech import SAMPLE_RATE, Labelled

NOWHERE = np.inf
"""The start of what is not spoken."""


@dataclass(frozen=True)
class Word:
    """A word as it is spoken.

    Attributes:
        phones: IPA with stress.
        starts: the second at which each begins; `NOWHERE` for what is not spoken.
        end: the second at which the last ends.
    """

    phones: tuple[str, ...]
    starts: tuple[float, ...]
    end: float

    @property
    def unspoken(self) -> Word:
        """The same word where it is not spoken."""
        return Word(self.phones, (NOWHERE,) * len(self.phones), NOWHERE)


@dataclass(frozen=True)
class Told:
    """A recording and the words that are spoken in it.

    Attributes:
        wave: (S,) float32 at `SAMPLE_RATE`.
        words: in order.
    """

    wave: np.ndarray
    words: tuple[Word, ...]


def told(text: str, voice: str, pace: int, pitch: int, stretch: float = 1.0) -> Told | None:
    """A text as espeak-ng speaks it; None if it changes to another language or says nothing.

    Args:
        stretch: played by so much faster, the voice has other formants and another rate.
    """
    samples, rate, sounds = speak(text, voice, pace, pitch)
    if any("(" in ipa for _, ipa in sounds):
        return None
    wave = resample(samples.astype(np.float32) / 32768, round(rate * stretch), SAMPLE_RATE)
    seconds = [start / (rate * stretch) for start, _ in sounds] + [len(wave) / SAMPLE_RATE]
    words: list[Word] = []
    phones: list[tuple[str, float]] = []
    for i, (_, ipa) in enumerate([*sounds, (0, WORD)]):
        if ipa in (WORD, ""):
            if phones:
                names, starts = zip(*phones, strict=True)
                words.append(Word(names, starts, seconds[i]))
                phones = []
        else:
            phones.append((ipa, seconds[i]))
    return Told(wave.astype(np.float32), tuple(words)) if words else None


def told_of(one: Labelled, rng: random.Random) -> Told:
    """Speech whose labels tell no words: some phones in a row stand for one."""
    sounds = list(zip(one.starts.tolist(), one.phones, strict=True))
    words = words_drawn(sounds, len(one.wave) / SAMPLE_RATE, rng)
    return Told(one.wave.astype(np.float32), tuple(words))


def words_drawn(
    sounds: Sequence[tuple[float, str]], seconds: float, rng: random.Random
) -> Iterator[Word]:
    """Words of an engine that tells none: some phones in a row stand for one.

    Args:
        sounds: the second at which each phone or pause begins, and its IPA, "" for a pause.
        seconds: the end of the last.
    """
    phones: list[tuple[float, str]] = []
    for start, ipa in [*sounds, (seconds, "")]:
        if phones and (not ipa or (len(phones) > 1 and rng.random() < 0.3)):
            yield Word(tuple(p for _, p in phones), tuple(s for s, _ in phones), start)
            phones = []
        if ipa:
            phones.append((start, ipa))


def tokens_of(words: Sequence[Word]) -> tuple[list[str], np.ndarray]:
    """The tokens of words, and (N,) the second at which each begins: borders where a word ends."""
    tokens, starts = [SILENCE], [0.0]
    for word in words:
        tokens += [*word.phones, BORDER]
        starts += [*word.starts, word.end]
    return [*tokens[:-1], SILENCE], np.array(starts)


def renamed(corpus: Sequence[Told], count: int, rng: random.Random) -> list[Told]:
    """The same recordings where so many phones go by the name of another one throughout."""
    phones = sorted({phone for one in corpus for word in one.words for phone in word.phones})
    chosen = rng.sample(phones, min(count, len(phones)))
    names = {phone: rng.choice([one for one in phones if one != phone]) for phone in chosen}

    def other(word: Word) -> Word:
        return Word(tuple(names.get(phone, phone) for phone in word.phones), word.starts, word.end)

    return [Told(one.wave, tuple(map(other, one.words))) for one in corpus]


def sentences_told(
    count: int, rng: random.Random, voices: Sequence[str], sentence: Callable[[], str]
) -> Iterator[Told]:
    """Sentences in voices that are drawn from; half of them have other formants."""
    while count:
        stretch = rng.uniform(0.88, 1.15) if rng.random() < 0.5 else 1.0
        one = told(
            sentence(), rng.choice(voices), rng.randint(120, 210), rng.randint(25, 75), stretch
        )
        if one is not None and len(one.words) > 2:
            count -= 1
            yield one
