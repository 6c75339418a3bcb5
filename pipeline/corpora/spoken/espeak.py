"""Speech by espeak-ng, which reports where each phone begins; for the demo and tests.

The engine is the library inside espeakng-loader; no system package is needed. Each text is spoken
by a fresh copy of the library, so that no state is carried over from the text before, and the
engine of phonemizer in the same process is not touched.

    python -m ns2.pipeline.corpora.spoken.espeak OUT --utterances 40 --seed 0
        [--text FILE] [--voices V ...] [--pitch 5 40]
"""

from __future__ import annotations

import _ctypes
import argparse
import ctypes
import json
import random
import shutil
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import espeakng_loader
import numpy as np

from ns2.pipeline.core.atomic import atomic_write, member_folder

WORD = "<word>"
"""Marks the beginning of a word in a list of phones; an empty string is a pause."""

VOICES = ("en-us", "en-us+m1", "en-us+m3", "en-us+m7", "en-us+f1", "en-us+f2", "en-us+f5")

SENTENCES = (
    "The old bridge creaks when heavy carts roll over it.",
    "Please bring a fresh loaf, some cheese, and a jar of honey.",
    "She measured the garden twice, then planted seven rows of beans.",
    "Why would anyone paint a perfectly good door purple?",
    "The train leaves at 9 and arrives before 11.",
    "A thin fog hung above the river until noon.",
    "He found 3 keys, a broken watch and 12 old coins.",
    "Nothing moved; even the birds were quiet.",
    "Judge Thatcher chose a bench under the cherry tree.",
    "We heard thunder, yet the sky stayed clear.",
    "Vivian gave the zebra a very large vase of violets.",
    "The measure of a journey is seldom its length.",
    "Quick brown otters slid down the muddy bank.",
    "Do you know which road goes to the lighthouse?",
    "Their father breathes deeply and then goes on rowing.",
    "It cost 250 crowns, which was far too much.",
    "Young Hugh used a huge yellow umbrella.",
    "The king sang songs along the long hanging bridge.",
    "Oil the hinges, boil the water, and join us at the point.",
    "How now? The cows are out of the house!",
    "Put your foot on the wooden step and look up.",
    "Bert heard the early bird first, of course.",
    "Fair weather brought the pair to the stairs near the pier.",
    "Charles watched each cherry fall into the basket.",
    "This thing is thicker than that one.",
    "My brother buys fine white rice at night.",
    "A pleasure boat lay idle beside the stone quay.",
    "The baker kept 24 pies warm; the miller ate 5.",
    "Snow fell softly on the frozen lake all evening.",
    "Stop! The ladder is not strong enough.",
    "Lucy threw a blue shoe into the pool by the school.",
    "Many men in the market sell lemons, melons and lamps.",
    "An apple and a pan of jam stand on the sand.",
    "Go slowly, the road below the old oak is broken.",
    "Peter picked a peck of peas, but Betty baked the bread.",
    "Two tall towers stood at the edge of the town.",
    "Crack the green eggs gently and keep the shells.",
    "No, said the captain, we sail at 6.",
    "Wherever the wolf went, the wary sheep watched.",
    "Right after the rain, red roses rose around the ruin.",
)
"""Short sentences written for this project, with all English phonemes, marks and numbers."""

PITCHES = (35, 65)
"""The lowest and the highest pitch of a spoken corpus; the default of espeak-ng is 50."""

_SYNCHRONOUS, _PHONEME_EVENTS, _IPA = 2, 1, 2
_WORD_EVENT, _PHONEME_EVENT = 1, 7
_RATE, _PITCH = 1, 3
_LEAST_CLOSURE = 0.006
"""Least seconds of digital silence before a phone that count as its closure."""


class _Id(ctypes.Union):
    _fields_: ClassVar = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    """The espeak_EVENT of speak_lib.h; `sample` counts from the start of the text."""

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


