"""Ray's workers and a bucket: none of them needs the folder of the command."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ns2.pipeline.dataset.bucket.staging import Staging
from ns2.pipeline.preprocess.executors import pools
from ns2.pipeline.stages.durations import DurationsStage
from tests.support.bucket.server import S3Server, reach
from tests.support.dataset_factories import TABLE
from tests.support.factories import ROOT
from tests.support.preprocessing import contents
from tests.support.processes import command_line, tree

ACTOR = pools._Actor.__name__


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    return s3


def test_what_travels_to_a_worker_is_read_from_the_bucket(
    bucket: S3Server, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.upload(dataset, "travels")
    with Staging("s3://bucket/travels").held() as staging:
        weights = next((staging.root / "assets").glob("aligner-*.safetensors"))
        stage = pickle.dumps(DurationsStage(TABLE, weights))
        # another machine has neither the folder nor the cache
        staging.root.rename(tmp_path / "elsewhere")
        monkeypatch.setenv("NS2_CACHE", str(tmp_path / "other"))
        assert pickle.loads(stage)._aligner.state_dict().keys()
        (tmp_path / "elsewhere").rename(staging.root)


@pytest.mark.large
def test_a_killed_worker_changes_nothing(
    bucket: S3Server, spoken: Path, weights: Path, dataset: Path
) -> None:
    command = [sys.executable, "-m", "ns2.cli", "preprocess", str(spoken), "-o", "s3://bucket/ray"]
    command += ["--codec-weights", str(weights), "--quantizers", "4"]
    command += ["--shard-utterances", "4", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        killed = 0
        while process.poll() is None and not killed:
            for worker in tree(process.pid):
                if f"ray::{ACTOR}" in command_line(worker):
                    time.sleep(0.3)
                    os.kill(worker, signal.SIGKILL)
                    killed += 1
                    break
            time.sleep(0.1)
        assert process.wait(timeout=300) == 0 and killed
    found = bucket.contents("ray")
    made = {name: data for name, data in found.items() if not name.startswith(".state")}
    assert made == contents(dataset)
