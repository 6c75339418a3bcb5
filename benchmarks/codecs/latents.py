"""How well a small model learns the latents of codecs in the same steps: how codecs are chosen.

    python -m benchmarks.latents --codec mini --codec FILE [--steps 640 | --minutes 4]
        [--seed 0 1] [--corpus DIR] [--preset demo] [--workers N] [--json FILE]

A codec whose copies are good may have latents that a model learns badly, so codecs are compared by
what a model makes of them. For each codec a dataset is made of the same corpus, the same preset is
trained with the same seeds on the same utterances in the same order, and then it speaks held-out
sentences: with true durations and pitch, and from text and prompt alone. These, the recordings and
the codec's copies are measured by `ns2 evaluate`: phones wrong, voiced frames, voicing and F0
against the recording, and log-mel distance. With several seeds the figures are means.

Without --corpus espeak-ng speaks the corpus of `ns2 demo`, smaller: --utterances sentences in 30
voices to learn, and twenty in two other voices that are held out. Another corpus needs utterances
of split val, or has them drawn by `ns2 preprocess`.

All files are in --work, and what is there already is not made again.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from benchmarks.codecs.latents_work import Device, Learner, Settings, demo_corpus, learned
from benchmarks.support.command import add_json, add_work, arguments, write_json
from benchmarks.support.machine import machine, show_machine
from ns2.model.codec.interface import CodecError
from ns2.model.tts.presets import PRESETS
from ns2.pipeline.core.errors import UserError
from ns2.train.evaluation.evaluator import VERSIONS

_COLUMNS = (
    ("phones wrong", ("phone_error_rate",), "{:.1%}"),
    ("voiced", ("voiced_share",), "{:.1%}"),
    ("voicing wrong", ("pitch", "voicing_error"), "{:.1%}"),
    ("F0, cents", ("pitch", "median_cents"), "{:.1f}"),
    ("F0 RMSE, st", ("pitch", "rmse_semitones"), "{:.2f}"),
    ("log-mel", ("log_mel_l1",), "{:.3f}"),
)
"""The columns of the table: title, path of the figure in a version's figures, form."""


def parsed(given: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = arguments("benchmarks.latents", __doc__)
    add = parser.add_argument
    cores = min(8, len(os.sched_getaffinity(0)))
    add(
        "--codec",
        action="append",
        metavar="NAME|FILE",
        help="A codec by name, or the file of a trained one; may be repeated.  [default: mini]",
    )
    add("--corpus", type=Path, metavar="DIR", help="Another corpus than the one of espeak-ng.")
    add(
        "--utterances",
        type=int,
        default=600,
        help="The number of sentences that espeak-ng speaks to learn.  [default: %(default)s]",
    )
    add(
        "--preset",
        choices=list(PRESETS),
        default="demo",
        help="The preset of the model that learns.  [default: %(default)s]",
    )
    add(
        "--steps",
        type=int,
        default=640,
        help="The number of training steps.  [default: %(default)s]",
    )
    add(
        "--minutes",
        type=float,
        help="The minutes of training instead of steps, which are measured for each codec.",
    )
    add(
        "--seed",
        type=int,
        nargs="+",
        default=[0],
        help="The seeds of models and noise, one training each.  [default: 0]",
    )
    add(
        "--limit",
        type=int,
        default=20,
        help="The number of held-out sentences, at most.  [default: %(default)s]",
    )
    add(
        "--workers",
        type=int,
        default=cores,
        help="The number of processes that make datasets and train.  [default: all cores, 8 at "
        "most]",
    )
    add(
        "--device",
        choices=get_args(Device),
        default="cpu",
        help="The torch device that learns and speaks.  [default: %(default)s]",
    )
    add_work(parser)
    add_json(parser)
    args = parser.parse_args(given)
    args.codec = args.codec or ["mini"]
    return args


def together(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return the means over runs of the columns' figures, by version."""
    names = [name for name in VERSIONS if name in runs[0]["versions"]]
    return {
        name: {
            title: _mean([_at(run["versions"][name], path) for run in runs])
            for title, path, _ in _COLUMNS
        }
        for name in names
    }


def _at(values: dict[str, Any], path: Sequence[str]) -> float | None:
    found: Any = values
    for name in path:
        found = None if found is None else found.get(name)
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def render(name: str, codec: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a codec's table."""
    steps = ", ".join(str(run["steps"]) for run in codec["runs"])
    seconds = ", ".join(f"{run['training_seconds']:.0f}" for run in codec["runs"])
    yield (
        f"\n{name}: D {codec['latent_dim']}, Q {codec['quantizers']}, "
        f"{codec['bit_rate'] / 1000:g} kbit/s; {steps} steps in {seconds} s"
    )
    width = max(map(len, VERSIONS.values()))
    yield " " * width + "".join(f"{title:>15}" for title, _, _ in _COLUMNS)
    for version, values in codec["versions"].items():
        cells = (
            "-" if (value := values[title]) is None else form.format(value)
            for title, _, form in _COLUMNS
        )
        yield f"{VERSIONS[version]:<{width}}" + "".join(f"{cell:>15}" for cell in cells)


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    args = parsed(given)
    about = machine()
    show_machine(about, args.workers)
    began = time.monotonic()
    try:
        if args.corpus is None:
            args.corpus = demo_corpus(args.work, args.utterances, args.workers)
        settings = Settings(
            corpus=args.corpus.resolve(),
            work=args.work.resolve(),
            preset=args.preset,
            steps=args.steps,
            minutes=args.minutes,
            limit=args.limit,
            workers=args.workers,
            device=args.device,
        )
        learners = [Learner.of(codec, settings) for codec in args.codec]
        codecs: dict[str, Any] = {}

        # Seeds take turns, so that whatever slows the machine slows all codecs.
        runs: dict[str, list[dict[str, Any]]] = {learner.name: [] for learner in learners}
        for seed in args.seed:
            for learner in learners:
                runs[learner.name].append(learned(learner, seed))
        for learner in learners:
            done = runs[learner.name]
            codecs[learner.name] = {**learner.about, "runs": done, "versions": together(done)}
    except (UserError, CodecError) as error:
        raise SystemExit(f"error: {error}") from error
    for name, codec in codecs.items():
        for line in render(name, codec):
            print(line)
    seconds = time.monotonic() - began
    print(f"\nmeasured in {seconds:.0f} s")
    write_json(args.json, {"machine": about, "codecs": codecs, "measuring_seconds": seconds})


if __name__ == "__main__":
    main()
