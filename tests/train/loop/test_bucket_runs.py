"""Training from a bucket and copies of runs in one: the same losses, and speech from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.atomic import observed
from ns2.pipeline.dataset.bucket.lease import Lease
from ns2.pipeline.dataset.layout import LEASE
from ns2.pipeline.remote.objects import Objects
from ns2.train.run.copied import bring_run
from tests.support.bucket.proxy import Faults, proxy_before
from tests.support.bucket.server import S3Server, environment, reach
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_loop import arguments, metrics


def run(*words: str) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def bucket(s3: S3Server, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    s3.upload(speech, "speech")
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    return s3


def test_losses_are_those_of_a_folder_and_a_copy_goes_on(
    bucket: S3Server, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, copy = "s3://bucket/speech", "s3://bucket/runs/one"
    run(*arguments(speech, tmp_path / "near", 6))
    words = arguments(Path("x"), tmp_path / "far", 4)
    words[words.index("x")] = url
    faults = Faults(error=0.05, reset=0.05, cut=0.05, wrong=0.05)
    with proxy_before(bucket.port, faults) as proxy, monkeypatch.context() as patched:
        for name, value in environment(proxy.endpoint).items():
            patched.setenv(name, value)
        run(*words, "--copy-to", copy)
    assert metrics(tmp_path / "far") == metrics(tmp_path / "near")[:4]
    names = bucket.names("runs/one/checkpoints")
    kept = sorted(path.name for path in (tmp_path / "far/checkpoints").iterdir())
    assert [name.rsplit("/", 1)[1] for name in names] == kept
    # the machine is lost; another one goes on from the copy
    shutil.rmtree(tmp_path / "far")
    words[words.index("4")] = "6"
    said = run(*words, "--copy-to", copy)
    assert f"was brought from {copy}" in said
    assert metrics(tmp_path / "far") == metrics(tmp_path / "near")
    for name in ("model.safetensors", "metrics.jsonl", "config.json"):
        assert bucket.get(f"runs/one/{name}") == (tmp_path / "far" / name).read_bytes()


def test_a_stop_does_not_wait_for_a_server_that_is_gone(bucket: S3Server, tmp_path: Path) -> None:
    """The two minutes for which a server is waited for are longer than a user's patience."""
    recipe = Recipe(shards=6, per_shard=30, frames=(200, 290))
    bucket.upload(make_dataset(tmp_path / "larger", recipe), "larger")
    words = arguments(Path("x"), tmp_path / "run", 1000, checkpoint_every=1000)
    words[words.index("x")] = "s3://bucket/larger"
    small = {"NS2_CACHE_SIZE": "1M"}  # so that every epoch asks for the tars again
    with proxy_before(bucket.port, Faults()) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-m", "ns2.cli", *words],
            env={**os.environ, **environment(proxy.endpoint), **small},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        while not (tmp_path / "run/metrics.jsonl").is_file():
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
        proxy.faults.gone = True
        while "is made again" not in process.stdout.readline():
            assert process.poll() is None, process.stdout.read()
        done = -1
        while done < (done := len(metrics(tmp_path / "run"))):  # what was fetched before is learned
            time.sleep(3)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert "run: stopped; the same command goes on" in said and process.returncode == 0, said
    done = len(metrics(tmp_path / "run"))
    assert [int(one.stem) for one in (tmp_path / "run/checkpoints").iterdir()] == [done]


def test_a_run_in_a_bucket_speaks(
    bucket: S3Server, speech: Path, spoken: Path, tmp_path: Path
) -> None:
    run(*arguments(speech, tmp_path / "run", 2), "--copy-to", "s3://bucket/runs/two")
    prompt = str(min((spoken / "wavs").iterdir()))
    for place in (str(tmp_path / "run"), "s3://bucket/runs/two"):
        out = tmp_path / f"{len(place)}.wav"
        run("synthesize", place, "Good morning.", "--prompt", prompt, "-o", str(out))
    near, far = (path.read_bytes() for path in sorted(tmp_path.glob("*.wav")))
    assert near == far
    missing = CliRunner().invoke(main, ["synthesize", "s3://bucket/nothing", "Hello."])
    assert missing.exit_code == 1 and "has no config.json" in missing.output


def test_a_run_is_brought_again_until_all_of_it_is_there(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would begin anew, and its checkpoints in the bucket would be removed."""
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    for name in ("checkpoints/step-1.pt", "config.json", "metrics.jsonl", "model.safetensors"):
        s3.put(f"runs/three/{name}", name.encode())
    brought: list[str] = []
    with observed(lambda path, _: brought.append(path.name)):
        assert bring_run("s3://bucket/runs/three", tmp_path / "run")
    assert len(brought) == 4 and brought[-1] == "config.json"


def refused(*words: str) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 1, done.output
    return done.output


def test_nothing_of_another_run_is_written_over(
    bucket: S3Server, speech: Path, tmp_path: Path
) -> None:
    url = "s3://bucket/runs/four"
    run(*arguments(speech, tmp_path / "one", 4), "--copy-to", url)
    before = bucket.contents("runs/four")
    # other settings, even where the folder begins anew; other data
    other = [*arguments(speech, tmp_path / "two", 2), "--copy-to", url, "--fresh"]
    assert f"{url} holds a run that has another seed" in refused(*other, "--set", "seed=7")
    assert "holds a run that is on other data" in refused(*other, "--where", "frames > 1")
    # an earlier state of the same run
    shutil.rmtree(tmp_path / "two")
    run(*arguments(speech, tmp_path / "two", 2))
    said = refused(*arguments(speech, tmp_path / "two", 4), "--copy-to", url)
    assert "up to step 4" in said and "up to step 2: name an empty folder with -o" in said
    assert bucket.contents("runs/four") == before
    # nothing tells whose checkpoints they are
    bucket.put("runs/five/checkpoints/00000001.pt", b"another's")
    words = [*arguments(speech, tmp_path / "three", 1), "--copy-to", "s3://bucket/runs/five"]
    assert "holds checkpoints of a run that does not tell which" in refused(*words)
    assert list(bucket.contents("runs/five")) == ["checkpoints/00000001.pt"]


def test_one_training_at_a_time_copies_to_a_url(
    bucket: S3Server, speech: Path, tmp_path: Path
) -> None:
    place = Objects("s3://bucket/runs/six")
    words = [*arguments(speech, tmp_path / "run", 1), "--copy-to", place.url]
    with Lease(place):
        assert f"another ns2 is at work in {place.url}" in refused(*words)
    run(*words)
    assert LEASE not in [name for name, *_ in place.names()]
    # it is no part of the run
    with Lease(place):
        assert bring_run(place.url, tmp_path / "brought")
    assert not (tmp_path / "brought" / LEASE).exists()


def test_a_folder_of_another_machine_may_hold_the_copy(speech: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/far"
    run(*arguments(speech, tmp_path / "run", 2), "--copy-to", url)
    shutil.rmtree(tmp_path / "run")
    assert "was brought from" in run(*arguments(speech, tmp_path / "run", 3), "--copy-to", url)
