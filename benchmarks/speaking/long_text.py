"""A long text: do its pieces sound as one, and how soon is it heard?

    python -m benchmarks.long_text RUN PROMPT [--text FILE] [--words 600] [--stream] [--json FILE]

Shown are the loudness and the median F0 of the pieces, pauses at joints beside those between
sentences within pieces (stretches that are 25 dB below the loudest), and the largest step from one
sample to the next near joints beside the largest elsewhere. With --stream `ns2 synthesize -o -`
speaks the text, and the time of the first second of its bytes is compared with the whole time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.command import add_json, arguments, write_json
from ns2.pipeline.sound.measures import median_f0
from ns2.pipeline.sound.pitch import PitchConfig
from ns2.pipeline.sound.quality.lufs import integrated_loudness
from ns2.train.speak.lines import Speech, joined
from ns2.train.speak.speaking import SpeakingOptions
from ns2.train.speak.synthesizer import Synthesizer

TEXT = (
    "The boy was there when the sun rose, and he looked for a boat on the shore. Nothing moved on "
    "the water. Even the birds were quiet, and the wind had gone to sleep behind the hills. He sat "
    "down on a stone. Who would come so early in the morning? His mother had told him to wait for "
    "the old man with the red hat. After an hour a small boat came round the rocks. It was slow, "
    "and it was full of fish. The old man waved, and the boy ran into the water to help him.\n\n"
)
"""A story of 100 words, which is told again and again."""
NEAR = 0.01
"""Seconds around a joint in which a click would be."""


@dataclass(frozen=True)
class Told:
    """A text as it was spoken.

    Attributes:
        whole: all of it.
        pieces: with the pauses before them.
        joints: the samples at which they are joined.
        first_share: the share of the time of speaking that the first piece took.
    """

    whole: Speech
    pieces: list[Speech]
    joints: list[int]
    first_share: float


def tell(voice: Synthesizer, prompt: Path, text: str) -> Told:
    """Speak a text as `ns2 synthesize` does."""
    lines = voice.lines(text, prompt=voice.prompt_of(prompt))
    spoken, took = [], []
    for line in lines:  # as for a stream
        began = time.perf_counter()
        spoken += voice.speak([line], SpeakingOptions().choices())
        took.append(time.perf_counter() - began)
    joints, parts, at = voice.joints(lines), [], []
    for speech, line in zip(spoken, lines, strict=True):
        parts.append(joints.add(speech, line.rest))
        at.append(sum(len(part.wave) for part in parts))
    parts.append(joints.last())
    return Told(joined(parts), parts[:-1], at[:-1], took[0] / sum(took))


def pauses(wave: np.ndarray, rate: int) -> list[tuple[int, int]]:
    """The stretches of a wave (S,), in samples, that are 25 dB below its loudest for 0.1 s."""
    size = rate // 100
    powers = np.square(wave[: len(wave) // size * size]).reshape(-1, size).mean(1)
    loud = np.sort(powers)[-len(powers) // 20 :].mean()
    smooth = np.convolve(powers, np.ones(5) / 5, "same")
    edges = np.flatnonzero(np.diff(smooth < loud * 10**-2.5, prepend=False, append=False))
    return [(a * size, b * size) for a, b in edges.reshape(-1, 2).tolist() if b - a >= 10]


def figures_of(told: Told, voice: Synthesizer) -> dict[str, Any]:
    """The figures of a text that was spoken."""
    wave, rate = told.whole.wave, told.whole.sample_rate
    silences = pauses(wave, rate)
    at_joints = [(b - a) / rate for a, b in silences if any(a <= j <= b for j in told.joints)]
    within = _between_sentences(told.pieces, voice)
    steps = np.abs(np.diff(wave))
    near = np.zeros(len(steps), bool)
    for joint in told.joints:  # the silence that is filled in begins and ends near it
        around = next(((a, b) for a, b in silences if a <= joint <= b), (joint, joint))
        for edge in (*around, joint):
            near[max(0, edge - round(NEAR * rate)) : edge + round(NEAR * rate)] = True
    pitch = PitchConfig(sample_rate=rate)
    f0 = np.array([median_f0(piece.wave, pitch) or np.nan for piece in told.pieces])
    loudness = np.array([integrated_loudness(piece.wave, rate) or np.nan for piece in told.pieces])
    return {
        "seconds": told.whole.seconds,
        "pieces": len(told.pieces),
        "first_share": told.first_share,
        "loudness_range": float(np.nanmax(loudness) - np.nanmin(loudness)),
        "f0_semitones_from_median": float(np.nanmax(np.abs(12 * np.log2(f0 / np.nanmedian(f0))))),
        "pauses_at_joints": at_joints,
        "pauses_within": within,
        "step_near_joints": float(steps[near].max(initial=0)),
        "step_elsewhere": float(steps[~near].max()),
    }


def _between_sentences(pieces: Sequence[Speech], voice: Synthesizer) -> list[float]:
    """The pauses in seconds between sentences within pieces, in what is heard."""
    found = []
    for piece in pieces:
        hop = voice.grid.hop_length
        ends = np.cumsum(piece.durations) * hop
        symbols = voice.table.symbols(piece.phonemes)
        marks = [int(ends[i]) for i, token in enumerate(symbols[:-2]) if token in ".?!"]
        for a, b in pauses(piece.wave, piece.sample_rate):
            if any(a - 2 * hop <= mark <= b + 2 * hop for mark in marks):
                found.append((b - a) / piece.sample_rate)
    return found


def stream(run: Path, prompt: Path, text: str, rate: int) -> dict[str, float]:
    """The seconds until the first bytes of speech and until the last, with and without loading."""
    command = [sys.executable, "-m", "ns2.cli", "synthesize", str(run), text, "-o", "-"]
    began = time.perf_counter()
    with subprocess.Popen([*command, "--prompt", str(prompt)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(44 + rate // 5)
        first = time.perf_counter() - began
        while process.stdout.read(1 << 16):
            pass
        last = time.perf_counter() - began
    return {"first": first, "last": last}


def main() -> None:
    parser = arguments("benchmarks.long_text", __doc__)
    add = parser.add_argument
    add("run", type=Path, help="The folder of a run.")
    add("prompt", type=Path, help="A recording of a voice.")
    add("--text", type=Path, help="A text file.  [default: a story, told again and again]")
    add("--words", type=int, default=600, help="The words that are spoken.  [default: 600]")
    add("--stream", action="store_true", help="Speak to standard output, too.")
    add_json(parser)
    args = parser.parse_args()
    text = args.text.read_text("utf-8") if args.text else TEXT * (args.words // len(TEXT.split()))
    voice = Synthesizer.open(args.run)
    found = figures_of(tell(voice, args.prompt, text), voice)
    joints, within = found["pauses_at_joints"], found["pauses_within"]
    print(
        f"{len(text.split())} words, {found['pieces']} pieces, {found['seconds']:.0f} s of speech"
    )
    print(f"loudness of pieces: within {found['loudness_range']:.1f} LU")
    print(
        f"median F0 of pieces: within {found['f0_semitones_from_median']:.2f} semitones of theirs"
    )
    for name, values in (("at joints", joints), ("between sentences within", within)):
        if values:
            low, middle, high = np.percentile(values, [0, 50, 100])
            print(f"pauses {name}: {len(values)}, {low:.2f} to {high:.2f} s, median {middle:.2f} s")
    print(
        f"largest step near joints: {found['step_near_joints']:.3f}, elsewhere "
        f"{found['step_elsewhere']:.3f}"
    )
    print(f"the first piece is there after {found['first_share']:.1%} of the time of speaking")
    if args.stream:
        found |= stream(args.run, args.prompt, text, voice.facts.sample_rate)
        share = found["first"] / found["last"]
        print(
            f"streamed: first bytes after {found['first']:.1f} s, all after {found['last']:.1f} s "
            f"({share:.0%}), both with the loading of the model"
        )
    write_json(args.json, found)


if __name__ == "__main__":
    main()
