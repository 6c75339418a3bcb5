"""A dataset in a bucket is read as from a disk, whatever the network does to it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.remote import objects as remote
from ns2.train.data import Reader, open_data
from tests.support.bucket.proxy import Faults, Proxy, proxy_before
from tests.support.bucket.server import S3Server, reach
from tests.support.dataset_factories import Recipe, make_dataset

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
    asked = [line for line in proxy.lines if ".tar " in line[0]]
    assert 0 < len(asked) == len(set(asked))
    proxy.lines.clear()
    assert steps(URL) == expected
    assert [line for line, _ in proxy.lines] == ["GET /bucket/shards/dataset.json HTTP/1.1"]


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
    s3.delete(f"shards/{tar}")
    with pytest.raises(DamageError, match=r"00001-.*tar is not there"):
        Dataset(URL).read("codes", "utt0013")
    found = command("verify", URL)
    assert found.exit_code == 1 and "is missing" in found.output


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


def test_training_goes_on_while_the_server_is_gone(proxy: Proxy, here: Path) -> None:
    expected = steps(here, epochs=1)
    steps(URL, epochs=1)
    data = open_data([URL])
    proxy.faults.gone = True
    with Reader(data, arrays, seed=0, global_frames=300, epochs=1) as reader:
        assert [step.batch for step in reader] == expected


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
