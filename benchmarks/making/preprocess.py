"""`ns2 preprocess` beside the bare kernels and a plain loop, and its memory.

    python -m benchmarks.preprocess [--minutes 40] [--workers N] [--memory] [--json FILE]

espeak-ng synthesises a corpus and EnCodec's weights are seeded, once; both stay in `--work`. Other
files are removed at the end. Run nothing else meanwhile: the figures are ratios within one run, and
a disturbance of only a part of it distorts them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.support.command import (
    Run,
    add_json,
    add_work,
    arguments,
    folders,
    part,
    preprocess,
    write_json,
)
from benchmarks.support.corpus import Spoken, spoken, weights
from benchmarks.support.machine import machine, show_machine, verdict

RATIO_LIMIT = 0.85
"""The least ratio of the command's speed to that of the bare kernels."""
GROWTH_LIMIT = 1.1
"""The largest ratio of peaks, which by chance differ by a few percent between two equal runs."""
MEMORY_COLUMNS = "mel,f0,phonemes,meta,durations"
MEMORY_SHARD = 64
"""Utterances in a shard where memory is compared, so that the short corpus has several too."""
MEASURED_SECONDS = 60
"""The audio by which the stages of `--quality` are measured; DNSMOS takes long."""
KERNELS = {
    "audio": "decode, resample to 24 kHz",
    "phonemes": "phonemes (espeak-ng), ids",
    "mel": "mel",
    "f0": "f0 (DIO, StoneMask, voicing)",
    "codes": "codes (EnCodec, 16 quantizers)",
    "alignment": "alignment (monotonic search)",
}
STAGES = {"phonemes": ("tokens", "phonemes"), "alignment": ("durations",)}


def together(speeds: Iterable[float]) -> float:
    """Return the speed of one core that runs all kernels one after the other."""
    return 1 / sum(1 / speed for speed in speeds)


def measure(args: argparse.Namespace, folder: Path, scratch: Path) -> dict[str, Any]:
    """Measure everything and print each part when it is finished; return JSON values."""
    figures: dict[str, Any] = {"machine": machine(), "workers": args.workers}
    show_machine(figures["machine"], args.workers)
    corpus = spoken(args.work, args.minutes)
    state = weights(args.work, corpus)
    figures["corpus"] = {"seconds": corpus.seconds, "utterances": corpus.utterances}
    print(
        f"corpus      {corpus.seconds / 60:.1f} min in {corpus.utterances} utterances, spoken by "
        f"espeak-ng; EnCodec's weights are seeded\n",
        flush=True,
    )

    figures["ray"] = part(["ray", "--workers", str(args.workers)], scratch)[0]
    out = folder / "dataset"
    options = ["--executor", "ray", "--workers", str(args.workers)]
    whole = [str(corpus.root), "--codec-weights", str(state), *options, "-o"]
    run = preprocess([*whole, str(out)], scratch, args.work / "timed.log", memory=False)
    check_written(out, corpus)
    figures["command"] = asdict(run)

    ask = ["kernels", "--corpus", str(corpus.root), "--weights", str(state)]
    ask += ["--aligner", str(aligner_file(out)), "--seconds", str(60 * args.sample_minutes)]
    alone = part(ask, scratch)[0]
    crowd = part(ask, scratch, args.workers) if args.workers > 1 else [alone]
    speeds = alone["speeds"]
    figures["kernels"], figures["kernels_at_once"] = alone, crowd
    show_kernels(alone, crowd, run, corpus, args.workers)
    show_command(run, figures["ray"], alone["set_up_seconds"])

    figures["ratio"] = ratio = ratios(run, figures["ray"], corpus, speeds, crowd, args.workers)
    show_ratio(ratio, args.workers)
    shutil.rmtree(out)

    (folder / "serial").mkdir()
    ask = ["serial", "--corpus", str(corpus.root), "--weights", str(state)]
    loop = part([*ask, "--out", str(folder / "serial")], scratch)[0]
    shutil.rmtree(folder / "serial")
    loop["wall"] = loop["set_up_seconds"] + loop["loop_seconds"]
    figures["serial"] = loop
    show_serial(loop, run, corpus, speeds, args.workers)

    ask = ["measures", "--corpus", str(corpus.root), "--seconds", str(MEASURED_SECONDS)]
    figures["measures"] = part(ask, scratch)[0]
    show_measures(figures["measures"])

    again = preprocess([*whole, str(out)], scratch, args.work / "memory.log", memory=True)
    shutil.rmtree(out)
    figures["command_sampled"] = asdict(again)
    show_memory("(f) peak memory of (b) done again", again)
    if args.memory:
        figures["memory"] = compare_memory(args, folder, scratch, state, options)
    return figures


