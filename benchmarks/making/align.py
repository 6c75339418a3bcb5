"""The aligner: the cost of training and alignment, its search beside others, and its errors.

    python -m benchmarks.align [--minutes 60] [--workers N] [--out DIR]

espeak-ng synthesises speech with known phone borders, once; it stays in `--out`, beside
`align.json` with the figures. Other files are removed at the end. Run nothing else meanwhile: all
figures are of one run.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.making.preprocess import check_written
from benchmarks.making.search import LARGE
from benchmarks.support.command import ROOT, Run, arguments, folders, part, preprocess
from benchmarks.support.corpus import Spoken, spoken
from benchmarks.support.machine import machine, show_machine, verdict

SECONDS_AN_HOUR = 360.0
"""The limit of training and alignment, in seconds for an hour of speech on two cores."""
REAL_TIME_LIMIT = 2000.0
"""The speed that the search has to reach, in multiples of real time."""
LARGE_LIMIT = 200e6
"""The limit of the search's memory for the large case, in bytes."""
SEARCHES = {
    "ns2": "ns2, monotonic_search",
    "torchaudio": "torchaudio, forced_align",
    "numpy": "numpy, a loop over frames",
}


def measure(args: argparse.Namespace, folder: Path, scratch: Path) -> dict[str, Any]:
    """Measure everything and print each part when it is finished; return JSON values."""
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.pipeline.tools.align_eval.against_truth import evaluate

    workers = args.workers if args.executor == "ray" else 1
    figures: dict[str, Any] = {"machine": machine(), "workers": workers}
    show_machine(figures["machine"], workers)
    corpus = spoken(args.out, args.minutes)
    figures["corpus"] = {"seconds": corpus.seconds, "utterances": corpus.utterances}
    print(
        f"corpus      {corpus.seconds / 60:.1f} min in {corpus.utterances} utterances, spoken by "
        f"espeak-ng\n",
        flush=True,
    )

    out = folder / "dataset"
    whole = [str(corpus.root), "-o", str(out), "--executor", args.executor]
    whole += ["--workers", str(workers)] if args.executor == "ray" else []
    for columns in ("mel,phonemes", "mel,phonemes,durations"):
        log = args.out / f"align-{columns.count(',') + 1}.log"
        run = preprocess([*whole, "--columns", columns], scratch, log, memory=True)
        check_written(out, corpus)
    figures["command"] = asdict(run)
    figures["cost"] = cost = costs(run, corpus)
    show_cost(run, cost, corpus)

    ask = ["--corpus", str(corpus.root), "--dataset", str(out)]
    ask += ["--seconds", str(60 * args.sample_minutes)]
    figures["search"] = search = part(ask, scratch, module="benchmarks.search")[0]
    show_search(search)

    figures["errors"] = errors = evaluate(Dataset(out), corpus.root / "truth.jsonl")
    show_errors(errors)
    figures["passed"] = {
        "cost": cost["ratio"] <= 1,
        "search": search["ns2"]["times_real_time"] >= REAL_TIME_LIMIT,
        "memory of the search": search["ns2"]["large_bytes"] <= LARGE_LIMIT,
    }
    return figures


def costs(run: Run, corpus: Spoken) -> dict[str, float]:
    """Return the cost of durations, in seconds per hour of speech, without mel and phonemes."""
    hours = corpus.seconds / 3600
    return {
        "command": run.wall / hours,
        "training": run.seconds("training") / hours,
        "durations": run.stages.get("durations", 0.0) / hours,
        "limit": SECONDS_AN_HOUR,
        "ratio": run.wall / hours / SECONDS_AN_HOUR,
        "peak_bytes": run.all,
    }


def show_cost(run: Run, cost: Mapping[str, float], corpus: Spoken) -> None:
    print("(a) training and alignment, with mel and phonemes made before, seconds")
    print(f"    {'':<46}{'here':>9}{'an hour':>9}")
    print(f"    {'the whole command':<46}{run.wall:>9.1f}{cost['command']:>9.1f}")
    print(
        f"    {'training the aligner':<46}{run.seconds('training'):>9.1f}{cost['training']:>9.1f}"
    )
    stage = run.stages.get("durations", 0.0)
    print(f"    {'alignment, on all workers together':<46}{stage:>9.1f}{cost['durations']:>9.1f}")
    print(
        f"    ratio of the whole command to {SECONDS_AN_HOUR:.0f} s an hour (for 2 cores)"
        f"{cost['ratio']:>10.3f}  {verdict(cost['ratio'] <= 1)}"
    )
    print(
        f"    peak memory ({run.measure}): driver {run.driver / 1e6:.0f} MB, all processes "
        f"{run.all / 1e6:.0f} MB; sampling took {run.sampling:.1%} of a core\n",
        flush=True,
    )


def show_search(found: Mapping[str, Any]) -> None:
    ours = found["ns2"]
    print(
        f"(b) the search alone on one core, {ours['sample_seconds'] / 60:.1f} min in "
        f"{ours['utterances']} utterances of {found['mean_frames']:.0f} frames and "
        f"{found['mean_states']:.0f} states"
    )
    print(f"    {'':<28}{'times real time':>16}{'to limit':>10}{'of ns2':>8}{'MB':>7}")
    for name, title in SEARCHES.items():
        if name not in found:
            continue
        speed, mega = found[name]["times_real_time"], found[name]["large_bytes"] / 1e6
        shares = speed / REAL_TIME_LIMIT, speed / ours["times_real_time"]
        row = f"{speed:>16,.0f}{shares[0]:>10.2f}{shares[1]:>8.2f}"
        good = f"  {verdict(speed >= REAL_TIME_LIMIT)}" if name == "ns2" else ""
        print(f"    {title:<28}{row}{mega:>7.1f}{good}")
    frames, tokens = LARGE
    print(
        f"    MB is the peak of {frames} frames x {tokens} tokens beside their scores, limit "
        f"{LARGE_LIMIT / 1e6:.0f}: {verdict(ours['large_bytes'] <= LARGE_LIMIT)}\n",
        flush=True,
    )


def show_errors(found: Mapping[str, Any]) -> None:
    from ns2.pipeline.tools.align_eval.error_tables import render

    print("(c) errors of the durations, as `ns2 align-eval` reports them\n")
    print(render(found), flush=True)


def main() -> None:
    parser = arguments("benchmarks.align", __doc__)
    add = parser.add_argument
    add(
        "--minutes",
        type=float,
        default=60.0,
        help="The least minutes of speech in the corpus.  [default: %(default)g]",
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="The number of worker processes.  [default: all cores]",
    )
    add(
        "--executor",
        choices=("ray", "inline"),
        default="ray",
        help="The executor; inline uses one core and no Ray.  [default: %(default)s]",
    )
    add(
        "--out",
        type=Path,
        default=ROOT / "build" / "benchmark",
        help="The folder of the corpus and the figures.  [default: build/benchmark]",
    )
    add(
        "--sample-minutes",
        type=float,
        default=10.0,
        help="The minutes of speech for the search.  [default: %(default)g]",
    )
    args = parser.parse_args()
    args.out = args.out.absolute()
    with folders(args.out) as (folder, scratch):
        figures = measure(args, folder, scratch)
    (args.out / "align.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
