"""Plans of a million utterances, with nothing made yet and with everything made already.

    python -m benchmarks.million [--utterances 1000000] [--work DIR] [--json FILE]

The corpus is a manifest of made-up utterances, whose recordings are hard links to a few short
files, so that each has its own path. After the first plan a marker of every target is written, with
an empty tar of the recorded size, and the same plan is made again. Last, the whole command runs,
which finds nothing to make and writes the index. Limits: 60 s and 2 GB for the first plan, 5
minutes for the second.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.support.command import ROOT, add_json, add_work, arguments, folders, write_json
from benchmarks.support.corpus import spoken, weights
from benchmarks.support.machine import verdict

if TYPE_CHECKING:
    from ns2.pipeline.dataset.shards import Marker

T = TypeVar("T")
PLAN = ("--plan", "--json", "--trial-seconds", "0")
SHARD = 512
"""Utterances in a shard."""
PLAN_SECONDS, PLAN_BYTES, RESUME_SECONDS, NOTHING_SECONDS = 60.0, 2e9, 300.0, 15.0
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


def make_markers(manifest: Path, out: Path, codec_weights: Path) -> int:
    """Write what a whole run leaves behind, without the arrays; return the number of targets."""
    import numpy as np

    from ns2.pipeline.align.aligner_file import train_and_save
    from ns2.pipeline.dataset import layout
    from ns2.pipeline.dataset.layout import plan_file, state_file
    from ns2.pipeline.preprocess.aligner_asset import AlignerAsset
    from ns2.pipeline.preprocess.options import Options
    from ns2.pipeline.preprocess.plan.out_folder import place
    from ns2.pipeline.preprocess.plan.placement import save_plan
    from ns2.pipeline.preprocess.plan.sources import find_sources, open_corpus
    from ns2.pipeline.preprocess.plan.states import SourceStates
    from ns2.pipeline.preprocess.recipe import build_graph, phoneme_table
    from ns2.pipeline.preprocess.work.remembered import Remembered
    from ns2.pipeline.preprocess.work.scene import Scene

    options = Options(codec_weights=codec_weights, shard_utterances=SHARD)
    graph = build_graph(options)
    corpus = open_corpus(manifest, options)
    (out / layout.STATE).mkdir(parents=True)
    states = SourceStates(state_file(out), checksum=False)
    sources, _ = find_sources(corpus, options, states)
    states.save()
    shards, _ = place(sources, out, options)
    save_plan(plan_file(out), {s.key: x.number for x in shards for s in x.sources}, SHARD)
    asset = AlignerAsset(out, graph, options)
    record = asset.choose((source, 1.0) for source in sources)
    table = phoneme_table(options)
    rng = np.random.default_rng(0)
    examples = [
        (rng.standard_normal((80, 75)).astype(np.float16), table.ids(["<sil>", "a", "b", "<sil>"]))
    ]
    train_and_save(examples, asset.weights(record), table=table)
    graph = asset.apply(graph, record)
    scene = Scene.of(graph, out, options, corpus, Remembered())
    return _write_targets(graph, scene, shards)


def _write_targets(graph: Any, scene: Any, shards: Sequence[Any]) -> int:
    """Write screening records, markers and empty tars of all shards; return their number."""
    import numpy as np

    from ns2.pipeline.core.atomic import atomic_write
    from ns2.pipeline.dataset.shards import marker_bytes
    from ns2.pipeline.preprocess.work.screening import Screened

    scalars = {"samples": 24_000.0, "level_db": -20.0, "tokens": 30.0, "phones": 24.0}
    scalars |= {"f0_sum": 0.0, "voiced": 0.0, "f0_median": 0.0, "align_score": -0.3}
    frame = {"codes": np.zeros((16, 1), np.uint16), "f0": np.full(1, 100, np.float32)}
    summaries = {
        column: graph.stages[column].summarise([frame[column]] if column in frame else [])
        for column in graph.columns
    }
    for shard in shards:
        screened = [
            Screened(key=source.key, source=scene.screen_state(source), scalars=scalars)
            for source in shard.sources
        ]
        scene.screens.save(shard.number, screened)
        for column in graph.columns:
            marker = _marker(scene, shard, column, scalars, summaries[column])
            marker.path.parent.mkdir(exist_ok=True)
            with marker.tar.open("wb") as file:
                file.truncate(marker.size)
            with atomic_write(marker.path) as file:
                file.write(marker_bytes(marker))
    return len(shards) * len(graph.columns)


def _marker(scene: Any, shard: Any, column: str, scalars: dict[str, float], summary: Any) -> Marker:
    """Return the marker of a column's shard, as if all its utterances had been made."""
    from ns2.pipeline.dataset.shards import Marker, MemberRow

    path = scene.targets.path(column, shard.number, shard.sources)
    rows = [
        MemberRow(
            key=source.key,
            offset=4096 * i + 512,
            size=1024,
            shape=(),
            crc32=0,
            source=scene.targets.state(column, source),
            scalars=scalars,
        )
        for i, source in enumerate(shard.sources)
    ]
    return Marker(
        path=path,
        column=column,
        shard=shard.number,
        digest=path.stem.partition("-")[2],
        sha256="0" * 64,
        size=4096 * len(shard.sources),
        rows=tuple(rows),
        summary=summary,
    )


def seeded(work: Path) -> Path:
    """Return the seeded EnCodec weights that the other benchmarks use too."""
    return weights(work, spoken(work, 1.0))


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process and return its result.

    A child's peak memory counts from that of its parent on, so this process has to stay small.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


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
    with folders(work) as (folder, _):
        out, log = folder / "dataset", work / "million.log"
        common = ["preprocess", str(manifest), "-o", str(out), "--codec-weights"]
        common += [str(codec_weights), "--shard-utterances", str(SHARD)]
        figures: dict[str, Any] = {"utterances": args.utterances}
        figures["new"] = timed([*common, *PLAN], log)
        new = json.loads(log.read_text())
        if new["utterances"] != args.utterances or not all(c["missing"] for c in new["columns"]):
            raise SystemExit(f"the first plan is wrong: {new}")
        show("--plan, nothing made", figures["new"], PLAN_SECONDS, PLAN_BYTES)
        before = time.monotonic()
        figures["targets"] = apart(make_markers, manifest, out, codec_weights)
        took = time.monotonic() - before
        print(f"            {figures['targets']} markers written in {took:.0f} s", flush=True)
        figures["made"] = timed([*common, *PLAN], log)
        made = json.loads(log.read_text())
        if any(c["missing"] for c in made["columns"]):
            raise SystemExit(f"the second plan finds missing targets: {made}")
        show("--plan, all made", figures["made"], RESUME_SECONDS)
        figures["run"] = timed([*common, "--executor", "inline"], log)
        show("the run: check, index, card", figures["run"], RESUME_SECONDS)
        figures["again"] = timed([*common, "--executor", "inline"], log)
        show("again: nothing has changed", figures["again"], NOTHING_SECONDS)
        shutil.rmtree(out)
    write_json(args.json, figures)


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
