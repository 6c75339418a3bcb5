"""A dataset in a bucket is read as from a disk, whatever the network does to it."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.dataset.shards import marker_bytes, read_marker
from ns2.pipeline.remote import objects as remote
from ns2.pipeline.remote.objects import Objects
from ns2.train.data import Reader, open_data
from tests.support.bucket.proxy import Faults, Proxy, proxy_before
from tests.support.bucket.server import S3Server, reach
from tests.support.dataset_factories import Recipe, make_dataset
from tests.support.factories import ROOT

URL = "s3://bucket/shards"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("here") / "shards", Recipe(shards=4, per_shard=12))


@pytest.fixture
def proxy(
    s3: S3Server, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """A proxy before a bucket that holds the dataset; the cache is empty."""
    s3.upload(here, "shards")
    with proxy_before(s3.port) as proxy:
        reach(proxy.endpoint, tmp_path / "cache", monkeypatch)
        monkeypatch.setattr(remote, "PATIENCE", 30.0)
        yield proxy


def arrays(fetched: list[Any]) -> list[tuple[str, dict[str, bytes]]]:
    return [(one.key, {n: a.tobytes() for n, a in one.arrays.items()}) for one in fetched]


def steps(place: str | Path, epochs: int = 2, **chosen: Any) -> list[Any]:
    data = open_data([place])
    with Reader(data, arrays, seed=0, global_frames=300, epochs=epochs, **chosen) as reader:
        return [step.batch for step in reader]


def command(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_every_value_is_that_of_the_folder(proxy: Proxy, here: Path) -> None:
    near, far = Dataset(here), Dataset(URL)
    assert far.card == near.card and far.keys == near.keys and far.place == URL
    for one, other in zip(near, far, strict=True):
        for name, value in one.items():
            assert np.array_equal(value, other[name]), name
    assert len(proxy.lines) < 6 * len(near.columns) + 20  # and not one for each array
    travelled = pickle.loads(pickle.dumps(far))  # as to a process of a DataLoader
    assert np.array_equal(travelled[0]["codes"], near[0]["codes"])


def test_training_reads_the_same_steps_and_asks_once(proxy: Proxy, here: Path) -> None:
    expected = steps(here)
    assert steps(URL) == expected
    asked = [line for line in proxy.lines if re.search(r"/\d{5}-", line[0])]  # tars and markers
    assert 0 < len(asked) == len(set(asked))
    proxy.lines.clear()
    assert steps(URL) == expected
    assert [line for line, _ in proxy.lines] == ["GET /bucket/shards/dataset.json HTTP/1.1"]


def test_small_arrays_come_from_markers(proxy: Proxy, s3: S3Server, tmp_path: Path) -> None:
    near, url = tmp_path / "longer", "s3://bucket/longer"
    make_dataset(near, Recipe(shards=2, per_shard=12, frames=(200, 290)))
    s3.upload(near, "longer")
    expected = steps(near, epochs=1)

    def columns_of_tars() -> set[str]:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        proxy.lines.clear()
        assert steps(url, epochs=1) == expected
        tars = [line for line, _ in proxy.lines if ".tar " in line]
        return {line.split("/")[3].partition("-")[0] for line in tars}

    assert columns_of_tars() == {"codes", "f0"}
    for path in near.glob("phonemes-*/*.parquet"):  # markers of before hold no members
        name = path.relative_to(near).as_posix()
        s3.put(f"longer/{name}", marker_bytes(read_marker(path)))
    assert columns_of_tars() == {"codes", "f0", "phonemes"}


@pytest.mark.parametrize(
    "faults",
    [Faults(error=0.1), Faults(reset=0.1), Faults(cut=0.1), Faults(wrong=0.1)],
    ids=["error", "reset", "cut", "wrong"],
)
def test_faults_of_the_network_change_nothing(proxy: Proxy, here: Path, faults: Faults) -> None:
    proxy.faults = faults
    assert steps(URL) == steps(here)
    for _ in range(20):
        if any(proxy.met[kind] for kind in ("error", "reset", "cut", "wrong")):
            return
        Dataset(URL)
    pytest.fail("no fault was met")


def test_what_is_wrong_in_the_bucket_never_passes(proxy: Proxy, s3: S3Server, here: Path) -> None:
    tar = Dataset(here).tars("codes")[1].relative_to(here).as_posix()
    data = bytearray((here / tar).read_bytes())
    data[700] ^= 1
    s3.put(f"shards/{tar}", bytes(data))
    with pytest.raises(DamageError, match=r"codes of utt0012 is damaged"):
        Dataset(URL).read("codes", "utt0012")
    found = command("verify", URL)
    assert found.exit_code == 1 and f"{tar}, column codes, shard 1, key utt0012" in found.output
    s3.put(f"shards/{tar}", bytes(data[:2000]))
    with pytest.raises(DamageError, match=r"00001-.*tar ends before the bytes"):
        Dataset(URL).read("codes", "utt0014")
    s3.delete(f"shards/{tar}")
    with pytest.raises(DamageError, match=r"00001-.*tar is not there"):
        Dataset(URL).read("codes", "utt0013")
    found = command("verify", URL)
    assert found.exit_code == 1 and "is missing" in found.output


def test_a_sample_is_verified_by_its_ranges(
    proxy: Proxy, s3: S3Server, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ns2.pipeline.dataset.bucket.scratch.TRIES", 12)
    words = ("--sample", 6, "--workers", 1)

    def faults(place: str | Path, code: int) -> list[str]:
        found = command("verify", place, *words)
        assert found.exit_code == code, found.output
        return [line.replace(str(place), "") for line in found.stdout.splitlines()]

    assert faults(URL, 0) == faults(here, 0)
    ranges = [line for line in proxy.lines if line[0].startswith("GET") and ".tar " in line[0]]
    assert 0 < len(ranges) <= 6 and all(one for _, one in ranges)
    for name in ("dataset.json", "SHA256SUMS", "index.parquet", "codes-"):
        proxy.faults = Faults(wrong_at=name)
        assert faults(URL, 0) == faults(here, 0), name
        assert not proxy.faults.wrong_at
    proxy.faults = Faults(wrong=0.3)
    assert faults(URL, 0) == faults(here, 0)
    damaged = shutil.copytree(here, tmp_path / "damaged")
    for column, how in (("codes", "bytes"), ("mel", "cut"), ("f0", "gone")):
        for tar in Dataset(here).tars(column):
            name = tar.relative_to(here).as_posix()
            data = tar.read_bytes()
            data = data[:700] if how == "cut" else bytes(b ^ 1 for b in data)
            if how == "gone":
                (damaged / name).unlink()
                s3.delete(f"shards/{name}")
            else:
                (damaged / name).write_bytes(data)
                s3.put(f"shards/{name}", data)
    found = faults(damaged, 1)
    assert faults(URL, 1) == found and len(found) > 6


def test_a_damaged_cache_is_mended(proxy: Proxy, here: Path, tmp_path: Path) -> None:
    expected = steps(here)
    assert steps(URL) == expected
    for path in (tmp_path / "cache").rglob("*.ranges"):
        with path.open("r+b") as file:
            file.seek(600)
            file.write(bytes(200))
    for path in (tmp_path / "cache").rglob("index.parquet"):
        path.write_bytes(path.read_bytes()[:-1])
    assert steps(URL) == expected


def test_a_small_cache_is_enough(
    proxy: Proxy, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(shards=12, per_shard=16, frames=(200, 400), quantizers=16)
    large = make_dataset(tmp_path / "large", recipe)
    s3.upload(large, "large")
    monkeypatch.setenv("NS2_CACHE_SIZE", "1M")
    read = {"global_frames": 4000, "epochs": 1}
    found = []
    for place in (large, "s3://bucket/large"):
        with Reader(open_data([place]), arrays, seed=0, **read) as reader:  # type: ignore[arg-type]
            found.append([step.batch for step in reader])
    assert found[0] == found[1]
    kept = sum(path.stat().st_blocks * 512 for path in (tmp_path / "cache").rglob("*.ranges"))
    assert kept < 1_200_000 < sum(p.stat().st_size for p in large.rglob("*.tar"))


FULL = """
import sys
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset import Dataset
try:
    data = Dataset("s3://bucket/wide", columns=["mel"])
    print(sum(int(data.read("mel", i).any()) for i in range(len(data))))
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("room", ["40k", "120k", "300k"])
def test_a_full_disk_is_named_or_made_do_with(
    proxy: Proxy, tmp_path: Path, s3: S3Server, room: str
) -> None:
    """A disk in memory without room for the small files, for a tar, or for all tars."""
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system lets nobody mount a disk of his own")
    wide = make_dataset(tmp_path / "wide", Recipe(shards=6, per_shard=16, frames=(90, 120)))
    s3.upload(wide, "wide")
    (tmp_path / "cache").mkdir()
    mounted = f'mount -t tmpfs -o size={room} none "$NS2_CACHE" && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounted, sys.executable, FULL],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if room == "40k":
        assert done.returncode == 1 and "no room for copies in" in done.stderr, done
    else:
        assert done.stdout.strip() == "96", done.stderr


