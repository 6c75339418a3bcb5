"""`ns2 report` on a million utterances: seconds and memory.

    python -m benchmarks.report DATASET [--utterances 1000000] [--audio 12] [--work DIR]

The rows of a dataset's index are repeated, each with a key, a text and numbers of its own, until
there are so many; all of them share the dataset's tars, so arrays are read from the page cache.
The ledger gets a row for every twentieth utterance. Limit: two minutes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.support.command import ROOT, add_json, add_work, arguments, folders, write_json
from benchmarks.support.machine import machine, show_machine, verdict
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.index import REJECTED_SCHEMA, ROW_GROUP
from ns2.pipeline.dataset.layout import ASSETS, CARD, INDEX, REJECTED

SECONDS = 120.0


def repeated(dataset: Dataset, out: Path, utterances: int) -> None:
    """Write a dataset whose index repeats that of another one, and whose tars are links."""
    out.mkdir()
    for entry in dataset.root.iterdir():
        if entry.name == ASSETS or any(
            entry.name == c.folder for c in dataset.card.columns.values()
        ):
            (out / entry.name).symlink_to(entry.resolve())
    rng, table = np.random.default_rng(0), dataset.index
    with pq.ParquetWriter(
        out / INDEX, table.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        for at in range(0, utterances, ROW_GROUP):
            count = min(ROW_GROUP, utterances - at)
            part = table.take(pa.array(np.arange(at, at + count) % len(table)))
            writer.write_table(_changed(part, at, rng))
    left = {name: ["a"] * (utterances // 20) for name in REJECTED_SCHEMA.names}
    left["id"] = [f"lost{i}" for i in range(utterances // 20)]
    pq.write_table(pa.table(left, REJECTED_SCHEMA), out / REJECTED, write_page_checksum=True)
    card = read_json(dataset.root / CARD)
    card["counts"] = {**card["counts"], "written": utterances}
    (out / CARD).write_text(card_text(sealed(card)))


def _changed(part: pa.Table, first: int, rng: np.random.Generator) -> pa.Table:
    """Rows with keys, texts and numbers of their own."""
    numbers = pa.array(np.char.mod("%07d", np.arange(first, first + len(part))))
    for name in part.column_names:
        column = part[name]
        at = part.schema.get_field_index(name)
        if name in ("key", "id", "text"):
            column = pc.binary_join_element_wise(column, numbers, "-")
        elif pa.types.is_floating(column.type):
            noise = pa.array(rng.uniform(0.9, 1.1, len(part)))
            column = pc.multiply(column, noise)
        part = part.set_column(at, part.schema.field(name), column)
    return part


def main() -> None:
    parser = arguments("benchmarks.report", __doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--audio", type=int, default=12)
    add_work(parser)
    add_json(parser)
    args = parser.parse_args()
    show_machine(machine(), 1)
    with folders(args.work) as (folder, _):
        shards, page = folder / "shards", folder / "report.html"
        repeated(Dataset(args.dataset), shards, args.utterances)
        command = [sys.executable, "-m", "ns2.cli", "report", str(shards), "-o", str(page)]
        begin = time.monotonic()
        chosen = ["--where", "seconds < 10", "--audio", str(args.audio)]
        subprocess.run([*command, *chosen], cwd=ROOT, check=True)
        seconds, size = time.monotonic() - begin, page.stat().st_size
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "utterances": args.utterances,
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": 1024 * used.ru_maxrss,
        "page_bytes": size,
    }
    print(
        f"{args.utterances:,} utterances: {seconds:.0f} s, {figures['cpu_seconds']:.0f} s of CPU, "
        f"{figures['peak_bytes'] / 1e9:.2f} GB, a page of {size / 1e6:.1f} MB: "
        f"{verdict(seconds < SECONDS and size < 5e6)}"
    )
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
