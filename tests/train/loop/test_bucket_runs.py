"""Training from a bucket and copies of runs in one: the same losses, and speech from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.atomic import observed
from ns2.train.run.copied import bring_run
from tests.support.bucket.proxy import Faults, proxy_before
from tests.support.bucket.server import S3Server, environment, reach
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