def test_training_goes_on_while_the_server_is_gone(proxy: Proxy, here: Path) -> None:
    expected = steps(here, epochs=1)
    steps(URL, epochs=1)
    data = open_data([URL])
    proxy.faults.gone = True
    with Reader(data, arrays, seed=0, global_frames=300, epochs=1) as reader:
        assert [step.batch for step in reader] == expected


READS = f"""
from ns2.train.data import Reader, open_data
with Reader(open_data(["{URL}"]), len, seed=0, global_frames=300, epochs=9) as steps:
    for step in steps:
        pass
"""


EXPORTS = ("-m", "ns2.cli", "export", URL, "{out}")


@pytest.mark.parametrize(
    ("words", "gone_at"),
    [
        (EXPORTS, "codes-"),
        (("-c", READS), "codes-"),
        (EXPORTS, "dataset.json"),
        (("-c", READS), "index.parquet"),
    ],
)
def test_an_interrupt_ends_what_waits_for_a_server(
    proxy: Proxy, tmp_path: Path, words: tuple[str, ...], gone_at: str
) -> None:
    named = [word.replace("{out}", str(tmp_path / "out")) for word in words]
    proxy.faults.gone_at = gone_at
    with subprocess.Popen(
        [sys.executable, *named],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # what runs in the background of a shell ignores it, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        while "is made again" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)  # of the two minutes for which a server is waited for
    assert process.returncode != 0


def test_a_server_that_stays_away_is_waited_for_once(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 5.0)
    proxy.faults.gone_at = "codes-"
    began = time.monotonic()
    with pytest.raises(UserError, match="can't be reached"):
        steps(URL, epochs=9)
    assert time.monotonic() - began < 3 * 5.0  # and not once more for each step ahead


@pytest.mark.parametrize("ended", [KeyboardInterrupt, SystemExit, GeneratorExit, DamageError])
def test_what_goes_on_after_a_reader_asks_again(proxy: Proxy, ended: type[BaseException]) -> None:
    """In a notebook, say, where the next cell reads from a place that is open already."""
    place, data = Objects(URL), open_data([URL])
    with suppress(ended), Reader(data, len, seed=0, global_frames=300, epochs=1) as steps:
        next(steps)
        raise ended
    assert command("inspect", URL).exit_code == 0
    proxy.faults.gone = True
    threading.Timer(0.5, setattr, (proxy.faults, "gone", False)).start()
    assert place.read("dataset.json")


def test_nobody_waits_for_what_was_to_be_fetched_ahead(proxy: Proxy, here: Path) -> None:
    """A reader that waits for a job behind those that are on their way, and a pool used again."""
    far, found = Dataset(URL), list[BaseException]()
    everything = np.arange(len(far))
    far.bytes_of(far.columns, everything)  # the index is here
    proxy.faults.gone = True
    far.ahead(dict.fromkeys(far.columns, everything))

    def look() -> None:
        try:
            for column in far.columns:
                far.read_many(column, everything)
        except UserError as error:
            found.append(error)

    reading = threading.Thread(target=look, daemon=True)
    reading.start()
    reading.join(1.0)
    assert reading.is_alive()
    with remote.nobody_waits():
        reading.join(20.0)
        assert not reading.is_alive() and found
    proxy.faults.gone = False
    far.ahead(dict.fromkeys(far.columns, everything))
    assert np.array_equal(far[0]["codes"], Dataset(here)[0]["codes"])


def test_a_dataset_that_changes_stops_a_run(
    proxy: Proxy, s3: S3Server, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ns2.pipeline.dataset.bucket.mirror._LOOK_AGAIN", 0.0)
    data = open_data([URL])
    card = (here / "dataset.json").read_text()
    s3.delete("shards/dataset.json")
    with pytest.raises(UserError, match="has changed since the run began"):
        data.check_unchanged()
    s3.put("shards/dataset.json", card.encode())
    open_data([URL]).check_unchanged()


def test_commands_take_urls(proxy: Proxy, here: Path, tmp_path: Path) -> None:
    verified = command("verify", URL)
    assert verified.exit_code == 0 and f"{URL}: 48 utterances in 4 shards" in verified.output
    assert "no faults" in command("verify", URL, "--workers", 2).output
    assert URL in command("inspect", URL).output
    assert command("inspect", URL, "--key", "utt0003").exit_code == 0
    files = command("inspect", URL, "--files", "mel").output.split()
    assert len(files) == 4 and all(one.startswith(f"{URL}/mel-") for one in files)
    assert command("diff", URL, here).exit_code == 0
    for place, out in ((URL, "far"), (here, "near")):
        assert command("export", place, tmp_path / out).exit_code == 0
    near, far = (
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}
        for out in ("near", "far")
    )
    assert near == far


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_asked_again_is_told(proxy: Proxy, workers: int) -> None:
    told = command("verify", URL, "--workers", workers)
    assert "note:" not in told.stderr and "network:" not in told.stderr
    proxy.faults = Faults(error=0.06, wrong=0.06)
    proxy.met.clear()
    told = command("verify", URL, "--workers", workers)
    assert told.exit_code == 0, told.output
    met = sum(proxy.met[kind] for kind in ("error", "wrong"))
    assert told.stderr.count("The request is made again") == 1
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("network:")]
    found = re.match(
        r"network: (\d+) requests, (\d+) of them made again after faults, (\d+) of these for "
        r"wrong bytes; [\d.]+ MB received, [\d.]+ s of waiting$",
        line,
    )
    assert found is not None, line
    assert [int(n) for n in found.groups()] == [sum(proxy.met.values()), met, proxy.met["wrong"]]


def test_messages_name_urls(proxy: Proxy, tmp_path: Path) -> None:
    missing = command("inspect", "s3://bucket/nowhere")
    assert missing.exit_code == 1 and "s3://bucket/nowhere has no dataset.json" in missing.output
    column = command("export", URL, tmp_path / "out", "--columns", "nothing")
    assert column.exit_code == 1 and f"{URL} has no column nothing" in column.output
    size = command("inspect", URL, "--cache-size", "much")
    assert size.exit_code == 2 and "--cache-size much: expected a number" in size.output


def test_options_choose_the_cache(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NS2_CACHE", "NS2_CACHE_SIZE"):
        monkeypatch.setenv(name, "")
    found = command("inspect", URL, "--key", "utt0001", "--cache", tmp_path / "own")
    assert found.exit_code == 0, found.output
    assert list((tmp_path / "own").rglob("*.ranges")) and os.environ["NS2_CACHE"]
