"""`ns2 preprocess` to a bucket: the same bytes as on a disk, whenever it is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.bucket import lease, staging
from ns2.pipeline.dataset.bucket.lease import Lease
from ns2.pipeline.dataset.bucket.staging import Staging
from ns2.pipeline.dataset.layout import LEASE
from ns2.pipeline.remote.objects import Objects
from tests.support import warm
from tests.support.bucket.proxy import Faults, proxy_before
from tests.support.bucket.server import S3Server, environment, reach
from tests.support.preprocessing import contents


def command(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def made(corpus: Path, out: object, *more: object) -> Result:
    return command(*line(corpus, out, *more))


def line(corpus: Path, out: object, *more: object) -> list[object]:
    return ["preprocess", corpus, "-o", out, "--codec", "mini", "--shard-utterances", 4,
            "--val-share", 0.3, "--quantizers", 4, "--executor", "inline", *more]  # fmt: skip


def in_bucket(s3: S3Server, prefix: str) -> dict[str, bytes]:
    found = s3.contents(prefix)
    assert LEASE not in found
    return {name: data for name, data in found.items() if not name.startswith(".state")}


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    yield s3


def test_a_bucket_gets_the_bytes_of_a_folder(
    bucket: S3Server, corpus: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "s3://bucket/made"
    done = made(corpus, url)
    assert done.exit_code == 0, done.output
    assert url in done.output
    assert in_bucket(bucket, "made") == contents(speech)
    assert command("verify", url).exit_code == 0
    taken = sum(p.stat().st_blocks * 512 for p in (tmp_path / "cache").rglob("*.tar"))
    assert taken == 0  # what lies in the bucket takes no room here
    # from another machine, without a recording: arrays are copied from the bucket
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "other"))
    min((corpus / "wavs").iterdir()).unlink()
    near = shutil.copytree(speech, tmp_path / "near")
    assert made(corpus, near, "--max-rejected", 1).exit_code == 0
    done = made(corpus, url, "--max-rejected", 1)
    assert done.exit_code == 0, done.output
    before = in_bucket(bucket, "made")
    assert command("gc", url, "--dry-run").exit_code == 0
    assert in_bucket(bucket, "made") == before
    assert command("gc", url).exit_code == 0
    left = in_bucket(bucket, "made")
    assert set(left) < set(before) and command("verify", url).exit_code == 0
    assert command("diff", url, near).exit_code == 0


def test_faults_change_nothing(bucket: S3Server, corpus: Path, speech: Path) -> None:
    faults = Faults(error=0.05, reset=0.03, cut=0.03)
    with proxy_before(bucket.port, faults) as proxy:
        os.environ.update(environment(proxy.endpoint))  # the fixture puts them back
        done = made(corpus, "s3://bucket/faulty")
        assert done.exit_code == 0, done.output
    assert in_bucket(bucket, "faulty") == contents(speech)


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.large)])
def test_a_killed_run_goes_on(bucket: S3Server, corpus: Path, speech: Path, kills: int) -> None:
    """Kills fall where some share of the objects is there, whatever time a machine takes."""
    prefix, rng, killed, whole = f"killed{kills}", random.Random(kills), 0, contents(speech)
    most = 0.7 * len(whole)
    words = [str(word) for word in line(corpus, f"s3://bucket/{prefix}")]
    while killed < kills:
        there = len(bucket.names(prefix))
        enough = rng.uniform(there, max(there, most))
        with warm.ns2(words) as process:
            while process.poll() is None:
                names = bucket.names(prefix)
                if f"{prefix}/{LEASE}" in names and len(names) > enough:
                    break
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        if process.returncode != -signal.SIGKILL:
            break  # it was done before
        killed += 1
        for name, data in bucket.contents(prefix).items():
            assert name.startswith(".state") or data == whole[name], name
    assert killed
    done = made(corpus, f"s3://bucket/{prefix}")
    assert done.exit_code == 0, done.output
    assert in_bucket(bucket, prefix) == contents(speech)


def test_a_bucket_with_other_files_is_refused(bucket: S3Server, corpus: Path) -> None:
    bucket.put("foreign/letter.txt", b"Dear")
    done = made(corpus, "s3://bucket/foreign")
    assert done.exit_code == 1 and "not of a dataset (letter.txt)" in done.output


def test_a_plan_leaves_the_files_of_a_run_alone(
    bucket: S3Server, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "s3://bucket/busy"
    monkeypatch.setattr(staging, "ENDS", 0.0)
    with Staging(url).held() as run:
        unfinished = run.root / ".tmp-1-0-index.parquet"
        unfinished.touch()
        words = [url, "--plan", "--trial-seconds", 0]
        done = command("preprocess", corpus, "-o", *words, "--codec", "mini")
        assert done.exit_code == 0 and "10 utterances" in done.output, done.output
        assert unfinished.exists()
        with pytest.raises(UserError, match=f"of this machine is at work in {url}"):
            Staging(url).held().__enter__()
    done = command("preprocess", corpus, "-o", *words, "--codec", "mini")
    assert done.exit_code == 0 and not unfinished.exists()


@pytest.mark.parametrize("name", ["dataset.json", "mel-0123456789ab/00000-0123456789abcdef.tar"])
def test_an_object_that_was_changed_is_seen(bucket: S3Server, name: str) -> None:
    found = []
    for content in (b"before", b"behind"):
        bucket.put(f"changing/{name}", content)
        found.append((Staging.looked_at("s3://bucket/changing") / name).stat().st_mtime_ns)
    assert found[0] != found[1]
    if name.endswith(".json"):
        assert (Staging.looked_at("s3://bucket/changing") / name).read_bytes() == b"behind"


def test_one_process_holds_a_lease(bucket: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED", 0.2)
    monkeypatch.setattr(lease, "ENDS", 2.0)
    place = Objects("s3://bucket/leased")
    with Lease(place) as held:
        with pytest.raises(UserError, match=f"at work in s3://.*process {os.getpid()}"):
            Lease(place).__enter__()
        held.check()
    assert place.names() == []
    # of a process of another machine that is gone
    place.put(LEASE, b'{"holder": "x", "host": "far", "boot": "b", "process": 1, "began": "1"}')
    with Lease(place):
        pass


@pytest.mark.parametrize("gone", [False, True])
def test_a_lease_that_was_taken_stops_its_holder(
    bucket: S3Server, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """Whoever took it may also be done already."""
    monkeypatch.setattr(lease, "RENEWED", 0.1)
    place = Objects("s3://bucket/taken")
    with Lease(place) as held:
        place.put(LEASE, b"another's")
        if gone:
            place.delete(LEASE)
        time.sleep(1)
        with pytest.raises(UserError, match="another ns2 has begun"):
            held.check()
    assert [place.read(name) for name, *_ in place.names()] == ([] if gone else [b"another's"])
    place.delete(LEASE)


def test_a_lease_of_a_killed_process_of_this_machine_is_free_at_once(bucket: S3Server) -> None:
    code = (
        "from ns2.pipeline.remote.objects import Objects\n"
        "from ns2.pipeline.dataset.bucket.lease import Lease\n"
        "import os\n"
        "Lease(Objects('s3://bucket/dead')).__enter__()\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    place = Objects("s3://bucket/dead")
    assert [name for name, *_ in place.names()] == [LEASE]
    began = time.monotonic()
    with Lease(place):
        assert time.monotonic() - began < lease.ENDS / 2
