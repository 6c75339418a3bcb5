"""Corpora whose phone borders are known: spoken by engines, joined, stretched, told by pages.

Each is a folder with manifest.jsonl, the phones of its utterances given, and a list of `Known`.

Letters for shapes: S samples, P phones, W words.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.codecs.copy_groups import Clip
from benchmarks.making.segments import read_pages
from ns2.pipeline.core.schema import BORDER
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.f0.world import pyworld_module
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.bundled.aligner_people.festival import ENGLISH, festival_sentences, festival_words
from ns2.train.bundled.aligner_people.festival import UNHEARD as FESTIVAL_UNHEARD
from ns2.train.bundled.aligner_people.festival import VOICES as FESTIVAL_VOICES
from ns2.train.bundled.aligner_people.surroundings import single_words, surrounded, worn
from ns2.train.bundled.labelled_speech import SAMPLE_RATE, Labelled, closed

PAUSE = ""
UNHEARD = ("", "m1", "m3", "m7", "f1", "f5", "klatt", "klatt2", "klatt4", "steph", "croak", "iven")
"""The variants of espeak-ng that trained no network of the aligner."""
FLITE_VOICES = ("kal", "kal16", "awb", "rms", "slt")
FLITE = FESTIVAL_VOICES["kal_diphone"]
"""The voice of Festival that has flite's phones."""
ARPABET = {phone: FLITE.ipa(phone) for phone in [*ENGLISH, *"bdfgklmnpstvwz"]} | {
    "em": "m", "en": "n", "ix": "ɪ", "nx": "n", "q": "ʔ", "ux": "uː", "wh": "w",
}  # fmt: skip
"""IPA of ARPAbet's phones, in lower case and without stress."""
STRETCHES = (0.8, 1.25)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one utterance.

    Attributes:
        key: its id in the manifest.
        starts: (P,) seconds at which its phones begin; NaN where that is not known.
        end: the seconds at which its last phone ends.
        pause: the seconds at which its first pause between phones begins, NaN if it has none.
        ends: (P,) seconds at which its phones end; empty where these are not known.
        words: (W, 2) the first phone of each word and that behind it; empty where words are not.
    """

    key: str
    starts: np.ndarray
    end: float
    pause: float
    ends: np.ndarray
    words: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Speech whose phones are known.

    Attributes:
        key: its id.
        wave: (S,) float32.
        rate: of the wave, in Hz.
        sounds: (seconds at which it begins, IPA) of each phone, and of each pause as `PAUSE`.
        tokens: the phones of the manifest, with borders and marks; None for those of the sounds.
        ends, words: as of `Known`.
    """

    key: str
    wave: np.ndarray
    rate: int
    sounds: Sequence[tuple[float, str]]
    tokens: Sequence[str] | None = None
    ends: Sequence[float] = ()
    words: Sequence[tuple[int, int]] = ()


def written(folder: Path, speech: Iterator[Spoken]) -> list[Known]:
    """Write a corpus, and return what is known of it."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as file:
        for one in speech:
            soundfile.write(folder / f"{one.key}.wav", one.wave, one.rate)
            tokens = one.tokens or [ipa or BORDER for _, ipa in one.sounds]
            text = " ".join(tokens).strip(f" {BORDER}")
            row = {"id": one.key, "audio": f"{one.key}.wav", "text": one.key, "phonemes": text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            found.append(_known(one))
    return found


def _known(one: Spoken) -> Known:
    last, pauses = one.sounds[-1], [start for start, ipa in one.sounds[1:-1] if not ipa]
    return Known(
        key=one.key,
        starts=np.array([start for start, ipa in one.sounds if ipa]),
        end=len(one.wave) / one.rate if last[1] else last[0],
        pause=pauses[0] if pauses else np.nan,
        ends=np.array(one.ends),
        words=np.array(one.words, int).reshape(-1, 2),
    )


def sentences(count: int, seed: int) -> Iterator[Spoken]:
    """Sentences by espeak-ng, in the voices that the project's truth is spoken in."""
    rng = random.Random(seed)
    while count:
        text = " ".join(rng.sample(SENTENCES, 2))
        voice, pace, pitch = rng.choice(VOICES), rng.randint(140, 200), rng.randint(35, 65)
        samples, rate, phones = speak(text, voice, pace, pitch)
        sounds = [(start / rate, ipa) for start, ipa in closed(samples, phones, rate)]
        if any("(" in ipa for _, ipa in sounds):
            continue
        count -= 1
        wave = samples.astype(np.float32) / 32768
        yield Spoken(key=f"espeak{count:04d}", wave=wave, rate=rate, sounds=sounds)


def words(count: int, seed: int, *, noisy: bool) -> Iterator[Spoken]:
    """Single words by espeak-ng in many languages, between silences; noisy ones as on old tapes."""
    yield from _between_silences(single_words(count, seed, UNHEARD), seed, noisy=noisy)


def festival(count: int, seed: int) -> Iterator[Spoken]:
    """Sentences by the voices of Festival that taught nothing; nothing where one is missing."""
    for i, one in enumerate(_in_turn(festival_sentences, count, seed)):
        yield _as_spoken(f"festival{i:04d}", one, one.wave)


def festival_alone(count: int, seed: int, *, noisy: bool) -> Iterator[Spoken]:
    """Single words by the same voices, between silences; noisy ones as on old tapes."""
    yield from _between_silences(_in_turn(festival_words, count, seed), seed, noisy=noisy)


