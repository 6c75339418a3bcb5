"""The terms of a dataset: utterance, column, rejection and its reasons, and the frame grid."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

LONGEST_SECONDS = 800.0
"""The greatest length of an utterance, whatever the options: durations are 16-bit frames."""

SILENCE = "<sil>"
"""The token at both ends of every utterance."""
BORDER = "|"
"""The token between two words without a punctuation mark; speakers may pause there, too."""

KEY_LENGTH = 80
"""The most characters of a key: a member's name must fit a ustar header."""
KEY = re.compile(rf"[A-Za-z0-9_-]{{1,{KEY_LENGTH}}}")
"""A key of an utterance; a dot would split a WebDataset sample."""


@dataclass(frozen=True, kw_only=True)
class FrameGrid:
    """The time axis that all framewise columns share.

    Frame i covers samples [hop * i, hop * (i + 1)); its centre is hop * i + hop / 2.
    """

    sample_rate: int = 24_000
    hop_length: int = 320

    @property
    def frame_rate(self) -> float:
        """Frames per second, in Hz."""
        return self.sample_rate / self.hop_length

    def frames(self, samples: int) -> int:
        """The number of frames T = ceil(S / hop) of an utterance of S samples."""
        return -(-samples // self.hop_length)


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One recording with its text, as the reader of a corpus finds it.

    Attributes:
        id: the corpus's own name for the utterance; any string.
        source: path of the audio file relative to the corpus, with forward slashes.
        text: the transcript, as written.
        speaker: name of the speaker.
        language: an espeak-ng voice ("en-us"), or "" for the run's `--language`.
        split: the corpus's own split ("train", "val", "test"), or "" where it has none.
    """

    id: str
    source: str
    text: str
    speaker: str
    language: str = ""
    split: str = ""

    @property
    def key(self) -> str:
        """The WebDataset key, see `make_key`."""
        return make_key(self.id)


def make_key(utterance_id: str) -> str:
    """The WebDataset key of an id: the id itself if possible, else a slug and 8 hex digits.

    Keys are `[A-Za-z0-9_-]{1,80}`: a dot would split a WebDataset sample.
    """
    if KEY.fullmatch(utterance_id):
        return utterance_id
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", utterance_id).strip("-")[: KEY_LENGTH - 9]
    digest = hashlib.sha256(utterance_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug}-{digest}" if slug else digest


class Kind(StrEnum):
    """Why an utterance that was found is not in the dataset."""

    REJECTED = "rejected"  # it could not be used
    FILTERED = "filtered"  # an option excluded it


class Reason(StrEnum):
    """The reasons that may stand in `rejected.parquet`."""

    # found by the corpus reader
    DUPLICATE_ID = "duplicate_id"
    NO_TRANSCRIPT = "no_transcript"
    EMPTY_TRANSCRIPT = "empty_transcript"
    TRANSCRIPT_UNREADABLE = "transcript_unreadable"
    BAD_ROW = "bad_row"
    AUDIO_MISSING = "audio_missing"
    # found while decoding
    AUDIO_UNREADABLE = "audio_unreadable"
    AUDIO_EMPTY = "audio_empty"
    AUDIO_TRUNCATED = "audio_truncated"
    AUDIO_NOT_FINITE = "audio_not_finite"
    AUDIO_SILENT = "audio_silent"
    # found in the text
    NOTHING_SPEAKABLE = "nothing_speakable"
    WRONG_SCRIPT = "wrong_script"
    UNKNOWN_LANGUAGE = "unknown_language"
    UNKNOWN_PHONEME = "unknown_phoneme"
    TEXT_TOO_LONG = "text_too_long"
    # found where audio and text meet
    MORE_PHONES_THAN_FRAMES = "more_phones_than_frames"
    # found in a TextGrid
    TEXTGRID_MISSING = "textgrid_missing"
    TEXTGRID_UNREADABLE = "textgrid_unreadable"
    TEXTGRID_DAMAGED = "textgrid_damaged"
    TEXTGRID_NO_TIER = "textgrid_no_tier"
    TEXTGRID_NO_PHONES = "textgrid_no_phones"
    TEXTGRID_BAD_TIMES = "textgrid_bad_times"
    TEXTGRID_OVERLAP = "textgrid_overlap"
    TEXTGRID_LENGTH = "textgrid_length"
    TEXTGRID_WORDS = "textgrid_words"
    # excluded by an option
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    BADLY_ALIGNED = "badly_aligned"
    # a stage raised, or crashed its worker
    STAGE_FAILED = "stage_failed"
    WORKER_CRASHED = "worker_crashed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One row of `rejected.parquet`: an utterance that was found and is not in the dataset."""

    id: str
    key: str
    source: str
    kind: Kind
    stage: str
    reason: Reason
    message: str


FILTERS = frozenset({Reason.TOO_SHORT, Reason.TOO_LONG, Reason.BADLY_ALIGNED})
"""The reasons for which options exclude utterances; their kind is `filtered`."""

PASSING = frozenset({Reason.STAGE_FAILED, Reason.WORKER_CRASHED})
"""Reasons that may be due to the machine, not to the utterance: every run tries again."""


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """What every array of a column looks like.

    Attributes:
        name: the column's name, from which the suffix of its members in a tar is made.
        dtype: numpy dtype name, or "json".
        dims: the axes: a letter (T frames or N tokens of the utterance), or a fixed size.
    """

    name: str
    dtype: str
    dims: tuple[str | int, ...]

    @property
    def suffix(self) -> str:
        """The part of a member's name that follows the key."""
        return f"{self.name}.json" if self.dtype == "json" else f"{self.name}.npy"


COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "codes": ("uint16", ("Q", "T")),
    "mel": ("float16", ("M", "T")),
    "f0": ("float32", ("T",)),
    "phonemes": ("uint16", ("N",)),
    "durations": ("uint16", ("N",)),
    "meta": ("json", ()),
}
"""The standard columns: dtype and letters of the axes. Stages may provide others."""


