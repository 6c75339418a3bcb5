"""One voice by prompts as people have them: silence around it, a slam, stereo, any level, mp3.

    python -m benchmarks.prompts RUN RECORDING... [--text TEXT] [--json FILE]

Each prompt is made of a RECORDING, and `ns2 synthesize` speaks the same text by it. Shown are what
comes out: its likeness to RECORDING and to what comes of RECORDING itself (Resemblyzer), median F0
and loudness beside those of the latter, when its first sound comes, and the warnings; of several
recordings at last the worst of each prompt.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from click.testing import CliRunner

from benchmarks.support.command import add_json, arguments, write_json
from ns2.cli import main as ns2
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.measures import median_f0
from ns2.pipeline.sound.pitch import PitchConfig
from ns2.pipeline.sound.quality.lufs import integrated_loudness
from ns2.train.evaluation.judges.speakers import open_speaker_model

RATE = 24_000
TEXT = "The boy was there when the sun rose, and he looked for a boat on the shore."


def _silent(wave: np.ndarray, seconds: float) -> np.ndarray:
    return np.zeros((round(seconds * RATE), *wave.shape[1:]), np.float32)


def _level(wave: np.ndarray, decibels: float) -> np.ndarray:
    """A wave with so many dB of its root mean square below full scale, clipped where it must be."""
    gain = 10 ** (decibels / 20) / float(np.sqrt(np.square(wave).mean()))
    return np.clip(wave * gain, -1, 1).astype(np.float32)


def _slammed(wave: np.ndarray) -> np.ndarray:
    """A wave after a slam that is 20 dB louder."""
    rng = np.random.default_rng(0)
    times = np.arange(round(0.4 * RATE)) / RATE
    slam = rng.standard_normal(len(times)) * np.exp(-times / 0.06)
    slam = np.convolve(slam, np.hanning(24) / 12, "same")
    slam *= 0.95 / np.abs(slam).max()
    quiet = wave * (0.095 / np.abs(wave).max())
    return np.concatenate([slam, _silent(wave, 0.3), quiet]).astype(np.float32)


def _stereo(wave: np.ndarray) -> np.ndarray:
    at = resample(wave, RATE, 44_100)
    return np.stack([at, 0.7 * at], 1)


def _minute(wave: np.ndarray) -> np.ndarray:
    return np.resize(np.concatenate([wave, _silent(wave, 0.4)]), 60 * RATE)


def _half_a_second(wave: np.ndarray) -> np.ndarray:
    """The half second with most energy."""
    size = RATE // 2
    energy = np.convolve(np.square(wave), np.ones(size), "valid")
    first = int(np.argmax(energy))
    return wave[first : first + size]


PROMPTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, int]] = {
    "as it is": (lambda wave: wave, "wav", RATE),
    "2 s of silence around": (
        lambda wave: np.concatenate([_silent(wave, 2), wave, _silent(wave, 2)]),
        "wav",
        RATE,
    ),
    "stereo at 44.1 kHz": (_stereo, "wav", 44_100),
    "at -40 dB": (lambda wave: _level(wave, -40), "wav", RATE),
    "at -10 dB": (lambda wave: _level(wave, -10), "wav", RATE),
    "after a slam": (_slammed, "wav", RATE),
    "60 s long": (_minute, "wav", RATE),
    "0.5 s": (_half_a_second, "wav", RATE),
    "mp3": (lambda wave: wave, "mp3", RATE),
    "8 kHz": (lambda wave: resample(wave, RATE, 8_000), "wav", 8_000),
}


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What came of a prompt.

    Attributes:
        similarity: to the recording, a cosine.
        to_first: to what came of the recording as it is.
        semitones: of the median F0 above that.
        louder: in LU than that.
        first_sound: seconds until something is heard.
        said: warnings.
    """

    name: str
    similarity: float
    to_first: float
    semitones: float
    louder: float
    first_sound: float
    said: str


