"""Reading from a bucket for training: the part of benchmarks.reader that `--remote` asks for.

The arrays of benchmarks.reader lie in moto's server of S3 on this machine, behind a proxy that
answers each request 20 ms late. Each reader reads a whole epoch with an empty cache (cold), then
three times more (warm), in processes of their own, and the proxy counts requests and bytes. ns2
reads the same from a folder after each warm epoch. Speeds are those of an epoch with opening the
dataset, which asks the bucket whether it has changed; those of ns2 are compared without it, too.
Warm epochs run on one core: threads that hand each other Python's lock over two cores take half as
long again in some runs.

What is needed is the arrays that the trainer takes: their values, without the headers of .npy
files, headers and padding of tars, or an index.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reading import reader as local
from benchmarks.support.machine import verdict
from tests.support.bucket.proxy import Faults, Proxy, proxy_before
from tests.support.bucket.server import environment, s3_server

PREFIXES = {"ns2": "ns2", "mosaicml-streaming": "mds", "litdata": "litdata"}
"""The readers that take part, and where their files lie in the bucket."""
MOST_BYTES = 1.1
"""The most bytes that a cold epoch may take, as a multiple of what is needed."""
LEAST_WARM = 0.95
"""The least speed of a warm epoch, as a multiple of that from a folder."""
WARM = 3
"""Warm epochs for each cold one."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to those of benchmarks.reader."""
    parser.add_argument(
        "--remote",
        action="store_true",
        help="Readers read from a server of S3 on this machine, cold and warm; needs moto[server].",
    )
    parser.add_argument(
        "--delay",
        type=float,
        default=0.02,
        help="With --remote: the seconds by which each answer is late.  [default: %(default)s]",
    )


OPENED: list[float] = []
"""When the dataset of this process was open."""


def note_opened() -> None:
    OPENED.append(time.perf_counter())


def read_ns2(cache: Path) -> tuple[int, float]:
    """Read as `ns2 train` does, with the dataset's URL."""
    os.environ["NS2_CACHE"] = str(cache)
    return local.read_ns2("s3://bucket/ns2", check=True, opened=note_opened)


def read_mds(cache: Path) -> tuple[int, float]:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    os.environ["S3_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    data = StreamingDataset(
        remote="s3://bucket/mds", local=str(cache), shuffle=True, batch_size=1, predownload=4096
    )
    note_opened()
    count, total = 0, 0.0
    for sample in data:
        total += local.sums(sample[name] for name in local.COLUMNS)
        count += 1
    return count, total


def read_litdata(cache: Path) -> tuple[int, float]:
    import numpy as np
    from litdata import StreamingDataset
    from litdata.streaming import downloader

    # it has no option for servers without encryption, such as this one
    downloader._OBSTORE_CLIENT_OPTIONS = {"allow_http": True}
    data = StreamingDataset(
        "s3://bucket/litdata",
        cache_dir=str(cache),
        shuffle=True,
        seed=0,
        storage_options={"endpoint_url": os.environ["AWS_ENDPOINT_URL"]},
    )
    note_opened()
    count, total = 0, 0.0
    for sample in data:
        total += local.sums(np.asarray(sample[name]) for name in local.COLUMNS)
        count += 1
    return count, total


def read_folder(root: Path) -> tuple[int, float]:
    """Read the same from a folder."""
    return local.read_ns2(root, check=True, opened=note_opened)


READERS: dict[str, Callable[[Path], tuple[int, float]]] = {
    "ns2": read_ns2,
    "mosaicml-streaming": read_mds,
    "litdata": read_litdata,
    "folder": read_folder,
}
IMPORTS = {
    "ns2": ("ns2.train.data.selection", "ns2.train.data.prefetch", "obstore"),
    "mosaicml-streaming": ("streaming",),
    "litdata": ("litdata", "obstore"),
    "folder": ("ns2.train.data.selection", "ns2.train.data.prefetch"),
}
"""What each loads before its time begins."""


@dataclass(frozen=True)
class Epoch:
    """An epoch of a reader: utterances a second, and what was asked of the server for each.

    Attributes:
        speed: with opening the dataset.
        read: without it.
        requests, bytes: for each utterance.
    """

    speed: float
    read: float
    requests: float
    bytes: float


