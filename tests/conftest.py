"""Fixtures that several test files share; each is made once a test process."""

from __future__ import annotations

import gc
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bucket.server import S3Server, s3_server
from tests.support.preprocessing import run_inline

_UNHIDDEN = itertools.count(1)


@pytest.fixture(autouse=True)
def nothing_of_before_is_garbage() -> Iterator[None]:
    """Hide from Python's collector what is there after a test, as pytest does before the first.

    A training unhides it, and then half a million objects of all tests and libraries would be
    looked at twice in every training that comes.
    """
    yield
    if not gc.get_freeze_count():
        if next(_UNHIDDEN) % 10 == 0:
            gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 10 utterances in LJSpeech layout, spoken by espeak-ng, with its truth."""
    from ns2.pipeline.corpora.spoken.espeak import speak_corpus

    return speak_corpus(tmp_path_factory.mktemp("spoken"), utterances=10, seed=3)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EnCodec weights of the published layout, seeded, fitted to some speech."""
    import torch

    from tests.support.seeded_encodec import spoken_encodec

    path = tmp_path_factory.mktemp("weights") / "encodec.th"
    torch.save(spoken_encodec(4), path)
    return path


@pytest.fixture(scope="session")
def dataset(spoken: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spoken corpus, preprocessed in shards of 4. Tests copy it before they change it."""
    out = tmp_path_factory.mktemp("dataset") / "shards"
    run_inline(spoken, out, weights)
    return out


@pytest.fixture(scope="session")
def speech(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spoken corpus by the codec `mini`, three of its utterances held out."""
    out = tmp_path_factory.mktemp("speech") / "shards"
    run_inline(spoken, out, None, codec="mini", val_share=0.3)
    return out


@pytest.fixture
def corpus(spoken: Path, tmp_path: Path) -> Path:
    """A copy of the spoken corpus that a test may change."""
    shutil.copytree(spoken, tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture
def shards(dataset: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may change; mtimes are kept."""
    shutil.copytree(dataset, tmp_path / "shards")
    return tmp_path / "shards"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server of S3 with a bucket, which tests share."""
    with s3_server() as server:
        yield server
