"""Reading for training: utterances per second of ns2's reader and of others, on the same arrays.

    python -m benchmarks.reader [--utterances 10000] [--rounds 5] [--only NAMES] [--work DIR]
                               [--remote]

Codes (16, T), f0 (T,), phonemes and durations (N,) of made-up utterances, with lengths like those
of LibriTTS, are written once in each format. Then each reader reads a whole epoch, shuffled in its
own way, in one process with at most one thread beside it, and every array is summed. Readers take
turns for several rounds, and the median of each is reported; a reader that is far slower than ns2's
takes part in two rounds only. All files are in the page cache, so the figures are the cost of the
reader, not of a disk.

The reader of ns2 is measured as `ns2 train` uses it, which checks the CRC-32 of every array, and
without that check; no other reader here checks what it reads. It also groups utterances of similar
length into steps.

webdataset comes with ns2. To install the others, preferably in a separate virtual environment:
pip install lhotse litdata lightning-utilities boto3; and, since it requires an older numpy than it
needs, pip install --no-deps mosaicml-streaming and what it imports: zstd zstandard brotli
python-snappy cramjam xxhash catalogue torchvision "transformers<5" "huggingface-hub<1"
"tokenizers<0.23".
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reading.plan import COLUMNS, SHARD
from benchmarks.reading.wasted import librispeech_like
from benchmarks.support.command import add_json, add_work, arguments, folders, write_json
from benchmarks.support.machine import machine, show_machine, verdict

TIMES_WEBDATASET = 10.0
"""How many times as fast as webdataset the reader has to be."""
SLOW = 5.0
"""Readers that are so many times slower than ns2's take part in two rounds only."""
QUANTIZERS, ENTRIES = 16, 1024
GLOBAL_FRAMES = 16_000
Arrays = dict[str, np.ndarray]


