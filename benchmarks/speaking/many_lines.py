"""Many lines spoken by one process: its memory, and its speed beside lines one at a time.

    python -m benchmarks.many_lines RUN PROMPT [--lines 200] [--json FILE]

Lines of different lengths are spoken as `ns2 synthesize --text-file` speaks them. Shown is how much
the resident memory grows from a fifth of the lines on, which are enough for all caches to fill, and
the largest difference of samples to the same lines spoken one at a time (of the first 20).
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.support.command import add_json, arguments, write_json
from ns2.train.speak.jobs import jobs_of, speak_jobs
from ns2.train.speak.output import full_scale_gain
from ns2.train.speak.speaking import SynthesizeOptions
from ns2.train.speak.synthesizer import Synthesizer

WORDS = (
    *("the", "boy", "was", "there", "when", "a", "small", "boat", "came", "round", "rocks", "and"),
    *("an", "old", "man", "waved", "at", "birds", "that", "had", "been", "quiet", "since", "hills"),
)
ALONE = 20
"""The lines that are spoken one at a time, too."""


def texts(count: int) -> list[str]:
    """Lines of 3 to 24 words."""
    rng = np.random.default_rng(0)
    return [
        " ".join(rng.choice(WORDS, rng.integers(3, 25))).capitalize() + "." for _ in range(count)
    ]


def resident_bytes() -> int:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    parser = arguments("benchmarks.many_lines", __doc__)
    parser.add_argument("run", type=Path, help="The folder of a run.")
    parser.add_argument("prompt", type=Path, help="A recording of a voice.")
    parser.add_argument("--lines", type=int, default=200, help="How many.  [default: 200]")
    add_json(parser)
    args = parser.parse_args()
    resident: list[int] = []
    voice = Synthesizer.open(args.run)
    prompt = voice.prompt_of(args.prompt)
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "lines.txt", Path(folder) / "out"
        file.write_text("\n".join(texts(args.lines)), "utf-8")
        options = SynthesizeOptions(text_file=file, out=out)
        jobs, _ = jobs_of(voice, options, prompt)
        began, seconds = time.perf_counter(), 0.0
        for first in range(0, len(jobs), ALONE):
            timing = speak_jobs(voice, jobs[first : first + ALONE], options, options.choices())
            resident.append(resident_bytes())
            seconds += timing.seconds
        took = time.perf_counter() - began
        largest = 0.0
        began = time.perf_counter()
        for job in jobs[:ALONE]:
            wave, _ = soundfile.read(job.out, dtype="float32")
            alone = voice.speak_as_one([job.lines], options.choices())[0].wave
            alone *= full_scale_gain(alone)  # as files are
            largest = max(largest, float(np.abs(alone - wave).max()))
        one = time.perf_counter() - began
    grown = max(resident[len(resident) // 5 :]) - resident[len(resident) // 5]
    print(
        f"{args.lines} lines, {seconds:.0f} s of speech in {took:.0f} s; resident memory "
        f"{resident[-1] / 1e6:.0f} MB, which grew by {grown / 1e6:.1f} MB; {ALONE} lines one at a "
        f"time took {one:.1f} s, and differ by {largest:.1e} at most"
    )
    write_json(args.json, {"resident": resident, "grown": grown, "difference": largest})


if __name__ == "__main__":
    main()