_C_LIBRARY = ctypes.CDLL(None)
"""What the process itself has loaded, C's library among it."""


class _Engine:
    """A freshly loaded espeak-ng, for a single text.

    Its wave generator keeps state from one text to the next, which neither a new voice nor
    `espeak_Terminate` clears: the same text then differs in a few samples. So the library is loaded
    anew for each text, from a copy, because phonemizer may have loaded the original.
    """

    def __init__(self, library: Path) -> None:
        self._lib = ctypes.CDLL(str(library))
        # without the path of the data the library ends the process
        self.sample_rate: int = self._lib.espeak_Initialize(
            _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _PHONEME_EVENTS | _IPA
        )
        if self.sample_rate <= 0:
            raise RuntimeError("espeak-ng did not start; reinstall espeakng-loader")
        self._chunks = [np.zeros(0, np.int16)]
        self._phones: list[tuple[int, str]] = []
        self._callback = _Callback(self._collect)  # kept alive: C holds only the pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type:
            event = events[i]
            if event.type == _PHONEME_EVENT:
                ipa = event.id.string.decode("utf-8", "replace")
                self._phones.append((event.sample, ipa))
            elif event.type == _WORD_EVENT:
                self._phones.append((event.sample, WORD))
            i += 1
        return 0

    def speak(
        self, text: str, voice: str, rate: int, pitch: int
    ) -> tuple[np.ndarray, list[tuple[int, str]]]:
        if self._lib.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice!r}; try en-us, de, fr or en-us+f1")
        self._lib.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the noise of breath is random
        _C_LIBRARY.srand(1)  # and the flutter of others, such as Reed's, which asks C's own rand
        self._lib.espeak_SetParameter(_RATE, rate, 0)
        self._lib.espeak_SetParameter(_PITCH, pitch, 0)
        encoded = text.encode()
        self._lib.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, None, None)
        samples = np.concatenate(self._chunks)
        return samples, _with_closures(samples, self._phones, self.sample_rate)

    def close(self) -> None:
        self._lib.espeak_Terminate()
        _ctypes.dlclose(self._lib._handle)


def _with_closures(
    samples: np.ndarray, phones: Sequence[tuple[int, str]], rate: int
) -> list[tuple[int, str]]:
    """Phones, each moved to the start of the digital silence before it, unless that is a pause."""
    out: list[tuple[int, str]] = []
    previous = ""
    for start, ipa in phones:
        if ipa not in ("", WORD):
            floor = out[-1][0] if out else 0
            sounding = np.flatnonzero(samples[floor:start])
            begin = floor + int(sounding[-1]) + 1 if len(sounding) else floor
            if previous and start - begin >= _LEAST_CLOSURE * rate:
                start = begin
                if out[-1][1] == WORD:
                    out[-1] = (min(out[-1][0], begin), WORD)
        if ipa != WORD:
            previous = ipa
        out.append((start, ipa))
    return out