def _in_turn(
    speak: Callable[[int, int, str], Iterator[Labelled]], count: int, seed: int
) -> Iterator[Labelled]:
    """As many utterances of each voice of Festival, or none."""
    each = count // len(FESTIVAL_UNHEARD)
    try:
        # Some texts cannot be spoken, or are no single words.
        voices = [[*speak(2 * each, seed, voice)][:each] for voice in FESTIVAL_UNHEARD]
    except SystemExit as lacking:
        print(lacking)
        return
    yield from itertools.chain.from_iterable(voices)


def _between_silences(words: Iterator[Labelled], seed: int, *, noisy: bool) -> Iterator[Spoken]:
    rng = np.random.default_rng(seed)
    for i, word in enumerate(words):
        placed = surrounded(word, rng)
        wave = worn(placed.wave, rng) if noisy else placed.wave
        yield _as_spoken(f"word{i:04d}", placed, wave)


def _as_spoken(key: str, speech: Labelled, wave: np.ndarray) -> Spoken:
    sounds = [*zip(speech.starts.tolist(), speech.phones, strict=True)]
    return Spoken(key=key, wave=wave, rate=SAMPLE_RATE, sounds=sounds)


def flite(count: int, seed: int) -> Iterator[Spoken]:
    """Sentences by flite, whose labels are its own; nothing where it is not installed."""
    program, rng = shutil.which("flite"), random.Random(seed)
    if program is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            out, text = Path(folder) / "x.wav", " ".join(rng.sample(SENTENCES, 2))
            command = [program, "-voice", FLITE_VOICES[i % len(FLITE_VOICES)], "-psdur"]
            done = subprocess.run(
                [*command, "-t", text, "-o", str(out)], capture_output=True, text=True, check=True
            )
            wave, rate = read_audio(out)
            ends = [label.rsplit(":", 1) for label in done.stdout.split()]
            names = [FLITE.ipa(name) for name, _ in ends]
            times = [0.0, *(float(end) for _, end in ends)]
            sounds = [*zip(times, names, strict=False)]
            yield Spoken(key=f"flite{i:04d}", wave=wave, rate=rate, sounds=sounds)


def pages(folder: Path, seconds: float) -> Iterator[Spoken]:
    """Stories of at most so many seconds; known are the begin and the end of each page's speech."""
    for story, found in read_pages(folder).items():
        wave, rate = read_audio(folder / f"{story}.mp3")
        if len(wave) > seconds * rate:
            continue
        sounds: list[tuple[float, str]] = []
        tokens: list[str] = []
        for page in found:
            spoken = pronounce(page.text, "en-us").tokens[1:-1]
            phones = _phones(spoken)
            times = [page.start, *[np.nan] * (len(phones) - 1)]
            sounds += [*zip(times, phones, strict=True), (page.end, PAUSE)]
            tokens += [*spoken, "."]
        yield Spoken(key=story, wave=wave, rate=rate, sounds=sounds, tokens=tokens[:-1])


def joined(clips: Sequence[Clip], seconds: float, seed: int) -> Iterator[Spoken]:
    """Pairs of recordings with silence of a known place between them, as loud as their quiet."""
    rng = np.random.default_rng(seed)
    for one, two in zip(clips[::2], clips[1::2], strict=False):
        (a, rate), (b, other) = read_audio(one.path), read_audio(two.path)
        if rate != other:
            continue
        blocks = a[: len(a) // 400 * 400].reshape(-1, 400)
        quiet = float(np.sqrt((blocks**2).mean(axis=1)).min())
        gap = (quiet * rng.normal(size=round(seconds * rate))).astype(np.float32)
        sounds: list[tuple[float, str]] = []
        tokens: list[str] = []
        for clip, pause in ((one, [(len(a) / rate, PAUSE)]), (two, [])):
            spoken = pronounce(clip.text, clip.language).tokens[1:-1]
            sounds += [*((np.nan, phone) for phone in _phones(spoken)), *pause]
            tokens += [*spoken, "."]
        wave = np.concatenate([a, gap, b])
        yield Spoken(key=one.id, wave=wave, rate=rate, sounds=sounds, tokens=tokens[:-1])


def stretched(clips: Sequence[Clip]) -> Iterator[Spoken]:
    """Recordings made again by WORLD, as they are and slower or faster by known factors."""
    world = pyworld_module()
    for i, clip in enumerate(clips):
        wave, rate = read_audio(clip.path)
        signal = resample(wave, rate, SAMPLE_RATE).astype(np.float64)
        f0, times = world.harvest(signal, SAMPLE_RATE)
        spectra = world.cheaptrick(signal, f0, times, SAMPLE_RATE)
        noise = world.d4c(signal, f0, times, SAMPLE_RATE)
        spoken = pronounce(clip.text, clip.language).tokens[1:-1]
        for factor in (1.0, STRETCHES[i % len(STRETCHES)]):
            made = world.synthesize(f0, spectra, noise, SAMPLE_RATE, 5.0 * factor)
            key = f"{clip.id}-{round(100 * factor)}"
            sounds = [(np.nan, phone) for phone in _phones(spoken)]
            wave = made.astype(np.float32)
            yield Spoken(key=key, wave=wave, rate=SAMPLE_RATE, sounds=sounds, tokens=spoken)


def as_read(clips: Sequence[Clip]) -> Iterator[Spoken]:
    """Recordings as they are; no border of them is known."""
    for clip in clips:
        wave, rate = read_audio(clip.path)
        spoken = pronounce(clip.text, clip.language).tokens[1:-1]
        sounds = [(np.nan, phone) for phone in _phones(spoken)]
        yield Spoken(key=clip.id, wave=wave, rate=rate, sounds=sounds, tokens=spoken)


def _phones(tokens: Sequence[str]) -> list[str]:
    """The tokens that are phones."""
    return [token for token in tokens if token not in PhonemeTable.default().optional]
