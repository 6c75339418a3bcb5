"""Speech as recordings have it: between silences, with breath and clicks, over noise.

Letters for shapes: S samples.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ns2.train.bundled.labelled_speech import (
    LANGUAGES,
    PAUSE,
    SAMPLE_RATE,
    VARIANTS,
    Labelled,
    labelled,
    spoil,
    word,
)

_EDGE_SECONDS = (0.03, 0.6)
"""The shortest and the longest silence before and behind speech."""
_ROOM_SECONDS = 0.08
"""The shortest pause in which something else may sound."""
_CLEAR_SECONDS = 0.02
"""The shortest time between such a sound and speech."""
_BREATH, _CLICK, _HISS = 0.25, 0.25, 0.2
"""How often such a pause has a breath, a click, or noise from its begin to its end."""
_HISS_DB = (20.0, 65.0)
"""By how much that noise lies below the loudest sample."""
_TAPE_DB = (8.0, 40.0)
"""By how much the noise of a tape lies below speech."""
_FADE_SECONDS, _FADE_DB, _FADED = (0.03, 0.15), (8.0, 40.0), 0.6
"""How long speech fades before a pause, to what level, and how often it does."""
_SWELL_SECONDS, _SWELL_DB, _SWELLED = (0.01, 0.04), (5.0, 25.0), 0.3
"""The same of speech that swells behind a pause."""
_LONG_SECONDS = 0.1
"""The shortest pause at which speech fades or swells: people do that at the ends of phrases."""
_FLOOR_DB = (45.0, 75.0)
"""By how much the noise of a quiet room lies below speech."""


def single_words(count: int, seed: int, variants: Sequence[str] = VARIANTS) -> Iterator[Labelled]:
    """Words that are spoken alone, of all languages, without the engine's silence at the ends."""
    rng = random.Random(seed)
    made = 0
    while made < count:
        language = rng.choice(LANGUAGES)
        text = word(rng, language)
        voice = f"{language}+{rng.choice(variants)}".rstrip("+")
        pace, pitch, stretch = rng.randint(90, 190), rng.randint(20, 80), rng.uniform(0.8, 1.2)
        found = labelled(text, language, voice, pace, pitch, stretch)
        if found is not None and (cut := trimmed(found)) is not None:
            made += 1
            yield cut