def speak(
    text: str, voice: str = "en-us", rate: int = 160, pitch: int = 50
) -> tuple[np.ndarray, int, list[tuple[int, str]]]:
    """Speak a text; the same call always gives the same samples.

    Args:
        text: the text to speak.
        voice: an espeak-ng voice, also with a variant ("de", "en-us+f2").
        rate: words per minute, 80 to 450.
        pitch: espeak-ng's pitch, 0 to 99.

    Returns:
        samples (S,) int16; their sample rate in Hz (22,050); and the phones in order as (start in
        samples, IPA), where an empty IPA is a pause and `WORD` marks the beginning of a word.
        A stop begins with its closure: espeak-ng reports the burst, so a phone is moved to the
        start of the digital silence before it if that lasts 6 ms or more.

    Raises:
        ValueError: espeak-ng has no such voice.
    """
    with tempfile.TemporaryDirectory() as folder:
        engine = _Engine(Path(shutil.copy(espeakng_loader.get_library_path(), folder)))
        try:
            samples, phones = engine.speak(text, voice, rate, pitch)
        finally:
            engine.close()
    return samples, engine.sample_rate, phones


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write samples (S,) int16 as a mono WAV file."""
    with atomic_write(path, durable=False) as file, wave.open(file, "wb") as out:
        out.setparams((1, 2, sample_rate, 0, "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())


def truth_line(
    key: str, voice: str, rate: int, samples: np.ndarray, phones: Sequence[tuple[int, str]]
) -> str:
    """The line of `truth.jsonl` for the result of `speak`."""
    row = {
        "key": key,
        "voice": voice,
        "sample_rate": rate,
        "samples": len(samples),
        "phones": phones,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def speak_corpus(
    out: Path,
    utterances: int,
    seed: int = 0,
    voices: Sequence[str] = VOICES,
    sentences: Sequence[str] | None = None,
    pitch: tuple[int, int] = PITCHES,
) -> Path:
    """Write a spoken corpus in the layout of LJSpeech, with the true borders of its phones.

    The files are `wavs/<key>.wav`, `metadata.csv` (key|text|text) and `truth.jsonl`, with an object
    on each line: key, voice, sample_rate, samples, and phones as [start in samples, IPA]. The same
    arguments give the same bytes.

    Args:
        out: the folder of the corpus, made if it is missing.
        utterances: the number of utterances; sentences repeat, in other voices, if there are fewer.
        seed: seed of the order of sentences, and of voice, rate and pitch.
        voices: espeak-ng voices to draw from.
        sentences: the texts, `SENTENCES` by default.
        pitch: the lowest and the highest pitch to draw from, of 0 to 99.

    Returns:
        `out`.
    """
    rng = random.Random(seed)
    texts = list(SENTENCES if sentences is None else sentences)
    rng.shuffle(texts)
    member_folder(out, "wavs")
    with (
        atomic_write(out / "metadata.csv") as meta,
        atomic_write(out / "truth.jsonl") as truth,
    ):
        for i in range(utterances):
            text, voice = texts[i % len(texts)], rng.choice(voices)
            samples, rate, phones = speak(text, voice, rng.randint(140, 200), rng.randint(*pitch))
            key = f"speak{seed:03d}-{i:05d}"
            write_wav(out / "wavs" / f"{key}.wav", samples, rate)
            meta.write(f"{key}|{text}|{text}\n".encode())
            truth.write(truth_line(key, voice, rate, samples, phones).encode())
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    parser = argparse.ArgumentParser(
        prog="python -m ns2.pipeline.corpora.spoken.espeak", description=__doc__
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="The folder in which the corpus is written."
    )
    parser.add_argument(
        "--utterances", type=int, default=40, help="The number of utterances to speak."
    )
    parser.add_argument("--seed", type=int, default=0, help="The seed of all random choices.")
    parser.add_argument(
        "--voices",
        nargs="+",
        default=VOICES,
        metavar="VOICE",
        help="The espeak-ng voices that speak the utterances.",
    )
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="A file with a sentence on each line."
    )
    parser.add_argument(
        "--pitch",
        nargs=2,
        type=int,
        default=PITCHES,
        metavar=("LOW", "HIGH"),
        help="The lowest and the highest pitch, of 0 to 99.",
    )
    args = parser.parse_args(arguments)
    sentences = None
    if args.text:
        lines = args.text.read_text(encoding="utf-8").splitlines()
        sentences = [line.strip() for line in lines if line.strip()]
        if not sentences:
            parser.error(f"{args.text} has no sentences")
    pitch = (args.pitch[0], args.pitch[1])
    if not 0 <= pitch[0] <= pitch[1] <= 99:
        parser.error(f"--pitch needs two numbers of 0 to 99, the lower one first, got {pitch}")
    speak_corpus(args.out, args.utterances, args.seed, args.voices, sentences, pitch)
    print(f"{args.utterances} utterances in {args.out}")


if __name__ == "__main__":
    main()
