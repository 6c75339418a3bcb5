"""What lies where in a dataset's folder: every name, their patterns, and the lock."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ns2.pipeline.core.atomic import TEMPORARY
from ns2.pipeline.core.errors import UserError

FORMAT = "ns2-dataset"
FORMAT_VERSION = 1

CARD = "dataset.json"
INDEX = "index.parquet"
REJECTED = "rejected.parquet"
SUMS = "SHA256SUMS"
ASSETS = "assets"
STATE = ".state"

OURS = re.compile(
    r"dataset\.json|index\.parquet|rejected\.parquet|SHA256SUMS|assets|\.state"
    rf"|{re.escape(TEMPORARY)}.*|[a-z][a-z0-9]*-[0-9a-f]{{12,}}"
)


@contextmanager
def lock(path: Path, out: Path) -> Iterator[None]:
    """Hold the lock of a dataset's folder: one run at a time."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another ns2 is at work in {out}; wait for it or stop it first"
            ) from error
        yield


FINGERPRINT_DIGITS = 12
_HEX = rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}"
COLUMN_FOLDER = re.compile(rf"[a-z][a-z0-9]*-{_HEX}")
TARGET_FILE = re.compile(r"\d{5,}-[0-9a-f]{16}\.(tar|parquet)")
ASSET_FILE = re.compile(rf"[a-z][a-z0-9]*-{_HEX}\.(json|safetensors)")
SCREEN_FOLDER = re.compile(rf"screen-{_HEX}")
SCREEN_FILE = re.compile(r"\d{5,}\.parquet")


TARGET = re.compile(r"(?P<folder>(?P<column>[a-z0-9]+)-[0-9a-f]+)/(?P<shard>\d{5,})-[0-9a-f]+")
"""Path of a tar or marker without its suffix."""


def failures_file(out: Path) -> Path:
    """Where a dataset's folder keeps them."""
    return out / STATE / "failures.json"


def scores_file(out: Path) -> Path:
    """Where a dataset's folder keeps them."""
    return out / STATE / "scores.json"


def state_file(out: Path) -> Path:
    """Where a dataset's folder keeps what was seen of its sources."""
    return out / STATE / "sources.parquet"


def plan_file(out: Path) -> Path:
    """Where a dataset's folder keeps which utterance lies in which shard."""
    return out / STATE / "plan.parquet"
