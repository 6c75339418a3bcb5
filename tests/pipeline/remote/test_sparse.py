"""Ranges of a file in the cache: fetched once by whoever is first, whole or not at all."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ns2.pipeline.remote.cache import SUFFIX, OpenFiles, Room
from ns2.pipeline.remote.sparse import BLOCK, SparseFile, merged

OBJECT = random.Random(0).randbytes(400 * BLOCK)


def part(begin: int, end: int) -> bytes:
    return OBJECT[begin:end]


@pytest.fixture
def file(tmp_path: Path) -> SparseFile:
    return SparseFile(tmp_path / "folder" / f"a{SUFFIX}", len(OBJECT))


def test_a_range_is_there_once_it_was_fetched(file: SparseFile) -> None:
    assert not file.has(1000, 3000)
    assert file.fetch((1000, 3000), part) == 5 * BLOCK  # whole blocks
    assert file.has(1000, 3000) and file.has(512, 3072) and not file.has(512, 3073)
    assert bytes(file.view[1000:3000]) == OBJECT[1000:3000]
    again = SparseFile(file.path, len(OBJECT))
    assert again.has(1000, 3000) and again.fetch((1000, 3000), part) == 0


def test_only_what_is_missing_of_a_range_is_fetched(file: SparseFile) -> None:
    asked: list[tuple[int, int]] = []

    def get(begin: int, end: int) -> bytes:
        asked.append((begin // BLOCK, end // BLOCK))
        return part(begin, end)

    file.fetch((100 * BLOCK, 200 * BLOCK), get)
    file.fetch((0, 400 * BLOCK), get)
    assert asked == [(100, 200), (0, 100), (200, 400)]
    assert bytes(file.view[: len(OBJECT)]) == OBJECT


def test_a_failed_fetch_leaves_the_range_missing(file: SparseFile) -> None:
    def fail(begin: int, end: int) -> bytes:
        raise OSError

    with pytest.raises(OSError):
        file.fetch((0, 5000), fail)
    assert not file.has(0, 1)
    file.fetch((0, 5000), part)
    file.forget(600, 700)
    assert not file.has(512, 1024) and file.has(0, 512) and file.has(1024, 5000)


def test_threads_fetch_each_range_once(file: SparseFile) -> None:
    fetched: list[int] = []

    def get(begin: int, end: int) -> bytes:
        time.sleep(0.001)
        fetched.extend(range(begin // BLOCK, end // BLOCK))
        return part(begin, end)

    def read(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(20):
            begin = rng.randrange(399) * BLOCK
            end = min(begin + rng.randrange(1, 60) * BLOCK, len(OBJECT))
            file.fetch((begin, end), get)
            assert bytes(file.view[begin:end]) == OBJECT[begin:end]

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # a few blocks that are there may come again with what lies around them
    assert len(fetched) < 1.5 * len(set(fetched))


HOLDER = """
import sys, time
from pathlib import Path
from ns2.pipeline.remote.sparse import SparseFile
def get(begin, end):
    print("fetching", flush=True)
    time.sleep(60)
SparseFile(Path(sys.argv[1]), int(sys.argv[2])).fetch((0, 512), get)
"""


def test_a_killed_process_frees_its_range(file: SparseFile) -> None:
    command = [sys.executable, "-c", HOLDER, str(file.path), str(len(OBJECT))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"fetching\n"
        file.fetch((512, 1024), part)  # another range is free
        killed = threading.Timer(0.2, process.kill)
        killed.start()
        assert file.fetch((0, 512), part) == 512
        killed.join()


def test_a_deleted_file_stays_readable_and_is_begun_anew(file: SparseFile) -> None:
    files = OpenFiles()
    first = files.open(file.path, len(OBJECT))
    first.fetch((0, 512), part)
    file.path.unlink()
    assert bytes(first.view[:512]) == OBJECT[:512]
    assert first.fetch((512, 1024), part) == 0 and not first.is_current()
    second = files.open(file.path, len(OBJECT))
    assert second is not first and not second.has(0, 512)


def test_the_cache_keeps_below_its_size_and_what_was_used_last(tmp_path: Path) -> None:
    import os

    size = 64 * BLOCK
    for i in range(10):
        path = tmp_path / "set" / f"{i}{SUFFIX}"
        SparseFile(path, size).fetch((0, size), part)
        os.utime(path, (i, i))
    os.utime(tmp_path / "set" / f"0{SUFFIX}")
    used = sum(p.stat().st_blocks * 512 for p in (tmp_path / "set").iterdir())
    Room(tmp_path, used // 2).make()
    left = sorted(p.name.removesuffix(SUFFIX) for p in (tmp_path / "set").iterdir())
    assert left == ["0", "7", "8", "9"]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(0, 100), (100, 200)], [(0, 200)]),
        ([(5000, 6000), (0, 1000)], [(0, 1000), (5000, 6000)]),  # would double the bytes
        ([(0, 50_000), (54_000, 100_000)], [(0, 100_000)]),
        ([(0, 1000), (1600, 2000)], [(0, 2000)]),  # a header lies between
        ([(0, 250_000)], [(0, 100_000), (100_000, 200_000), (200_000, 250_000)]),
    ],
)
def test_ranges_are_joined_where_little_is_wasted(
    ranges: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert merged(ranges, 100_000) == expected
