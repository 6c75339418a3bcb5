"""Memory and time of `ns2 preprocess` on recordings that parquet files hold.

    python -m benchmarks.held [--gigabytes 2] [--files 4] [--row-group 100] [--executor inline]
        [--columns phonemes,meta] [--work DIR] [--json FILE]

Noise of 5 s at 48,000 Hz in two channels, about 1 MB a row, is written as parquet in the shape of a
hub's data sets. The command runs on 64 rows, then on all of them, each with the memory (PSS) of all
its processes. Once more it is killed by SIGKILL in the middle and started again, which must give
the same bytes. Last, one row changes: the plan must have one utterance. The limit is 600 MB with
the inline executor, for columns that need no torch, which alone takes nearly 500 MB. The exit code
is 1 if the limit, the bytes or the plan are not as they should be.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.support.command import (
    ROOT,
    Run,
    add_json,
    add_work,
    arguments,
    environment,
    folders,
    preprocess,
    write_json,
)
from benchmarks.support.machine import verdict

LIMIT = 600e6
_SECONDS, _RATE = 5.0, 48_000


def make_corpus(root: Path, gigabytes: float, files: int, row_group: int) -> int:
    """Write the parquet files unless they are there; return the number of rows."""
    row_bytes = int(_SECONDS * _RATE) * 4
    rows = max(files, round(gigabytes * 1e9 / row_bytes))
    names = list(range(rows))
    random.Random(0).shuffle(names)  # rows are in no order, as those of most data sets
    for i in range(files):
        path = root / f"train-{i:05}-of-{files:05}.parquet"
        if not path.is_file():
            write_file(path, names[i::files], row_group)
    return rows


def write_file(path: Path, names: Sequence[int], row_group: int, changed: int = 0) -> None:
    """Write one file, a row group at a time; some of the first rows differ from usual."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("audio", audio), ("text", pa.string()), ("speaker", pa.string())])
    path.parent.mkdir(parents=True, exist_ok=True)
    writing = path.with_suffix(".writing")
    with pq.ParquetWriter(writing, schema) as writer:
        for start in range(0, len(names), row_group):
            rows = [
                {
                    "audio": {
                        "bytes": recording(name, start + i < changed),
                        "path": f"u{name:06}.wav",
                    },
                    "text": f"This is sentence number {name} of the corpus.",
                    "speaker": f"s{name % 10}",
                }
                for i, name in enumerate(names[start : start + row_group])
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=row_group)
    writing.rename(path)


def recording(name: int, changed: bool) -> bytes:
    """Return a WAV of noise, which the name decides."""
    import io

    import numpy as np
    import soundfile

    rng = np.random.default_rng([name, changed])
    wave = rng.integers(-3000, 3000, (int(_SECONDS * _RATE), 2), dtype=np.int16)
    data = io.BytesIO()
    soundfile.write(data, wave, _RATE, format="WAV", subtype="PCM_16")
    return data.getvalue()


def killed(command: Sequence[str], out: Path, tars: int, scratch: Path) -> float:
    """Start the command, kill all of it once so many tars are written, and return when it was."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "ns2.cli", "preprocess", *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(scratch, one_thread=False),
        start_new_session=True,
    )
    while process.poll() is None and len(list(out.glob("*-*/*.tar"))) < tars:
        time.sleep(0.1)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.returncode == 0:
        raise SystemExit(f"{out} was complete before it could be killed")
    return time.monotonic() - begin


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a dataset, but those of its state."""
    from ns2.pipeline.core.hashing import sha256_file

    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".state" not in path.parts
    }


def plan(command: Sequence[str]) -> dict[str, int]:
    """Return how many arrays of each column the command would make."""
    shown = subprocess.run(
        [sys.executable, "-m", "ns2.cli", "preprocess", *command, "--plan", "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    return {one["column"]: one["utterances"] for one in json.loads(shown)["columns"]}


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    parser = arguments("benchmarks.held", __doc__)
    add = parser.add_argument
    add("--gigabytes", type=float, default=2.0, help="The size of the corpus.  [default: 2]")
    add("--files", type=int, default=4, help="The number of parquet files.  [default: 4]")
    add("--row-group", type=int, default=100, help="The rows of a row group.  [default: 100]")
    add("--executor", default="inline", help="inline or ray.  [default: inline]")
    add(
        "--columns",
        default="phonemes,meta",
        help="The columns that are made.  [default: phonemes,meta]",
    )
    add_work(parser)
    add_json(parser)
    options = parser.parse_args(given)
    corpus = options.work / f"held-{options.gigabytes:g}-{options.files}-{options.row_group}"
    rows = make_corpus(corpus, options.gigabytes, options.files, options.row_group)
    with folders(options.work) as (folder, scratch):
        measured = measure(corpus, rows, options, folder, scratch)
    write_json(options.json, measured)
    raise SystemExit(0 if measured["good"] else 1)


def measure(corpus: Path, rows: int, options: Any, folder: Path, scratch: Path) -> dict[str, Any]:
    """Carry out the three cases and print their figures."""

    def command(out: Path, root: Path = corpus) -> list[str]:
        made = ["--codec", "mini", "--columns", options.columns, "--executor", options.executor]
        return [str(root), "-o", str(out), *made]

    write_file(folder / "few" / "train-00000-of-00001.parquet", range(64), 64)
    few = preprocess(
        command(folder / "small", folder / "few"), scratch, folder / "log", memory=True
    )
    print(f"64 rows: peak {few.measure} of {few.processes} processes {few.all / 1e6:.0f} MB")
    whole, again = folder / "whole", folder / "again"
    run: Run = preprocess(command(whole), scratch, folder / "log", memory=True)
    print(f"{rows} rows, {options.gigabytes:g} GB: {run.wall:.0f} s, {options.executor}")
    for phase in run.phases:
        print(f"  {phase.name[:40]:40} {phase.seconds:6.1f} s {phase.all / 1e6:7.0f} MB")
    peak = f"peak {run.measure} of {run.processes} processes {run.all / 1e6:.0f} MB"
    limited = options.executor == "inline"
    small = run.all <= LIMIT or not limited
    print(f"{verdict(small) if limited else '':6}{peak}")

    at = killed(command(again), again, len(list(whole.glob("*-*/*.tar"))) // 2, scratch)
    preprocess(command(again), scratch, folder / "log", memory=False)
    same = contents(whole) == contents(again)
    print(f"{verdict(same):6}killed after {at:.0f} s and started again: the same bytes")

    first = min(corpus.iterdir())
    kept = first.with_suffix(".kept")
    names = list(range(rows))
    random.Random(0).shuffle(names)
    first.rename(kept)
    try:
        write_file(first, names[0 :: options.files], options.row_group, changed=1)
        found = plan(command(whole))
    finally:
        kept.replace(first)
    expected = {column: int(column != "phonemes") for column in found}
    print(f"{verdict(found == expected):6}one changed row: to be made are {found}")
    good = small and same and found == expected
    measured = {"few": asdict(few), "run": asdict(run), "killed": at, "same": same, "plan": found}
    return {**measured, "good": good}


if __name__ == "__main__":
    main()