def trimmed(spoken: Labelled) -> Labelled | None:
    """A word without the silence at its ends; None if it is silent, has a pause, or no end."""
    sounds = [i for i, phone in enumerate(spoken.phones) if phone != PAUSE]
    if not sounds:
        return None
    first, last = sounds[0], sounds[-1]
    if last + 1 - first != len(sounds) or last + 1 == len(spoken.phones):
        return None
    begin, end = spoken.starts[first], spoken.starts[last + 1]
    wave = spoken.wave[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    phones, starts = spoken.phones[first : last + 1], spoken.starts[first : last + 1] - begin
    return replace(spoken, wave=wave, starts=starts, phones=phones)


def surrounded(utterance: Labelled, rng: np.random.Generator) -> Labelled:
    """Put an utterance between silences, and breath, clicks and noise into its pauses.

    Noise that begins and ends with a pause is not the recording's own: somebody cut it.
    """
    before, behind = (round(rng.uniform(*_EDGE_SECONDS) * SAMPLE_RATE) for _ in range(2))
    wave = np.pad(utterance.wave, (before, behind)).astype(np.float32)
    starts = np.concatenate([[0.0], utterance.starts + before / SAMPLE_RATE])
    phones = (PAUSE, *utterance.phones)
    if phones[-1] != PAUSE:
        end = (before + len(utterance.wave)) / SAMPLE_RATE
        starts, phones = np.append(starts, end), (*phones, PAUSE)
    ends = np.append(starts[1:], len(wave) / SAMPLE_RATE)
    for phone, start, end in zip(phones, starts, ends, strict=True):
        if phone == PAUSE and end - start >= _ROOM_SECONDS + 2 * _CLEAR_SECONDS:
            _fill(wave, start, end, rng)
    return replace(utterance, wave=wave, starts=starts, phones=phones)


def _fill(wave: np.ndarray, begin: float, end: float, rng: np.random.Generator) -> None:
    """Let something sound in a pause of a wave (S,), from begin to end in seconds, or nothing."""
    loud, kind = float(np.abs(wave).max()), rng.random()
    clear = end - begin - 2 * _CLEAR_SECONDS
    if kind < _BREATH:
        sound = _breath(min(clear, rng.uniform(0.08, 0.5)), rng)
        sound *= loud * 10 ** (rng.uniform(-45, -15) / 20)
    elif kind < _BREATH + _CLICK:
        sound = _click(rng) * loud * 10 ** (rng.uniform(-40, -6) / 20)
    else:
        if kind < _BREATH + _CLICK + _HISS:
            pause = wave[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            pause += loud * 10 ** (-rng.uniform(*_HISS_DB) / 20) * _hiss(len(pause), rng)
        return
    first, room = begin + _CLEAR_SECONDS, round(clear * SAMPLE_RATE) - len(sound)
    if room > 0:
        place = round(first * SAMPLE_RATE) + int(rng.integers(0, room))
        wave[place : place + len(sound)] += sound.astype(np.float32)


def _hiss(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (S,) between white and pink, of a power of 1."""
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 80)
    spectrum = np.fft.rfft(rng.normal(size=size)) / hertz ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, size)
    return np.asarray(noise / (np.sqrt(np.mean(noise**2)) + 1e-12), np.float32)


def _breath(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Noise (S,) through a wide resonance that swells and fades, of a peak of about 1."""
    samples = max(round(seconds * SAMPLE_RATE), 64)
    spectrum = np.fft.rfft(rng.normal(size=samples))
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    centre, width = rng.uniform(600, 3500), rng.uniform(400, 2500)
    noise = np.fft.irfft(spectrum / (1 + ((hertz - centre) / width) ** 2), samples)
    swell = np.sin(np.pi * np.arange(samples) / samples) ** rng.uniform(0.5, 2)
    return np.asarray(noise * swell / (np.abs(noise).max() + 1e-9))


def _click(rng: np.random.Generator) -> np.ndarray:
    """A burst (S,) of noise of a few milliseconds, of lips, a key or a step, of a peak of 1."""
    samples = round(0.03 * SAMPLE_RATE)
    fade = np.exp(-np.arange(samples) / (rng.uniform(0.0005, 0.006) * SAMPLE_RATE))
    noise = np.convolve(rng.normal(size=samples), np.ones(int(rng.integers(1, 9))), "same") * fade
    return np.asarray(noise / (np.abs(noise).max() + 1e-9))


def faded(utterance: Labelled, rng: np.random.Generator) -> Labelled:
    """Let speech fade into long pauses and swell behind them, often; its times stay.

    espeak-ng begins and ends at once. Where other speech fades, its labels go on, and a network
    that has not heard that takes the quiet end for silence.
    """
    seconds = np.append(utterance.starts, len(utterance.wave) / SAMPLE_RATE)
    long = np.diff(seconds) >= _LONG_SECONDS
    silent = np.array([True, *(phone == PAUSE for phone in utterance.phones), True])
    ends = np.array([True, *(silent[1:-1] & long), True])
    edges = seconds * SAMPLE_RATE
    wave = utterance.wave.copy()
    begin = 0
    for i, edge in enumerate(np.round(edges).astype(np.int64)):
        if silent[i] and not silent[i + 1]:
            begin = int(edge)
            if ends[i] and rng.random() < _SWELLED:
                _slope(wave[begin:], _SWELL_SECONDS, _SWELL_DB, rng)
        elif ends[i + 1] and not silent[i] and rng.random() < _FADED:
            _slope(wave[begin:edge][::-1], _FADE_SECONDS, _FADE_DB, rng)
    return replace(utterance, wave=wave)


def _slope(
    wave: np.ndarray,
    seconds: tuple[float, float],
    decibels: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Lower the beginning of a wave (S,), in place, the more the nearer to its first sample."""
    samples = min(round(rng.uniform(*seconds) * SAMPLE_RATE), len(wave))
    wave[:samples] *= 10 ** (-rng.uniform(*decibels) / 20 * np.linspace(1, 0, samples))


def quiet_room(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wave (S,) over faint noise, or as it is."""
    if rng.random() < 0.5:
        return wave
    level = float(np.abs(wave).max()) * 10 ** (-rng.uniform(*_FLOOR_DB) / 20)
    return (wave + level * rng.normal(size=len(wave))).astype(np.float32)


def worn(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wave (S,) as `spoil` makes it; half of them also over the louder noise of a tape."""
    found = spoil(wave, rng)
    if rng.random() < 0.5:
        return found
    heard = found[np.abs(found) > 0.03 * np.abs(found).max()]
    level = float(np.sqrt(np.mean(heard**2))) * 10 ** (-rng.uniform(*_TAPE_DB) / 20)
    return (found + level * _hiss(len(found), rng)).astype(np.float32)
