"""What lies where in a dataset's folder: every name, the patterns of names, and the lock.

dataset.json                  the card: what the dataset is; written last
index.parquet                 a row for each utterance: where each of its arrays lies
rejected.parquet              a row for each utterance that was found and is not in the dataset
SHA256SUMS                    the checksum of every file but the card, which holds its own
README.md                     what the card says, for people and for hubs
mel-0123456789ab/             a column, with the fingerprint of how it was made
  00000-0123456789abcdef.tar      the column's arrays of shard 0, with a digest of its sources
  00000-0123456789abcdef.parquet  the marker that commits this tar
assets/                       what all utterances share
  phonemes-0123456789ab.json          the phoneme table
  codebooks-0123456789ab.safetensors  the codec's codebooks
  aligner-0123456789ab.safetensors    the aligner's weights, and .json: its training
.state/                       what later runs know of earlier ones; not part of the dataset
  lock                        held by the run that is at work; in a bucket it is lease
  plan.parquet                which utterance lies in which shard
  sources.parquet             what was seen of the source files
  finished.parquet            what the last run saw when it had finished
  rows.parquet                and of each row of a manifest, where that has a line for each
  failures.json               why stages could not work on some utterances
  scores.json                 the alignment scores that `--min-align-score` excludes
  screen-0123456789ab/        results of screening, a file for each shard: 00000.parquet
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ns2.pipeline.core.atomic import TEMPORARY, open_end
from ns2.pipeline.core.errors import UserError

# The card's format.

FORMAT = "ns2-dataset"
"""The value of the card's field `format`."""
FORMAT_VERSION = 1
"""The newest format that this ns2 reads, and the one that it writes."""

# Names at the top of the folder.

CARD = "dataset.json"
"""The card."""
INDEX = "index.parquet"
"""The index."""
REJECTED = "rejected.parquet"
"""The ledger of utterances that were found and are not in the dataset."""
SUMS = "SHA256SUMS"
"""The checksums, in the format of `sha256sum`."""
README = "README.md"
"""What the card says, for people; no checksum covers it, since a user may add to it."""
README_END = "<!-- What stands below this line is yours: ns2 preprocess keeps it. -->"
"""The last line of what ns2 writes there."""
ASSETS = "assets"
"""The folder of assets."""
STATE = ".state"
"""The folder of what runs remember."""
LOCK, LEASE = ".state/lock", ".state/lease"
"""What a run holds that is at work: a file in a folder, an object in a bucket."""

# Patterns of names that ns2 gives.

FINGERPRINT_DIGITS = 12
"""Hex digits of the fingerprint in the name of a column's folder, a screening or an asset."""
_FINGERPRINT = rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}"

OURS = re.compile(
    r"dataset\.json|index\.parquet|rejected\.parquet|SHA256SUMS|README\.md|assets|\.state"
    rf"|{re.escape(TEMPORARY)}.*|[a-z][a-z0-9]*-[0-9a-f]{{12,}}"
)
"""Every name that ns2 gives at the top of the folder, temporary files included."""
COLUMN_FOLDER = re.compile(rf"[a-z][a-z0-9]*-{_FINGERPRINT}")
"""The folder of a column."""
TARGET_FILE = re.compile(r"[0-9]{5,9}-[0-9a-f]{16}\.(tar|parquet)")
"""A tar or its marker, in the folder of a column."""
TARGET = re.compile(
    r"(?P<stem>(?P<folder>(?P<column>[a-z][a-z0-9]*)-[0-9a-f]+)/(?P<shard>[0-9]{5,9})-[0-9a-f]+)"
    r"\.(?:tar|parquet)"
)
"""The whole path of a tar or marker, relative to the dataset."""
ASSET_FILE = re.compile(rf"[a-z][a-z0-9]*-{_FINGERPRINT}\.(json|safetensors)")
"""A file in the folder of assets."""
SCREEN_FOLDER = re.compile(rf"screen-{_FINGERPRINT}")
"""The folder of a screening, in the folder of state."""
SCREEN_FILE = re.compile(r"[0-9]{5,9}\.parquet")
"""The results of a shard, in the folder of a screening."""

# Paths in the folder of state.


def plan_file(out: Path) -> Path:
    """The file that says which utterance lies in which shard."""
    return out / STATE / "plan.parquet"


def state_file(out: Path) -> Path:
    """The file of what was seen of the sources."""
    return out / STATE / "sources.parquet"


def finished_file(out: Path) -> Path:
    """The file of what the last run saw when it had finished."""
    return out / STATE / "finished.parquet"


def rows_file(out: Path) -> Path:
    """The file of what the last run saw of each row of a manifest."""
    return out / STATE / "rows.parquet"


def failures_file(out: Path) -> Path:
    """The file that says why stages could not work on some utterances."""
    return out / STATE / "failures.json"


def scores_file(out: Path) -> Path:
    """The file of the alignment scores that `--min-align-score` excludes."""
    return out / STATE / "scores.json"


def our_folders(out: Path) -> list[Path]:
    """The folders of a dataset that ns2 writes into, itself included; none is a link."""
    state = out / STATE
    below = [*_folders(out, COLUMN_FOLDER), out / ASSETS, state, *_folders(state, SCREEN_FOLDER)]
    return [out, *(folder for folder in below if folder.is_dir() and not folder.is_symlink())]


def _folders(folder: Path, named: re.Pattern[str]) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if named.fullmatch(path.name))


@contextmanager
def lock(path: Path, out: Path) -> Iterator[None]:
    """Hold the lock of a dataset's folder, so that only one run works in it.

    Args:
        path: the lock file.
        out: the dataset's folder, which the message names.

    Raises:
        UserError: another process holds it, or it is a link.
    """
    with open_end(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another ns2 is at work in {out}; wait for it or stop it first"
            ) from error
        yield
