"""A tiny dataset for tests of what reads datasets whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.dataset_factories import make_dataset
from tests.support.verifying import TINY


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("verify") / "original", TINY)


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(original, tmp_path / "shards"))