def utterances(count: int) -> Iterator[tuple[str, Arrays]]:
    """Make up keys and arrays, the same in each call."""
    rng = np.random.default_rng(0)
    for i, frames in enumerate(librispeech_like(rng, count).tolist()):
        tokens = max(3, frames // 6)
        durations = 1 + rng.multinomial(frames - tokens, np.full(tokens, 1 / tokens))
        yield (
            f"utt{i:06d}",
            {
                "codes": rng.integers(0, ENTRIES, (QUANTIZERS, frames), dtype=np.uint16),
                "phonemes": rng.integers(0, 300, tokens, dtype=np.uint16),
                "durations": durations.astype(np.uint16),
                "f0": rng.uniform(80, 300, frames).astype(np.float32),
            },
        )


def sums(arrays: Iterable[np.ndarray]) -> float:
    """Sum arrays, which reads every byte."""
    return float(sum(array.sum() for array in arrays))


@dataclass(frozen=True)
class Contender:
    """A reader and the writer of its format."""

    name: str
    """The name in the table."""

    write: Callable[[Path, int], None]
    """Writes so many utterances to a folder."""

    epoch: Callable[[Path], tuple[int, float]]
    """Reads all utterances in its own shuffled order; returns their number and total sum."""

    needs: str = "numpy"
    """The package that it needs."""

    folder: str = ""
    """The name of the folder, if several readers share it."""

    def root(self, folder: Path) -> Path:
        """Return the reader's folder below the benchmark's."""
        return folder / (self.folder or self.name.replace(" ", "-"))


def write_ns2(root: Path, count: int) -> None:
    """Write a dataset with ns2's own writers; only the stages are left out."""
    from ns2.pipeline.core.hashing import canonical_json, sha256_file
    from ns2.pipeline.core.schema import COLUMNS as KINDS
    from ns2.pipeline.core.schema import ColumnSpec
    from ns2.pipeline.dataset import layout
    from ns2.pipeline.dataset.card import card_text, sealed
    from ns2.pipeline.dataset.index import index_schema
    from ns2.pipeline.dataset.layout import FORMAT, FORMAT_VERSION
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable
    from ns2.pipeline.dataset.shards import Marker, Member, TarWriter, encode_value
    from ns2.pipeline.dataset.sums import checksum_text
    from ns2.pipeline.preprocess.finish.publish import write_index

    specs = {name: ColumnSpec(name=name, dtype=KINDS[name][0], dims=()) for name in COLUMNS}
    root.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    made = utterances(count)
    for shard in range(-(-count // SHARD)):
        writers = {name: TarWriter(root / f"{name}-0", shard, specs[name]) for name in COLUMNS}
        first = len(rows)
        for key, arrays in (next(made) for _ in range(min(SHARD, count - first))):
            frames = arrays["codes"].shape[1]
            rows.append(
                {"key": key, "shard": shard, "split": "train", "speaker": "one",
                 "seconds": frames / 75, "frames": frames, "align_score": -1.0}
            )  # fmt: skip
            for name, writer in writers.items():
                data, shape = encode_value(specs[name], arrays[name])
                writer.add(Member(key=key, data=data, shape=shape, source=""))
        markers: dict[str, Marker] = {name: writer.commit({}) for name, writer in writers.items()}
        for i, row in enumerate(rows[first:]):
            for name, marker in markers.items():
                member = marker.rows[i]
                row[f"{name}_file"] = marker.tar.relative_to(root).as_posix()
                row[f"{name}_offset"], row[f"{name}_size"] = member.offset, member.size
                row[f"{name}_shape"], row[f"{name}_crc32"] = list(member.shape), member.crc32
    write_index(root / layout.INDEX, rows, index_schema(COLUMNS)).rename(root / layout.INDEX)
    table = root / layout.ASSETS / "phonemes-000000000000.json"
    table.parent.mkdir()
    phones = tuple(f"phone{i}" for i in range(300))
    table.write_bytes(canonical_json(PhonemeTable(marks=(), phones=phones).to_json()).encode())
    names = [table.relative_to(root).as_posix(), layout.INDEX]
    sums = checksum_text([(name, sha256_file(root / name)) for name in names]).encode()
    columns = {name: {"dtype": KINDS[name][0], "dims": list(KINDS[name][1])} for name in COLUMNS}
    card = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "assets": names[:1], "columns": columns,
        "grid": {"sample_rate": 24_000, "hop_length": 320}, "counts": {"written": count},
        "sha256sums": hashlib.sha256(sums).hexdigest(),
    }  # fmt: skip
    (root / layout.SUMS).write_bytes(sums)
    (root / layout.CARD).write_text(card_text(sealed(card)))


def read_ns2(
    root: str | Path, *, check: bool, opened: Callable[[], None] | None = None
) -> tuple[int, float]:
    """Read with the reader of `ns2 train`; arrays are summed in the place of collating.

    Args:
        opened: called when the dataset is open.
    """
    from ns2.train.data.prefetch import Fetched, Reader
    from ns2.train.data.selection import open_data

    def collate(fetched: list[Fetched]) -> float:
        return sum(sums(utterance.arrays.values()) for utterance in fetched)

    count, total = 0, 0.0
    data = open_data([root])
    if opened is not None:
        opened()
    with Reader(
        data, collate, seed=0, global_frames=GLOBAL_FRAMES, epochs=1, threads=1,
        check=check,
    ) as reader:  # fmt: skip
        for step in reader:
            count, total = count + step.utterances, total + step.batch
    return count, total


def read_by_position(root: Path) -> tuple[int, float]:
    """Read with `Dataset.read` in the order of a plan, one array after the other."""
    from ns2.train.data.selection import open_data

    data = open_data([root])
    read = data.datasets[0].read
    order = data.plan(seed=0, epoch=0, global_frames=GLOBAL_FRAMES).order
    positions = data.position[order].tolist()
    total = sum(sums(read(c, i) for c in COLUMNS) for i in positions)
    return len(positions), total


def write_webdataset(root: Path, count: int) -> None:
    import webdataset

    root.mkdir(parents=True)
    with webdataset.ShardWriter(str(root / "%05d.tar"), maxcount=SHARD, verbose=0) as writer:
        for key, arrays in utterances(count):
            writer.write({"__key__": key, **{f"{name}.npy": a for name, a in arrays.items()}})


def read_webdataset(root: Path) -> tuple[int, float]:
    """Read with shuffled shards, a shuffle buffer of a thousand, and its own decoder."""
    import webdataset

    urls = sorted(str(path) for path in root.glob("*.tar"))
    stream = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(1000).decode()
    count, total = 0, 0.0
    for sample in stream:
        total += sums(sample[f"{name}.npy"] for name in COLUMNS)
        count += 1
    return count, total


def write_shar(root: Path, count: int) -> None:
    from lhotse import MonoCut
    from lhotse.shar import SharWriter

    root.mkdir(parents=True)
    fields = dict.fromkeys(COLUMNS, "numpy")
    with SharWriter(str(root), fields=fields, shard_size=SHARD) as writer:
        for key, arrays in utterances(count):
            cut = MonoCut(id=key, start=0, duration=arrays["f0"].shape[0] / 75, channel=0)
            for name, array in arrays.items():
                cut = cut.attach_tensor(name, array)
            writer.write(cut)


def read_shar(root: Path) -> tuple[int, float]:
    """Read with shuffled shards and a buffer of a thousand cuts, as its documentation does."""
    from lhotse import CutSet

    cuts = CutSet.from_shar(in_dir=str(root), shuffle_shards=True, seed=0).shuffle(buffer_size=1000)
    count, total = 0, 0.0
    for cut in cuts:
        total += sums(getattr(cut, f"load_{name}")() for name in COLUMNS)
        count += 1
    return count, total


def write_streaming(root: Path, count: int) -> None:
    from streaming import MDSWriter

    kinds = {"codes": "uint16", "phonemes": "uint16", "durations": "uint16", "f0": "float32"}
    columns = {"key": "str", **{name: f"ndarray:{kind}" for name, kind in kinds.items()}}
    with MDSWriter(out=str(root), columns=columns) as writer:
        for key, arrays in utterances(count):
            writer.write({"key": key, **arrays})


def read_streaming(root: Path) -> tuple[int, float]:
    """Read, shuffled by its default algorithm, iterated without a loader."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    count, total = 0, 0.0
    for sample in StreamingDataset(local=str(root), shuffle=True, batch_size=1):
        total += sums(sample[name] for name in COLUMNS)
        count += 1
    return count, total


def write_litdata(root: Path, count: int) -> None:
    from litdata.streaming import Cache

    cache = Cache(str(root), chunk_bytes="64MB")
    for i, (key, arrays) in enumerate(utterances(count)):
        cache[i] = {"key": key, **arrays}
    cache.done()
    cache.merge()


def read_litdata(root: Path) -> tuple[int, float]:
    """Read, shuffled in its own way, iterated without a loader."""
    from litdata import StreamingDataset

    count, total = 0, 0.0
    for sample in StreamingDataset(str(root), shuffle=True, seed=0):
        total += sums(np.asarray(sample[name]) for name in COLUMNS)
        count += 1
    return count, total


CONTENDERS = (
    Contender("ns2, Reader, CRC checked", write_ns2, lambda r: read_ns2(r, check=True),
              folder="ns2"),
    Contender("ns2, Reader", write_ns2, lambda r: read_ns2(r, check=False), folder="ns2"),
    Contender("ns2, by position", write_ns2, read_by_position, folder="ns2"),
    Contender("webdataset", write_webdataset, read_webdataset, "webdataset"),
    Contender("lhotse Shar", write_shar, read_shar, "lhotse"),
    Contender("mosaicml-streaming", write_streaming, read_streaming, "streaming"),
    Contender("litdata", write_litdata, read_litdata, "litdata"),
)  # fmt: skip


def prepared(args: argparse.Namespace, folder: Path) -> list[Contender]:
    """Write the files of all readers that are wanted and installed; return these readers."""
    found: list[Contender] = []
    for reader in CONTENDERS:
        if args.only and not any(word in reader.name for word in args.only.split(",")):
            continue
        if importlib.util.find_spec(reader.needs) is None:
            print(f"{reader.name:<28} is not installed: see --help", flush=True)
            continue
        root = reader.root(folder)
        if not root.exists():
            reader.write(root, args.utterances)
        found.append(reader)
    return found


def measure(args: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Return utterances per second of each reader, and of the sums alone."""
    memory = [list(arrays.values()) for _, arrays in utterances(args.utterances)]
    truth = sum(sums(arrays) for arrays in memory)
    readers = prepared(args, folder)
    clock: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}

    def note(name: str, run: Callable[[], tuple[int, float]]) -> None:
        began, at = time.perf_counter(), time.process_time()
        count, total = run()
        seconds, spent = time.perf_counter() - began, time.process_time() - at
        if count != args.utterances or abs(total / truth - 1) > 1e-5:
            raise SystemExit(f"{name} read {count} utterances with the sum {total}")
        clock.setdefault(name, []).append(count / seconds)
        processor.setdefault(name, []).append(count / spent)
        print(f"  {name:<28}{count / seconds:>8.0f}{count / spent:>8.0f}", flush=True)

    for number in range(args.rounds):
        for reader in readers:
            best = max(processor.get(readers[0].name, [0.0]))
            if number >= 2 and SLOW * max(processor[reader.name]) < best:
                continue
            note(reader.name, partial(reader.epoch, reader.root(folder)))
        note("sums alone", lambda: (len(memory), sum(sums(arrays) for arrays in memory)))
    return {
        name: {
            "a second": statistics.median(clock[name]),
            "a second of processor": statistics.median(processor[name]),
        }
        for name in clock
    }


def main() -> None:
    from benchmarks.reading import remote

    parser = arguments("benchmarks.reader", __doc__)
    add = parser.add_argument
    add(
        "--utterances",
        type=int,
        default=10_000,
        help="The number of utterances.  [default: %(default)s]",
    )
    add("--rounds", type=int, default=5, help="The number of rounds.  [default: %(default)s]")
    add(
        "--only",
        metavar="NAMES",
        help="Only readers whose names contain one of these, separated by commas.",
    )
    remote.add_options(parser)
    add_work(parser)
    add_json(parser)
    args = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    show_machine(figures["machine"], 1)
    if args.remote:
        with folders(args.work.absolute()) as (folder, _):
            figures |= remote.measure(args, folder)
        remote.show(figures, args.delay)
        write_json(args.json, figures)
        return
    with folders(args.work.absolute()) as (folder, _):
        figures["utterances a second"] = found = measure(args, folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    against = found.get("webdataset")
    load = os.getloadavg()[0]
    print(f"utterances per second of the clock and of CPU time; load {load:.1f} at the end")
    print(f"{'':<28}{'a second':>10}{'processor':>14}{'webdataset':>12}")
    for name, row in found.items():
        times = row["a second"] / against["a second"] if against else float("nan")
        spent = row["a second of processor"]
        print(f"{name:<28}{row['a second']:>10.0f}{spent:>14.0f}{times:>11.1f}x")
    others = [row for name, row in found.items() if "ns2" not in name and name != "sums alone"]
    for name in ("ns2, Reader, CRC checked", "ns2, Reader"):
        ours = found.get(name)
        if ours and against:
            good = ours["a second"] >= TIMES_WEBDATASET * against["a second"]
            print(f"{name}: {verdict(good)} {TIMES_WEBDATASET:.0f} times webdataset", end="")
            for unit in ("a second", "a second of processor"):
                ahead = ours[unit] / max(row[unit] for row in others)
                print(f"; {verdict(ahead > 1)} {ahead:.2f} times the fastest other {unit}", end="")
            print()
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
