"""Reading for training: utterances a second of our reader and of others, on the same arrays.

    python -m benchmarks.reader [--utterances 10000] [--rounds 5] [--only NAMES] [--work DIR]

Codes (16, T), f0 (T,), phonemes and durations (N,) of made-up utterances with lengths like
LibriTTS's are written once in each format. Then each reader gives a whole epoch, shuffled as it
does that, in one process with one thread beside it at most, and every array is summed. Readers
take turns for several rounds, and the median of each counts; one that is far slower than ours
sits out all but two. All files are in the page cache, so
this is the cost of the reader, not of a disk.

Ours is measured as `ns2 train` has it, every array held against its CRC-32, and without that; no
other reader here checks what it reads. Ours also gives steps of utterances of like length.

webdataset comes with ns2. The others, best in a virtual environment of their own:
pip install lhotse litdata lightning-utilities boto3, and, since it asks for an older numpy than it
needs, pip install --no-deps mosaicml-streaming and what it imports: zstd zstandard brotli
python-snappy cramjam xxhash catalogue torchvision "transformers<5" "huggingface-hub<1" and
"tokenizers<0.23".
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reading.plan import COLUMNS, SHARD, lengths
from benchmarks.support.command import ROOT, arguments, folders
from benchmarks.support.machine import machine, show_machine, verdict

TIMES_WEBDATASET, SLOW = 10.0, 5.0
QUANTIZERS, ENTRIES = 16, 1024
GLOBAL_FRAMES = 16_000
Arrays = dict[str, np.ndarray]


def utterances(count: int) -> Iterator[tuple[str, Arrays]]:
    """Keys and arrays, the same ones each time."""
    rng = np.random.default_rng(0)
    for i, frames in enumerate(lengths(rng, count).tolist()):
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
    """Touches every byte."""
    return float(sum(array.sum() for array in arrays))


@dataclass(frozen=True)
class Contender:
    """A reader and the writer of its format.

    Attributes:
        write: makes the files below a folder.
        epoch: reads them all in its own shuffled order: number of utterances and total sum.
        needs: the package that it takes.
    """

    name: str
    write: Callable[[Path, int], None]
    epoch: Callable[[Path], tuple[int, float]]
    needs: str = "numpy"
    folder: str = ""


def write_ns2(root: Path, count: int) -> None:
    """A dataset by the real writer; only the stages are left out."""
    from ns2.pipeline.core.schema import COLUMNS as KINDS
    from ns2.pipeline.core.schema import ColumnSpec
    from ns2.pipeline.dataset import layout
    from ns2.pipeline.dataset.card import card_text, sealed
    from ns2.pipeline.dataset.index import index_schema
    from ns2.pipeline.dataset.layout import FORMAT, FORMAT_VERSION
    from ns2.pipeline.dataset.shards import Marker, Member, TarWriter, encode_value
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
    columns = {name: {"dtype": KINDS[name][0], "dims": list(KINDS[name][1])} for name in COLUMNS}
    card = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "assets": [], "columns": columns,
        "grid": {"sample_rate": 24_000, "hop_length": 320}, "counts": {"written": count},
    }  # fmt: skip
    (root / layout.CARD).write_text(card_text(sealed(card)))


def read_ns2(root: Path, *, check: bool) -> tuple[int, float]:
    """The reader of `ns2 train`: plan, thread, steps in order; arrays are summed as a batch is."""
    from ns2.train.data.prefetch import Fetched, Reader
    from ns2.train.data.selection import open_data

    def collate(fetched: list[Fetched]) -> float:
        return sum(sums(one.arrays.values()) for one in fetched)

    count, total = 0, 0.0
    with Reader(
        open_data([root]), collate, seed=0, global_frames=GLOBAL_FRAMES, epochs=1, threads=1,
        check=check,
    ) as reader:  # fmt: skip
        for step in reader:
            count, total = count + step.utterances, total + step.batch
    return count, total


def read_by_position(root: Path) -> tuple[int, float]:
    """`Dataset.read` in the order of a plan, one array after the other, copied."""
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
    """Shards and a buffer of a thousand are shuffled; its own decoder."""
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
    """Shards in another order, then a buffer of a thousand cuts, as its docs have it."""
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
    """Shuffled by its default algorithm, iterated without a loader."""
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
    """Shuffled as it does, iterated without a loader."""
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


def measure(args: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Utterances a second of each, and of nothing but the sums."""
    memory = [list(arrays.values()) for _, arrays in utterances(args.utterances)]
    truth = sum(sums(arrays) for arrays in memory)
    taking: list[Contender] = []
    for one in CONTENDERS:
        if args.only and not any(word in one.name for word in args.only.split(",")):
            continue
        if importlib.util.find_spec(one.needs) is None:
            print(f"{one.name:<28} is not installed: see --help", flush=True)
            continue
        root = folder / (one.folder or one.name.replace(" ", "-"))
        if not root.exists():
            one.write(root, args.utterances)
        taking.append(one)
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
        for one in taking:
            best = max(processor.get(taking[0].name, [0.0]))
            if number >= 2 and SLOW * max(processor[one.name]) < best:
                continue
            root = folder / (one.folder or one.name.replace(" ", "-"))
            note(one.name, lambda one=one, root=root: one.epoch(root))  # type: ignore[misc]
        note("sums alone", lambda: (len(memory), sum(sums(arrays) for arrays in memory)))
    return {
        name: {
            "a second": statistics.median(clock[name]),
            "a second of processor": statistics.median(processor[name]),
        }
        for name in clock
    }


def main() -> None:
    parser = arguments("benchmarks.reader", __doc__)
    add = parser.add_argument
    add("--utterances", type=int, default=10_000, help="[default: 10000]")
    add("--rounds", type=int, default=5, help="[default: 5]")
    add("--only", metavar="NAMES", help="parts of names, with commas between")
    add("--work", type=Path, default=ROOT / "build" / "benchmark", help="for the files")
    add("--json", type=Path, metavar="FILE", help="takes all figures")
    args = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    show_machine(figures["machine"], 1)
    with folders(args.work.absolute()) as (folder, _):
        figures["utterances a second"] = found = measure(args, folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    against = found.get("webdataset")
    load = os.getloadavg()[0]
    print(f"utterances a second of the clock and of processors; load {load:.1f} at the end")
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
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
