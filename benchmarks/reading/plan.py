"""Planning an epoch: the work that is wasted on padding, and the time for ten million utterances.

    python -m benchmarks.plan [--utterances 10000000] [--sentences FILE] [--work DIR] [--json FILE]

Work is frames of targets and prompts, once prompts are cut out of utterances by made-up words.
Lengths are like those of LibriTTS, LJSpeech and MLS (`benchmarks/reading/wasted.py`); with
`--sentences` also those of a text with one sentence per line, spoken at 15 characters per second.
Plan 1 is padded to multiples of 64, which was usual with it. `idle` adds the time in which ranks
wait for the one that has most to compute.

The index of ten million utterances is made up, with the columns and row groups of a real one. One
process opens it, filters it, loads what reading needs and plans an epoch; this process is measured.
`--utterances 0` leaves that out. Limits: 15 % of padding with plan 2; 15 s, 3 GB.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.making.million import apart, show
from benchmarks.reading.wasted import CORPORA, Corpus, Wasted, corpus, librispeech_like, wasted
from benchmarks.support.command import add_json, add_work, arguments, folders, write_json
from benchmarks.support.machine import machine, show_machine, verdict
from ns2.model.tts.prompts import PromptConfig

SECONDS, BYTES = 15.0, 3e9
PADDING = 0.15
COLUMNS = ("codes", "phonemes", "durations", "f0")
SHARD = 512
WHERE = "seconds < 20 and align_score > -2"
RANKS = (1, 2, 4, 8, 16, 64)
RANK_FRAMES = (6_000, 16_000)
"""The frames of one rank in a step: those of the paper, and what a GPU of today has room for."""
MULTIPLE = {1: 64, 2: 16}
"""Of frames, to which batches are padded, by plan."""
LOOKED_AT = 12_000
"""Utterances that are cut to see what one row of figures tells."""


def spoken_lengths(sentences: Path) -> np.ndarray:
    """Return the frames of a text's sentences, spoken at 15 characters per second."""
    lines = [line for line in sentences.read_text("utf-8").splitlines() if line.strip()]
    return np.array([max(1, round(75 * len(line) / 15)) for line in lines], np.int32)