def in_column_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names of columns as a dataset lists them: those of `COLUMNS` first."""
    known = list(COLUMNS)
    return tuple(
        sorted(set(names), key=lambda n: (known.index(n) if n in known else len(known), n))
    )


META_FIELDS = (
    "text", "phonemes", "words", "speaker", "language", "id", "source", "audio_hash", "samples",
)  # fmt: skip


def check_array(
    spec: ColumnSpec, key: str, array: np.ndarray, *, frames: int, tokens: int | None
) -> None:
    """Check that an array keeps its column's contract.

    Args:
        spec: the column.
        key: of the utterance, for the message.
        array: the array to check.
        frames: T of the utterance.
        tokens: N of the utterance, or None where it is not known.

    Raises:
        ValueError: it does not; the message names the key, what was expected and what came.
    """
    sizes: dict[str | int, int | None] = {"T": frames, "N": tokens}
    if array.dtype != np.dtype(spec.dtype):
        raise ValueError(f"{spec.name} of {key}: expected {spec.dtype}, got {array.dtype}")
    expected = tuple(d if isinstance(d, int) else sizes.get(d) for d in spec.dims)
    fits = len(expected) == array.ndim and all(
        want is None or want == got for want, got in zip(expected, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{spec.name} of {key}: expected shape {expected} {spec.dims}, got {array.shape}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{spec.name} of {key}: holds values that are not finite")


def check_durations(
    key: str, durations: np.ndarray, phonemes: list[str], *, frames: int, optional: frozenset[str]
) -> None:
    """Check that durations sum to T and every phone has at least one frame.

    Args:
        key: of the utterance, for the message.
        durations: (N,) frames.
        phonemes: N token strings.
        frames: T of the utterance.
        optional: the tokens that may last 0 frames.

    Raises:
        ValueError: they do not; the message names the key, what was expected and what came.
    """
    total = int(durations.sum(dtype=np.int64))
    if total != frames:
        raise ValueError(f"durations of {key}: expected a sum of {frames} frames, got {total}")
    for i, (duration, phone) in enumerate(zip(durations, phonemes, strict=True)):
        if duration == 0 and phone not in optional:
            raise ValueError(
                f"durations of {key}: token {i} ({phone}): expected at least 1 frame, got 0"
            )