def ratios(
    run: Run,
    ray: Mapping[str, float],
    corpus: Spoken,
    speeds: Mapping[str, float],
    crowd: list[dict[str, Any]],
    workers: int,
) -> dict[str, float]:
    """Return the speed of the command's making, that of the bare kernels, and their ratios."""
    making = run.seconds("making")
    allowed = workers * together(speeds.values())
    at_once = sum(together(one["speeds"].values()) for one in crowd)
    # Ray is imported and started, with its first actor, within the first making phase.
    achieved = corpus.seconds / (making - ray["all"])
    return {
        "making_seconds": making,
        "allowed": allowed,
        "allowed_at_once": at_once,
        "achieved": achieved,
        "achieved_with_ray_start": corpus.seconds / making,
        "ratio": achieved / allowed,
        "ratio_at_once": achieved / at_once,
        "ratio_with_ray_start": corpus.seconds / making / allowed,
    }


def compare_memory(
    args: argparse.Namespace, folder: Path, scratch: Path, state: Path, options: list[str]
) -> dict[str, Any]:
    """Compare the peaks of the corpus and of one 4 times as long, with the same options."""
    options = [*options, "--shard-utterances", str(MEMORY_SHARD), "--columns", args.memory_columns]
    if "codes" in args.memory_columns.split(","):
        options += ["--codec-weights", str(state)]
    runs = []
    for times in (1, 4):
        corpus, out = spoken(args.work, times * args.minutes), folder / f"memory-{times}"
        log = args.work / f"memory-{times}.log"
        runs.append(
            preprocess([str(corpus.root), "-o", str(out), *options], scratch, log, memory=True)
        )
        check_written(out, corpus)
        shutil.rmtree(out)
        title = (
            f"    {corpus.seconds / 60:.1f} min, {args.memory_columns}, shards of {MEMORY_SHARD}"
        )
        show_memory(title, runs[-1])
    growth: dict[str, float] = {}
    print(f"    growth of peaks when the corpus is 4 times as long (limit {GROWTH_LIMIT:.2f})")
    for name, chosen in (("all phases", ""), ("making", "making")):
        for what in ("driver", "all"):
            small, large = (
                max(getattr(p, what) for p in run.phases if p.name.startswith(chosen))
                for run in runs
            )
            growth[f"{what}, {name}"] = large / small
            print(
                f"      {what + ', ' + name:<22}{large / small:>6.2f}  "
                f"{verdict(large / small <= GROWTH_LIMIT)}"
            )
    return {"runs": [asdict(run) for run in runs], "growth": growth}


def check_written(out: Path, corpus: Spoken) -> None:
    """Exit if not all utterances were written."""
    counts = json.loads((out / "dataset.json").read_text())["counts"]
    if counts["written"] != corpus.utterances:
        raise SystemExit(f"{counts['written']} of {corpus.utterances} utterances were written")


def aligner_file(out: Path) -> Path:
    """Return the file of the aligner that a run trained."""
    from ns2.pipeline.dataset.reader import Dataset

    return Dataset(out).asset("aligner")


def show_kernels(
    alone: Mapping[str, Any],
    crowd: list[dict[str, Any]],
    run: Run,
    corpus: Spoken,
    workers: int,
) -> None:
    print(
        f"(a) bare kernels on one core, times real time: {alone['sample_seconds'] / 60:.1f} min in "
        f"{alone['utterances']} utterances, median of 3 passes"
    )
    print(f"    {'':<32}{'alone':>8}{f'{workers} at once':>12}{'in workers':>12}")
    for name, speed in alone["speeds"].items():
        seconds = sum(run.stages.get(stage, 0.0) for stage in STAGES.get(name, (name,)))
        inside = f"{corpus.seconds / seconds:.1f}" if seconds else "-"
        mean = sum(one["speeds"][name] for one in crowd) / len(crowd)
        print(f"    {KERNELS[name]:<32}{speed:>8.1f}{mean:>12.1f}{inside:>12}")
    mean = sum(together(one["speeds"].values()) for one in crowd) / len(crowd)
    inside = f"{corpus.seconds / sum(run.stages.values()):.1f}"
    all_ = together(alone["speeds"].values())
    print(f"    {'all of them in turn':<32}{all_:>8.1f}{mean:>12.1f}{inside:>12}\n", flush=True)


