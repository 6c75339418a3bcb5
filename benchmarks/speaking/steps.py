"""What fewer sampling steps cost: how well a trained run speaks by sampler and number of steps.

    python -m benchmarks.steps RUN DATASET [--sampler dpm++:log_snr:6 ...] [--seeds 3]
        [--limit 20] [--wer] [--mos] [--json FILE]

Each row speaks the same held-out utterances with the same noise, as `ns2 evaluate` does, with true
durations and pitch and from text and prompt alone. Shown are the wrong phones of both, the wrong
words, DNSMOS and the error of F0; and how many phones more than with the last sampler are wrong,
with the interval (95 %) of that difference over utterances, since both speak the same ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.command import add_json, arguments, write_json
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.evaluator import FULL, TRUE, Evaluator, Result
from ns2.train.evaluation.figures import summary
from ns2.train.evaluation.judges.whisper_base import WHISPER_BASE
from ns2.train.speak.synthesizer import Synthesizer

SAMPLERS = (
    *(f"dpm++:log_snr:{n}" for n in (4, 6, 10, 20)),
    *(f"dpm++:time:{n}" for n in (6, 10, 20)),
    *(f"euler:time:{n}" for n in (20, 50)),
    "dpm++:time:50",
    "dpm++:log_snr:50",
)
"""The samplers that are compared unless others are named; the last one is what all aim at."""
DRAWS = 2000
"""The draws of utterances of the bootstrap."""


def sampler_of(text: str) -> SamplerConfig:
    """Parse a sampler, its spacing and its steps, such as "dpm++:log_snr:6"."""
    kind, spacing, steps = text.split(":")
    return SamplerConfig(kind=kind, spacing=spacing, steps=int(steps))  # type: ignore[arg-type]


def measured(
    run: Synthesizer, dataset: Dataset, sampler: SamplerConfig, args: argparse.Namespace
) -> list[Result]:
    """Speak and measure the utterances with one sampler, with each seed."""
    results: list[Result] = []
    for seed in range(args.seeds):
        config = EvaluateConfig(
            sampler=sampler.kind,
            steps=sampler.steps,
            spacing=sampler.spacing,
            limit=args.limit,
            seed=seed,
            recogniser=WHISPER_BASE if args.wer else "",
            mos=args.mos and seed == 0,
        )
        evaluator = Evaluator(
            synthesizer=run,
            dataset=dataset,
            config=config,
            versions=frozenset({TRUE, FULL}),
            judged=frozenset({FULL}),
        )
        results += [result for result, _ in evaluator.run(evaluator.utterances())]
    return results


def difference(one: Sequence[Result], other: Sequence[Result], name: str) -> tuple[float, ...]:
    """How many per cent of phones more are wrong in `one`: the mean and the interval (95 %)."""
    sizes = np.array([len(result.phones) for result in one])
    more = np.array(
        [a.versions[name].errors - b.versions[name].errors for a, b in zip(one, other, strict=True)]
    )
    chosen = np.random.default_rng(0).integers(0, len(one), (DRAWS, len(one)))
    drawn = more[chosen].sum(1) / sizes[chosen].sum(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return tuple(float(100 * x) for x in (more.sum() / sizes.sum(), low, high))


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = arguments("benchmarks.steps", __doc__)
    add = parser.add_argument
    add("run", type=Path, help="The folder of a run.")
    add("dataset", type=Path, help="The dataset that it was trained on.")
    add(
        "--sampler",
        nargs="+",
        default=list(SAMPLERS),
        metavar="KIND:SPACING:STEPS",
        help="The samplers; the others are compared with the last one.",
    )
    add("--seeds", type=int, default=3, help="The seeds of the noise.  [default: %(default)s]")
    add("--limit", type=int, default=20, help="The most utterances.  [default: %(default)s]")
    add("--wer", action="store_true", help="Whisper base counts wrong words.")
    add("--mos", action="store_true", help="DNSMOS judges the speech.")
    add_json(parser)
    return parser.parse_args()


def row(results: Sequence[Result], dataset: Dataset, known: frozenset[str]) -> dict[str, Any]:
    """The figures of one sampler: those of `ns2 evaluate` for both versions."""
    versions: dict[str, Any] = summary(results, dataset.grid, known)["versions"]
    return versions


def line(name: str, figures: dict[str, Any], more: Sequence[float]) -> str:
    """A row of the table."""
    true, full = figures[TRUE], figures[FULL]
    words = f"{full['word_error_rate']:7.1%}" if "word_error_rate" in full else "      -"
    mos = full.get("mos")
    heard = f"{mos['signal']:7.2f}{mos['p808']:7.2f}" if mos else "      -      -"
    return (
        f"{name:18}{true['phone_error_rate']:7.1%}{full['phone_error_rate']:7.1%}"
        f"{more[0]:+7.1f} ({more[1]:+.1f} to {more[2]:+.1f}){words}{heard}"
        f"{true['pitch']['rmse_semitones']:7.2f}{true['pitch']['voicing_error']:7.1%}"
        f"{true['log_mel_l1']:7.3f}"
    )


def main() -> None:
    args = parsed()
    run, dataset = Synthesizer.open(args.run), Dataset(args.dataset)
    spoken: dict[str, list[Result]] = {}
    for name in (args.sampler[-1], *args.sampler[:-1]):
        spoken[name] = measured(run, dataset, sampler_of(name), args)
        print(f"{name} measured", flush=True)
    last = spoken[args.sampler[-1]]
    known = frozenset(phone for result in last for phone in result.phones)
    print("true, text: phones wrong with true durations and pitch, and from text and prompt alone")
    print(
        "sampler              true   text  more than the last   words signal  P.808 F0 RMSE  "
        "voicing log-mel"
    )
    figures = []
    for name in args.sampler:
        values = row(spoken[name], dataset, known)
        more = {version: difference(spoken[name], last, version) for version in (TRUE, FULL)}
        figures.append({"sampler": asdict(sampler_of(name)), "versions": values, "more": more})
        print(line(name, values, more[FULL]))
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
