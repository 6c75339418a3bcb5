"""Plans and runs of millions of utterances: new, with everything made already, with some added.

    python -m benchmarks.million [--utterances 1000000] [--work DIR] [--json FILE]

The corpus is a manifest of made-up utterances, whose recordings are hard links to a few short
files, so that each has its own path. What a finished run leaves behind is written without the run
(`million_dataset`), with tars that are links to one of each column. Limits are those of ten million
utterances: 60 s and 4 GB for a plan, 90 s for a run that finds all there or adds 1,000, 20 s and
4 GB for `train --dry-run`; and of a million pieces of one recording: 20 s and 1.4 GB. The new rows
that it adds to the manifest are taken away again. Codes are EnCodec's, as without `--codec`, and
making those takes the most of the time that adding takes: beside it stands what the same rows take
in an empty folder, with the same aligner.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.support.command import ROOT, add_json, add_work, arguments, folders, write_json
from benchmarks.support.corpus import spoken, weights
from benchmarks.support.machine import verdict

T = TypeVar("T")
PLAN = ("--plan", "--json", "--trial-seconds", "0")
SHARD = 512
"""Utterances in a shard."""
MORE = 1_000
"""Utterances that are added."""
_LINKED, _LINKS = 100, 10_000
"""Distinct recordings, at least, and the most links to one: file systems allow not many more."""


def make_corpus(root: Path, utterances: int) -> Path:
    """Write a manifest and recordings of so many utterances, unless they exist."""
    import numpy as np
    import soundfile

    manifest = root / "manifest.jsonl"
    if manifest.is_file():
        return manifest
    (root / "first").mkdir(parents=True)
    rng = np.random.default_rng(0)
    linked = max(_LINKED, -(-utterances // _LINKS))
    for i in range(linked):
        wave = 0.1 * rng.standard_normal(8_000)
        soundfile.write(root / "first" / f"{i}.wav", wave, 8_000, subtype="PCM_16")
    with (root / "writing").open("w", encoding="utf-8") as out:
        for i in range(utterances):
            name = f"{i // 1000:04d}/{i:07d}.wav"
            if i % 1000 == 0:
                (root / f"{i // 1000:04d}").mkdir(exist_ok=True)
            os.link(root / "first" / f"{i % linked}.wav", root / name)
            row = {
                "id": f"u{i:07d}",
                "audio": name,
                "text": f"This is sentence number {i} of the corpus.",
                "speaker": f"s{i % 1000}",
            }
            out.write(json.dumps(row) + "\n")
    (root / "writing").rename(manifest)
    return manifest


def make_pieces(root: Path, utterances: int) -> Path:
    """Write a manifest whose rows are pieces of one recording, unless it exists."""
    import numpy as np
    import soundfile

    manifest = root / "manifest.jsonl"
    if manifest.is_file():
        return manifest
    root.mkdir(parents=True)
    soundfile.write(root / "long.wav", np.zeros(8_000), 8_000, subtype="PCM_16")
    with (root / "writing").open("w", encoding="utf-8") as out:
        for i in range(utterances):
            row = {"id": f"u{i:07d}", "audio": "long.wav", "text": f"This is piece number {i}."}
            out.write(json.dumps({**row, "offset": 2.5 * i, "duration": 2.5}) + "\n")
    (root / "writing").rename(manifest)
    return manifest


def add_rows(manifest: Path, more: int) -> None:
    """Append rows to a manifest, whose recordings are the first of all that `make_corpus` made."""
    there = sorted((manifest.parent / "first").iterdir())
    with manifest.open("a", encoding="utf-8") as out:
        for i in range(more):
            row = {
                "id": f"v{i:07d}",
                "audio": f"first/{there[i % len(there)].name}",
                "text": f"This is sentence number {i} of the new ones.",
                "speaker": f"s{i % 1000}",
            }
            out.write(json.dumps(row) + "\n")


def make_alone(root: Path, manifest: Path) -> Path:
    """Write a manifest of those rows alone that `add_rows` adds, unless it exists."""
    alone = root / "manifest.jsonl"
    if not alone.is_file():
        shutil.copytree(manifest.parent / "first", root / "first", copy_function=os.link)
        add_rows(alone, MORE)
    return alone


def make_dataset(manifest: Path, out: Path, codec_weights: Path) -> int:
    """Write what a finished run leaves behind; return the number of targets."""
    from benchmarks.making import million_dataset
    from ns2.pipeline.preprocess.options import Options

    options = Options(codec_weights=codec_weights, shard_utterances=SHARD)
    distinct = len(list((manifest.parent / "first").iterdir()))
    return million_dataset.make_dataset(manifest, out, options, distinct)


def read_by_pyarrow(files: Sequence[Path]) -> float:
    """The seconds in which pyarrow reads parquet files."""
    import pyarrow.parquet as pq

    before = time.monotonic()
    for file in files:
        pq.read_table(file)
    return time.monotonic() - before


def seeded(work: Path) -> Path:
    """Return the seeded EnCodec weights that the other benchmarks use too."""
    return weights(work, spoken(work, 1.0))


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process and return its result.

    A child's peak memory counts from that of its parent on, so this process has to stay small.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()  # it may have processes of its own


def timed(arguments: Sequence[str], log: Path) -> dict[str, float]:
    """Run a command of ns2; return its seconds, also of cores, and peak bytes; exit if it fails."""
    before = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ns2.cli", *arguments], cwd=ROOT, stdout=out, stderr=out
        )
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"ns2 {' '.join(arguments)} failed:\n{log.read_text()[-3000:]}")
    return {
        "seconds": time.monotonic() - before,
        "processor": usage.ru_utime + usage.ru_stime,
        "bytes": usage.ru_maxrss * 1024,
    }


def main() -> None:
    parser = arguments("benchmarks.million", __doc__)
    add = parser.add_argument
    add(
        "--utterances",
        type=int,
        default=1_000_000,
        help="The number of utterances in the corpus.  [default: %(default)s]",
    )
    add_work(parser)
    add_json(parser)
    args = parser.parse_args()
    work = args.work.absolute()
    codec_weights = apart(seeded, work)
    print(f"corpus      {args.utterances} utterances, shards of {SHARD}", flush=True)
    manifest = apart(make_corpus, work / f"made-up-{args.utterances}", args.utterances)
    pieces = apart(make_pieces, work / f"pieces-{args.utterances}", args.utterances)
    figures: dict[str, Any] = {"utterances": args.utterances}
    with folders(work) as (folder, _):
        out, log = folder / "dataset", work / "million.log"

        options = ["--codec-weights", str(codec_weights), "--shard-utterances", str(SHARD)]

        def run(name: str, of: Path, *more: str, limit: tuple[float, float | None]) -> None:
            figures[name] = timed(["preprocess", str(of), "-o", str(out), *options, *more], log)
            show(name, figures[name], *limit)

        run("--plan, nothing made", manifest, *PLAN, limit=(60, 4e9))
        run("--plan, pieces of one recording", pieces, *PLAN, limit=(20, 1.4e9))
        before = time.monotonic()
        figures["targets"] = apart(make_dataset, manifest, out, codec_weights)
        took = time.monotonic() - before
        print(f"            {figures['targets']} targets written in {took:.0f} s", flush=True)
        run("--plan, all made", manifest, *PLAN, limit=(60, 4e9))
        run("a run that finds all there", manifest, "--executor", "inline", limit=(90, None))
        dry = ["train", str(out), "-o", str(folder / "run"), "--preset", "tiny", "--dry-run"]
        figures["train --dry-run"] = timed(dry, log)
        show("train --dry-run", figures["train --dry-run"], 20, 4e9)
        alone = apart(make_alone, work / f"alone-{args.utterances}", manifest)
        figures |= measure_adding(manifest, alone, out, options, log)
        files = [out / "index.parquet", *(out / ".state").glob("*.parquet")]
        figures["read by pyarrow"] = {"seconds": apart(read_by_pyarrow, files)}
        print(f"pyarrow reads index and state in {figures['read by pyarrow']['seconds']:.1f} s")
        shutil.rmtree(out)
    write_json(args.json, figures)


def measure_adding(
    manifest: Path, alone: Path, out: Path, options: Sequence[str], log: Path
) -> dict[str, dict[str, float]]:
    """Add rows to a manifest for one run, and make the same rows alone with the same aligner.

    Args:
        alone: a manifest of those rows, see `make_alone`.
    """
    name, whole = f"a run that adds {MORE}", manifest.stat().st_size
    try:
        add_rows(manifest, MORE)
        found = timed(["preprocess", str(manifest), "-o", str(out), *options], log)
    finally:
        os.truncate(manifest, whole)
    show(name, found, 90)
    empty = out.with_name("alone")
    shutil.copytree(out / "assets", empty / "assets")
    less = timed(["preprocess", str(alone), "-o", str(empty), *options], log)
    print(f"  of these rows alone in an empty folder {less['seconds']:.1f} s", flush=True)
    return {name: found, "the added rows alone": less}


def show(title: str, found: dict[str, float], seconds: float, size: float | None = None) -> None:
    """Print seconds and bytes beside their limits."""
    good = found["seconds"] <= seconds and (size is None or found["bytes"] <= size)
    limit = f"limit {seconds:.0f} s" + (f", {size / 1e9:.0f} GB" if size else "")
    if "processor" in found:
        limit = f"{found['processor']:.1f} s of cores   {limit}"
    print(
        f"{title:<30}{found['seconds']:>8.1f} s {found['bytes'] / 1e6:>8.0f} MB   {limit}   "
        f"{verdict(good)}",
        flush=True,
    )


if __name__ == "__main__":
    main()