def show_command(run: Run, ray: Mapping[str, float], set_up: float) -> None:
    print("(b) the whole command, seconds")
    for phase in run.phases:
        print(f"    {phase.name:<48}{phase.seconds:>9.2f}")
    print(f"    {'wall':<48}{run.wall:>9.2f}")
    print(
        f"    apart: start of Ray {ray['all']:.2f} (import {ray['import']:.2f}, init "
        f"{ray['init']:.2f}, an actor {ray['actor']:.2f}; lies in the first making), training the "
        f"aligner {run.seconds('training'):.2f}"
    )
    print(f"    a worker's set-up takes about {set_up:.2f} and counts as making")
    left = ", ".join(map(str, run.left_over)) or "none"
    print(f"    processes left over: {left}\n", flush=True)


def show_ratio(ratio: Mapping[str, float], workers: int) -> None:
    print("(c) audio-seconds per second of making, without the start of Ray")
    print(f"    achieved                                {ratio['achieved']:>8.1f}")
    print(f"    bare kernels allow, {workers} x one core         {ratio['allowed']:>8.1f}")
    print(
        f"    ratio                                   {ratio['ratio']:>8.3f}  limit {RATIO_LIMIT}  "
        f"{verdict(ratio['ratio'] >= RATIO_LIMIT)}"
    )
    print(f"    ratio with the start of Ray in it       {ratio['ratio_with_ray_start']:>8.3f}")
    print(
        f"    ratio to bare kernels, {workers} at once         {ratio['ratio_at_once']:>8.3f}\n",
        flush=True,
    )


def show_serial(
    loop: Mapping[str, float], run: Run, corpus: Spoken, speeds: Mapping[str, float], workers: int
) -> None:
    rest = together(speed for name, speed in speeds.items() if name != "alignment")
    print("(d) a plain loop: one process, one thread, the same kernels, no alignment, .npy files")
    print(f"    wall {loop['wall']:.1f} s, {corpus.seconds / loop['loop_seconds']:.1f}x real time")
    print(
        f"    the loop to its bare kernels      {corpus.seconds / loop['loop_seconds'] / rest:.3f}"
    )
    print(
        f"    the whole command, with Ray, training and alignment, on {workers} workers: "
        f"{loop['wall'] / run.wall:.2f} times as fast\n",
        flush=True,
    )


def show_measures(found: Mapping[str, Any]) -> None:
    print(
        f"(e) stages of --quality on one core, times real time: {found['sample_seconds']:.0f} s in "
        f"{found['utterances']} utterances; no run without --quality has them"
    )
    for name, speed in found["speeds"].items():
        print(f"    {name:<32}{speed:>8.1f}")
    print(flush=True)


def show_memory(title: str, run: Run) -> None:
    print(f"{title}: {run.measure} in MB, every 0.2 s, at most {run.processes} processes")
    print(f"    {'':<48}{'driver':>9}{'all':>9}")
    for phase in run.phases:
        if phase.all:  # not too short to be sampled
            print(f"    {phase.name:<48}{phase.driver / 1e6:>9.0f}{phase.all / 1e6:>9.0f}")
    print(f"    {'peak':<48}{run.driver / 1e6:>9.0f}{run.all / 1e6:>9.0f}")
    print(
        f"    wall {run.wall:.1f} s, and the sampling took {run.sampling:.1%} of one core\n",
        flush=True,
    )


def main() -> None:
    parser = arguments("benchmarks.preprocess", __doc__)
    add = parser.add_argument
    add(
        "--minutes",
        type=float,
        default=40.0,
        help="The least minutes of audio in the corpus.  [default: %(default)g]",
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="The number of worker processes.  [default: all cores]",
    )
    add_work(parser)
    add_json(parser)
    add(
        "--sample-minutes",
        type=float,
        default=3.0,
        help="The minutes of audio for the kernels.  [default: %(default)g]",
    )
    add(
        "--memory",
        action="store_true",
        help="Memory is compared with that of a corpus 4 times as long.",
    )
    add(
        "--memory-columns",
        default=MEMORY_COLUMNS,
        metavar="A,B",
        help="The columns for that comparison.  [default: %(default)s]",
    )
    args = parser.parse_args()
    args.work = args.work.absolute()
    with folders(args.work) as (folder, scratch):
        figures = measure(args, folder, scratch)
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
