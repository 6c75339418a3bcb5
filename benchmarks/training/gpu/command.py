"""`ns2 train` itself, in processes of its own, on a made-up dataset."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.training.gpu.bench import Bench
from tests.support.dataset_factories import Recipe, make_dataset

_TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1")
_STATISTICS = ("--set", "statistics_every=2")
_SETTINGS = ("samples=0", "global_frames=1500", "checkpoint_every=3", "validate_every=3")
_COMMANDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("runs", ("--steps", "6", *_STATISTICS), ()),
    ("continues", ("--steps", "9", *_STATISTICS), ()),
    ("dry run", ("--steps", "9", "--dry-run"), ()),
    ("torchrun", ("--steps", "12", *_STATISTICS), _TORCHRUN),
    ("compiled", ("--steps", "3", "--fresh", "--compile"), ()),
    ("two devices where one is", ("--steps", "4", "--fresh", "--devices", "2"), ()),
)
"""The name of each command, its arguments, and the launcher in front of them."""
_LIMIT = 90
"""The time limit of a command, in seconds."""
_SECONDS_TO_COMPILE = 120
"""The seconds that must be left to compile."""


def command(bench: Bench) -> dict[str, Any]:
    """Run `ns2 train`: a run, its continuation, other launchers, and a device that is missing."""
    root, run = bench.scratch / "shards", bench.scratch / "run"
    make_dataset(root, Recipe(shards=2, per_shard=24, frames=(160, 400)))
    found: dict[str, Any] = {}
    for name, words, launcher in _COMMANDS:
        if name == "compiled" and (bench.left() < _SECONDS_TO_COMPILE or not bench.gpu):
            continue
        try:
            code, output = _train(bench, root, run, words, launcher)
        except subprocess.TimeoutExpired:
            code, output = -1, f"took more than {_LIMIT} s"
        found[name] = {"code": code, "output": output}
        bench.say(f"command, {name}: code {code}: {output[-160:].strip()!r}")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found["steps"] = [(row["step"], row["loss"], row["seconds"]) for row in rows]
    return found


def _train(
    bench: Bench, root: Path, run: Path, words: tuple[str, ...], launcher: tuple[str, ...]
) -> tuple[int, str]:
    """Run the command; return its exit code and the end of its output."""
    settings = [word for setting in _SETTINGS for word in ("--set", setting)]
    arguments = ["train", str(root), "-o", str(run), "--preset", "tiny", "--device", bench.device]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "ns2.cli", *arguments, *settings, *words],
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    return done.returncode, (done.stdout + done.stderr)[-600:]
