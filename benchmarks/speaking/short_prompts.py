"""How far is the pitch of a short prompt from its voice's, and that of what is spoken by it?

    python -m benchmarks.short_prompts RUN RECORDING... [--seconds 0.5 1 2] [--cuts 3] [--json FILE]

Of each RECORDING the loudest stretch of so many seconds is a prompt, and so are some that are
drawn. Shown are, in semitones from the median F0 of the whole RECORDING, the median F0 of the
stretches, that of a sentence as the model predicts it by them, and that with which it is spoken:
the mean distance, how many are within one and two semitones, and the distance that nine of ten do
not exceed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.speaking.prompts import TEXT
from benchmarks.support.command import add_json, arguments, write_json
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.train.speak.lines import Prompt, VoicePitch, line_of
from ns2.train.speak.recorded_prompt import VoiceStretch, voice_of
from ns2.train.speak.speaking import SpeakingOptions
from ns2.train.speak.synthesizer import Synthesizer

LOUDEST, DRAWN, WHOLE = "the loudest", "drawn", "all of it"
LONGEST = 12.0
"""Seconds of a recording that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The pitch of a prompt, and of what is spoken by it.

    Attributes:
        recording: of which it is a part.
        seconds: its length; 0 of the whole recording.
        part: which one it is.
        cut: the semitones of its median F0 above that of the recording.
        predicted: those of the median that a model predicts by it.
        spoken: those of the median that is spoken.
    """

    recording: str
    seconds: float
    part: str
    cut: float
    predicted: float
    spoken: float


def parts_of(
    wave: np.ndarray, rate: int, seconds: Sequence[float], cuts: int
) -> Iterator[tuple[float, str, np.ndarray]]:
    """The prompts of a recording (S,): their seconds, their names and their waves."""
    yield 0.0, WHOLE, wave
    rng = np.random.default_rng(len(wave))
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    for length in seconds:
        size = round(length * rate)
        if len(wave) < size + rate // 4:  # it would be nearly all of it
            continue
        loudest = int(np.argmax(energy[size:] - energy[:-size]))
        yield length, LOUDEST, wave[loudest : loudest + size]
        for first in rng.integers(0, len(wave) - size, cuts).tolist():
            yield length, DRAWN, wave[first : first + size]


def semitones(f0: np.ndarray, than: float) -> float:
    """How far the median of F0 (K,) is above a frequency; not a number where there is none."""
    return float(12 * np.log2(np.median(f0) / than)) if len(f0) else float("nan")


def heard(
    voice: Synthesizer, recording: Path, seconds: Sequence[float], cuts: int
) -> Iterator[Heard]:
    """What comes of all prompts of a recording that have a voice."""
    wave, rate = read_audio(recording)
    rate, wave = voice.grid.sample_rate, resample(wave, rate, voice.grid.sample_rate)
    middle: float | None = None
    for length, part, cut in parts_of(wave[: round(LONGEST * rate)], rate, seconds, cuts):
        found = voice_of(cut, voice.grid, voice.model.config.prompt.longest)
        if not found.voiced_seconds:
            continue
        middle = middle or float(np.median(found.f0))
        predicted, spoken = pitches(voice, found)
        yield Heard(
            recording=str(recording),
            seconds=length,
            part=part,
            cut=semitones(found.f0, middle),
            predicted=semitones(predicted, middle),
            spoken=semitones(spoken, middle),
        )


def pitches(voice: Synthesizer, stretch: VoiceStretch) -> tuple[np.ndarray, np.ndarray]:
    """F0 of the voiced frames of a sentence, as predicted by a prompt, and as spoken by it."""
    pitch = VoicePitch.of(stretch.f0, len(stretch.f0) / voice.grid.frame_rate)
    prompt = Prompt(codes=voice.codes_of(stretch.wave), pitch=pitch)
    line = line_of(voice.ids(TEXT, "en-us"), prompt, seed=0)
    lines = [replace(line, voice_pitch=None), line]
    one, other = voice.speak(lines, SpeakingOptions(steps=1).choices())  # F0 needs no step
    return one.f0[one.f0 > 0], other.f0[other.f0 > 0]


HEAD = "prompt                    of             mean  within 1  within 2   9 of 10"


def table(found: Sequence[Heard]) -> Iterator[str]:
    """The lines of the table."""
    yield HEAD
    for length, part in dict.fromkeys((one.seconds, one.part) for one in found):
        several = [one for one in found if (one.seconds, one.part) == (length, part)]
        name = part if not length else f"{length:g} s, {part}"
        for kind in ("cut", "predicted", "spoken") if length else ("predicted", "spoken"):
            away = np.abs([getattr(one, kind) for one in several])
            away = away[np.isfinite(away)]
            yield (
                f"{name:26}{kind:10}{away.mean():9.2f}{np.mean(away <= 1):10.0%}"
                f"{np.mean(away <= 2):10.0%}{np.percentile(away, 90):10.2f}"
            )
            name = f"  ({len(several)})" if kind == "cut" or not length else ""


def read_arguments() -> argparse.Namespace:
    parser = arguments("benchmarks.short_prompts", __doc__)
    add = parser.add_argument
    add("run", type=Path, help="The folder of a run.")
    add("recordings", type=Path, nargs="+", help="Recordings, each of one voice.")
    add(
        "--seconds",
        type=float,
        nargs="+",
        default=[0.5, 1.0, 2.0],
        help="The lengths of prompts.  [default: 0.5 1 2]",
    )
    add("--cuts", type=int, default=3, help="How many of each are drawn.  [default: 3]")
    add_json(parser)
    return parser.parse_args()


def main() -> None:
    args = read_arguments()
    voice = Synthesizer.open(args.run)
    found: list[Heard] = []
    for recording in args.recordings:
        found += heard(voice, recording, args.seconds, args.cuts)
    print(f"{len(args.recordings)} recordings")
    print("\n".join(table(found)))
    write_json(args.json, [asdict(one) for one in found])


if __name__ == "__main__":
    main()
