"""How well a trained run follows voice, pitch and speed, measured with ten synthesised prompts.

    python -m benchmarks.voices RUN [--json FILE]

espeak-ng speaks the prompts in high and low voices. With each prompt the run generates the same
sentences plainly, three semitones higher, and twice as fast. Reported are the rank correlation of
the median F0 of prompts and outputs, the rise of the median, and the relative length of the fast
sentences. The pitch of outputs is extracted as for a dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.support.command import add_json, arguments, write_json
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.sound.pitch import extract_f0
from ns2.train.speak.lines import Line, Speech
from ns2.train.speak.synthesizer import Synthesizer

PROMPTS = (
    ("en-us+m8", 20), ("en-us", 20), ("en-us+m7", 30), ("en-us+m1", 50), ("en-us+m3", 65),
    ("en-us+m7", 80), ("en-us+f1", 35), ("en-us+f1", 60), ("en-us+shelby", 60), ("en-us+anika", 45),
)  # fmt: skip
"""Voices with their pitch; m7, f1 and shelby are not in the training data of the demo."""
PROMPT = "It cost 250 crowns, which was far too much."
TEXTS = (
    "The old bridge creaks when heavy carts roll over it.",
    "Why would anyone paint a perfectly good door purple?",
    "Their father breathes deeply and then goes on rowing.",
)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """The figures of one prompt: median F0 in Hz, the rise in semitones, the length when fast."""

    voice: str
    prompt_hz: float
    output_hz: float
    higher_semitones: float
    fast_length: float


def main() -> None:
    parser = arguments("benchmarks.voices", __doc__)
    add = parser.add_argument
    add("run", type=Path, help="The folder of a run.")
    add("--sampler", default="dpm++", help="The kind of sampler.  [default: %(default)s]")
    add("--steps", type=int, default=20, help="The sampler's steps.  [default: %(default)s]")
    add(
        "--temperature",
        type=float,
        default=1.2,
        help="The sampler's temperature.  [default: %(default)g]",
    )
    add_json(parser)
    args = parser.parse_args()
    sampler = SamplerConfig(kind=args.sampler, steps=args.steps, temperature=args.temperature)
    run = Synthesizer.open(args.run)
    found = [measure(run, voice, pitch, sampler) for voice, pitch in PROMPTS]
    print("voice               prompt  output   +3 semitones   speed 2")
    for voice in found:
        print(
            f"{voice.voice:18} {voice.prompt_hz:4.0f} Hz {voice.output_hz:4.0f} Hz "
            f"{voice.higher_semitones:+11.2f} {voice.fast_length:13.3f}"
        )
    if any(np.isnan(voice.output_hz) for voice in found):
        parser.exit(1, "an output has no voiced frames, so its pitch is unknown\n")
    correlation = spearman([v.prompt_hz for v in found], [v.output_hz for v in found])
    risen = float(np.median([v.higher_semitones for v in found]))
    print(f"rank correlation {correlation:.2f}; pitch rises by {risen:.2f} semitones (median)")
    figures = {"correlation": correlation, "semitones": risen}
    write_json(args.json, {**figures, "voices": [asdict(v) for v in found]})


def measure(run: Synthesizer, voice: str, pitch: int, sampler: SamplerConfig) -> Voice:
    """Generate all sentences with one prompt, in three ways, and measure them."""
    samples, rate, _ = speak(PROMPT, voice, pitch=pitch)
    wave = resample(samples.astype(np.float32) / 2**15, rate, run.facts.sample_rate)
    prompt = run.encode_prompt(wave, run.facts.sample_rate)
    lines = [
        Line(phonemes=run.ids(text), seed=seed, prompt=prompt) for seed, text in enumerate(TEXTS)
    ]
    plain = run.speak(lines, Choices(sampler=sampler))
    higher = run.speak(lines, Choices(sampler=sampler, semitones=3.0))
    fast = run.speak(lines, Choices(sampler=sampler, speed=2.0))
    hz = median_f0(plain, run)
    return Voice(
        voice=f"{voice} at {pitch}",
        prompt_hz=median_of([wave], run),
        output_hz=hz,
        higher_semitones=12 * float(np.log2(median_f0(higher, run) / hz)),
        fast_length=sum(s.seconds for s in fast) / sum(s.seconds for s in plain),
    )


def median_f0(spoken: Sequence[Speech], run: Synthesizer) -> float:
    """Return the median F0 in Hz of the voiced frames of speech."""
    return median_of([speech.wave for speech in spoken], run)


def median_of(waves: Sequence[np.ndarray], run: Synthesizer) -> float:
    """Return the median F0 in Hz of waves at the run's rate; NaN if no frame is voiced."""
    f0 = np.concatenate([extract_f0(wave, run.facts.pitch_config()) for wave in waves])
    return float(np.median(f0[f0 > 0])) if (f0 > 0).any() else float("nan")


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the rank correlation of values without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