def groups(utterances: int) -> Iterator[pa.Table]:
    """Make up the row groups of an index, with values as varied as real ones."""
    from ns2.pipeline.dataset.index import ROW_GROUP, index_schema

    schema = index_schema(COLUMNS)
    rng = np.random.default_rng(0)
    for first in range(0, utterances, ROW_GROUP):
        number = np.arange(first, min(first + ROW_GROUP, utterances))
        n, shard = len(number), number // SHARD
        frames = librispeech_like(rng, n)
        phones = (frames / 6).astype(np.int32) + 2
        made: dict[str, Any] = {
            "key": [f"speaker{i % 2500:04d}-{i:08d}" for i in number],
            "shard": shard,
            "split": np.where(rng.random(n) < 0.02, "val", "train"),
            "speaker": [f"speaker{i % 2500:04d}" for i in number],
            "language": ["en-us"] * n,
            "text": [f"This is what was said: sentence {i} of the corpus." for i in number],
            "seconds": frames / 75 - rng.random(n) / 75,
            "frames": frames,
            "phones": phones,
            "audio_hash": [f"{i:016x}" for i in rng.integers(0, 2**62, n)],
            "align_score": rng.normal(-1, 0.5, n),
            "row_crc": rng.integers(0, 2**32, n, dtype=np.uint32),
        }
        made["id"] = made["key"]
        for name in ("level_db", "voiced_share", "f0_median", "phone_rate"):
            made[name] = rng.random(n)
        for column in COLUMNS:
            shape = {"codes": "16t", "f0": "t"}.get(column, "n")
            count = {"16t": frames * 16, "t": frames, "n": phones}[shape]
            size = 128 + count.astype(np.int64) * (4 if column == "f0" else 2)
            ends = np.cumsum(512 + -(-size // 512) * 512)
            at = np.searchsorted(shard, shard)  # the first utterance of the shard
            dims = np.stack([np.full(n, 16), frames], 1) if shape == "16t" else None
            flat = dims.ravel() if dims is not None else frames if shape == "t" else phones
            starts = np.arange(0, len(flat) + 1, 1 if dims is None else 2)
            made[f"{column}_file"] = [f"{column}-0123456789ab/{s:05d}-{s:016x}.tar" for s in shard]
            made[f"{column}_offset"] = (
                np.concatenate([[0], ends])[:-1] + 512 - np.concatenate([[0], ends])[at]
            )
            made[f"{column}_size"] = size
            made[f"{column}_shape"] = pa.ListArray.from_arrays(
                pa.array(starts, pa.int32()), pa.array(flat, pa.int32())
            )
            made[f"{column}_crc32"] = rng.integers(0, 2**32, n, dtype=np.uint32)
        yield pa.table({name: made[name] for name in schema.names}, schema=schema)


def make_index(root: Path, utterances: int) -> None:
    """Make a folder with the index and card of a dataset; its tars are never opened."""
    from ns2.pipeline.core.schema import COLUMNS as KINDS
    from ns2.pipeline.dataset import layout
    from ns2.pipeline.dataset.card import card_text, sealed
    from ns2.pipeline.dataset.index import index_schema
    from ns2.pipeline.dataset.layout import FORMAT, FORMAT_VERSION

    root.mkdir()
    with pq.ParquetWriter(
        root / layout.INDEX, index_schema(COLUMNS), compression="zstd", write_page_checksum=True
    ) as writer:
        for group in groups(utterances):
            writer.write_table(group)
    columns = {name: {"dtype": KINDS[name][0], "dims": list(KINDS[name][1])} for name in COLUMNS}
    card = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "assets": [], "columns": columns,
        "grid": {"sample_rate": 24_000, "hop_length": 320}, "counts": {"written": utterances},
    }  # fmt: skip
    (root / layout.CARD).write_text(card_text(sealed(card)))


def open_and_plan(root: Path) -> dict[str, Any]:
    """Open, filter, load what reading needs, and plan; to be called in a new process."""
    from ns2.train.data.selection import open_data

    began, at_start = time.perf_counter(), time.process_time()
    data = open_data([root], where=WHERE)
    opened = time.perf_counter()
    data.prepare(check=True)
    _ = data.other(0, 0)
    prepared = time.perf_counter()
    plan = data.plan(seed=0, epoch=0, global_frames=8 * RANK_FRAMES[1], prompts=PromptConfig())
    planned = time.perf_counter()
    return {
        "seconds": planned - began,
        "processor": time.process_time() - at_start,
        "open and filter": opened - began,
        "places, checksums, speakers": prepared - opened,
        "plan": planned - prepared,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "utterances": len(data),
        "steps": len(plan),
    }


def waste(made: Corpus, ranks: Sequence[int], rank_frames: int, looked_at: int) -> list[Wasted]:
    """Return what both plans waste for several numbers of ranks."""
    return [
        wasted(
            made,
            plan=plan,
            ranks=count,
            rank_frames=rank_frames,
            multiple=MULTIPLE[plan],
            looked_at=looked_at,
        )
        for count in ranks
        for plan in (1, 2)
    ]


def show_waste(name: str, made: Corpus, rank_frames: int, found: Sequence[Wasted]) -> None:
    print(
        f"\n{name}: {len(made.frames):,} utterances, {made.frames.mean() / 75:.1f} s on average; "
        f"{rank_frames:,} frames for each rank and step\n"
        "  ranks   plan   steps   largest step   padding     idle"
    )
    for row in found:
        met = verdict(row.padding <= PADDING) if row.plan == 2 else ""
        print(
            f"  {row.ranks:>5}{row.plan:>7}{row.steps:>8}{row.largest:>15.2f}{row.padding:>10.1%}"
            f"{row.idle:>9.1%}   {met}",
            flush=True,
        )


def main() -> None:
    parser = arguments("benchmarks.plan", __doc__)
    add = parser.add_argument
    add(
        "--utterances",
        type=int,
        default=10_000_000,
        help="The number of utterances in the index; 0 for no index.  [default: %(default)s]",
    )
    add(
        "--sentences",
        type=Path,
        metavar="FILE",
        help="A text with one sentence per line, whose lengths are planned too.",
    )
    add_work(parser)
    add_json(parser)
    args: argparse.Namespace = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    show_machine(figures["machine"], 1)
    made = {name: corpus(name) for name in CORPORA}
    if args.sentences is not None:
        frames = spoken_lengths(args.sentences)
        made[args.sentences.name] = Corpus(frames, np.zeros(len(frames), int))
    for name, one in made.items():
        for rank_frames in RANK_FRAMES:
            found = waste(one, RANKS, rank_frames, LOOKED_AT)
            figures[f"{name}, {rank_frames}"] = [asdict(row) for row in found]
            show_waste(name, one, rank_frames, found)
    if args.utterances:
        figures["large"] = large(args.work, args.utterances)
    write_json(args.json, figures)


def large(work: Path, utterances: int) -> dict[str, Any]:
    """Measure the plan of many utterances."""
    with folders(work.absolute()) as (folder, _):
        apart(make_index, folder / "index", utterances)
        size = (folder / "index" / "index.parquet").stat().st_size
        print(f"\nindex of {utterances} utterances, {size / 1e9:.2f} GB", flush=True)
        found: dict[str, Any] = apart(open_and_plan, folder / "index")
    for part in ("open and filter", "places, checksums, speakers", "plan"):
        print(f"  {part:<28}{found[part]:>8.1f} s")
    print(f"  {'seconds of processors':<28}{found['processor']:>8.1f} s")
    show(f"all, {found['steps']} steps", found, SECONDS, BYTES)
    return found


if __name__ == "__main__":
    main()