def first_sound(wave: np.ndarray) -> float:
    """Seconds until a wave (S,) comes within 30 dB of its loudest 20 ms."""
    size = RATE // 50
    levels = np.square(wave[: len(wave) // size * size]).reshape(-1, size).mean(1)
    return float(np.argmax(levels > levels.max() / 1000) * size / RATE)


def speak(run: Path, prompt: Path, text: str, out: Path) -> tuple[np.ndarray, str]:
    """Speak by the command; the wave, and the warnings."""
    done = CliRunner().invoke(
        ns2, ["synthesize", str(run), text, "--prompt", str(prompt), "-o", str(out)]
    )
    if done.exit_code:
        raise SystemExit(done.output)
    wave, _ = soundfile.read(out, dtype="float32")
    return wave, " ".join(line for line in done.output.splitlines() if "Warning" in line)


def by_each_prompt(run: Path, recording: Path, text: str) -> list[Spoken]:
    """What comes of all prompts of a recording, which is printed as it comes."""
    recorded, rate = read_audio(recording)
    recorded = resample(recorded, rate, RATE)
    judge, pitch = open_speaker_model(), PitchConfig(sample_rate=RATE)
    voice = judge.embedding(recorded, RATE)
    found: list[Spoken] = []
    with tempfile.TemporaryDirectory() as folder:
        first: tuple[np.ndarray, float, float] | None = None
        for name, (make, kind, at) in PROMPTS.items():
            prompt = Path(folder) / f"prompt.{kind}"
            soundfile.write(prompt, make(recorded), at)
            wave, said = speak(run, prompt, text, Path(folder) / "out.wav")
            vector = judge.embedding(wave, RATE)
            f0 = median_f0(wave, pitch) or float("nan")
            loudness = integrated_loudness(wave, RATE) or float("nan")
            first = first or (vector, f0, loudness)
            found.append(
                Spoken(
                    name=name,
                    similarity=float(vector @ voice),
                    to_first=float(vector @ first[0]),
                    semitones=float(12 * np.log2(f0 / first[1])),
                    louder=loudness - first[2],
                    first_sound=first_sound(wave),
                    said=said,
                )
            )
            print(row(found[-1]), flush=True)
    return found


def worst(several: Sequence[Spoken]) -> Spoken:
    """The worst of each figure of one prompt of several recordings."""
    return Spoken(
        name=several[0].name,
        similarity=min(one.similarity for one in several),
        to_first=min(one.to_first for one in several),
        semitones=max((one.semitones for one in several), key=abs),
        louder=max((one.louder for one in several), key=abs),
        first_sound=max(one.first_sound for one in several),
        said="",
    )


HEAD = "prompt                  likeness  to the first  semitones    LU  first sound  warnings"


def row(one: Spoken) -> str:
    """A line of the table."""
    return (
        f"{one.name:24}{one.similarity:8.3f}{one.to_first:14.3f}{one.semitones:+11.2f}"
        f"{one.louder:+6.1f}{one.first_sound:11.2f} s  {one.said}"
    )


def main() -> None:
    parser = arguments("benchmarks.prompts", __doc__)
    parser.add_argument("run", type=Path, help="The folder of a run.")
    parser.add_argument("recordings", type=Path, nargs="+", help="Recordings, each of one voice.")
    parser.add_argument("--text", default=TEXT, help="What is spoken.  [default: a sentence]")
    add_json(parser)
    args = parser.parse_args()
    found: dict[str, list[Spoken]] = {}
    for recording in args.recordings:
        print(f"{recording}\n{HEAD}")
        found[str(recording)] = by_each_prompt(args.run, recording, args.text)
    if len(found) > 1:
        print(f"the worst of {len(found)} recordings\n{HEAD}")
        for several in zip(*found.values(), strict=True):
            print(row(worst(several)))
    write_json(args.json, {name: [asdict(one) for one in rows] for name, rows in found.items()})


if __name__ == "__main__":
    main()