def one_epoch(name: str, state: str, cache: Path, proxy: Proxy, expected: int) -> Epoch:
    """Read an epoch in a process of its own, whose start does not count."""
    begun = len(proxy.lines), proxy.bytes
    command = [sys.executable, "-m", "benchmarks.reading.remote", name, state, str(cache)]
    done = subprocess.run(
        command, env={**os.environ, **environment(proxy.endpoint)}, stdout=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    if found["count"] != expected:
        raise SystemExit(f"{name} read {found['count']} of {expected} utterances")
    requests, size = len(proxy.lines) - begun[0], proxy.bytes - begun[1]
    seconds, opening = found["seconds"], found["opening"]
    return Epoch(
        speed=expected / seconds,
        read=expected / (seconds - opening),
        requests=requests / expected,
        bytes=size / expected,
    )


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Median figures of each reader, cold and warm."""
    args.only = args.only or f"CRC,{','.join(list(PREFIXES)[1:])}"
    readers = local.prepared(args, folder)
    names = {reader.name.split(",")[0]: reader.root(folder) for reader in readers}
    needed = statistics.mean(
        sum(array.nbytes for array in arrays.values())
        for _, arrays in local.utterances(args.utterances)
    )
    tars = sum(path.stat().st_size for path in names["ns2"].rglob("*.tar"))
    figures: dict[str, Any] = {"bytes needed": needed, "bytes of tars": tars / args.utterances}
    with s3_server() as server, proxy_before(server.port, Faults(delay=args.delay)) as proxy:
        for name, root in names.items():
            server.upload(root, PREFIXES[name])
        epochs: dict[tuple[str, str], list[Epoch]] = {}
        disk: list[Epoch] = []
        for _ in range(args.rounds):
            for name, root in names.items():
                cache = folder / "cache" / name
                shutil.rmtree(cache, ignore_errors=True)
                for state in ("cold", *("warm",) * WARM):
                    found = one_epoch(name, state, cache, proxy, args.utterances)
                    epochs.setdefault((name, state), []).append(found)
                    print(f"  {name:<20}{state:<6}{found}", flush=True)
                    if (name, state) == ("ns2", "warm"):
                        disk.append(one_epoch("folder", state, root, proxy, args.utterances))
                        print(f"  {'ns2 from a folder':<26}{disk[-1]}", flush=True)
    for (name, state), found_epochs in epochs.items():
        figures.setdefault(name, {})[state] = {
            field: statistics.median(getattr(one, field) for one in found_epochs)
            for field in ("speed", "read", "requests", "bytes")
        }
    figures["disk"] = {
        field: statistics.median(getattr(one, field) for one in disk) for field in ("speed", "read")
    }
    return figures


def show(figures: dict[str, Any], delay: float) -> None:
    """Print what was found."""
    needed = figures["bytes needed"]
    print(
        f"each answer {1000 * delay:.0f} ms late; {needed:,.0f} bytes of arrays an utterance, "
        f"{figures['bytes of tars']:,.0f} in ns2's tars"
    )
    print(f"{'':<20}{'':<6}{'a second':>10}{'requests':>10}{'bytes':>10}{'of needed':>10}")
    for name in PREFIXES:
        for state, row in figures.get(name, {}).items():
            print(
                f"{name:<20}{state:<6}{row['speed']:>10.0f}{row['requests']:>10.4f}"
                f"{row['bytes']:>10.0f}{row['bytes'] / needed:>10.2f}"
            )
    print(f"{'ns2 from a folder':<26}{figures['disk']['speed']:>10.0f}")
    ours = figures["ns2"]
    others = [figures[name]["cold"]["speed"] for name in PREFIXES if name in figures][1:]
    if others:
        share = ours["cold"]["speed"] / max(others)
        print(f"cold: {verdict(share >= 1)} {share:.2f} times the fastest other")
    share = ours["cold"]["bytes"] / needed
    print(f"bytes: {verdict(share <= MOST_BYTES)} {share:.2f} times what is needed")
    with_opening, share = (ours["warm"][name] / figures["disk"][name] for name in ("speed", "read"))
    print(
        f"warm: {verdict(share >= LEAST_WARM)} {share:.2f} times a folder once it is open, "
        f"{with_opening:.2f} times with the opening"
    )


def main() -> None:
    """Read one epoch, and print how long that took: what `one_epoch` starts."""
    name, state, cache = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if state == "warm":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for module in IMPORTS[name]:
        importlib.import_module(module)
    began = time.perf_counter()
    count, _ = READERS[name](cache)
    seconds, opening = time.perf_counter() - began, OPENED[-1] - began
    print(json.dumps({"count": count, "seconds": seconds, "opening": opening}))


if __name__ == "__main__":
    main()
