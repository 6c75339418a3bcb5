"""The terms of a dataset: utterance, column, rejection and its reasons, and the frame grid."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np

from ns2.pipeline.core.held import Held

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
class Piece:
    """A part of a recording, from its start, in whole samples at the recording's own rate.

    Attributes:
        offset: where it begins, in seconds.
        duration: how long it lasts, in seconds; None for all that follows.
        channel: the number of its channel, from 0; None for the mean of all.
        at_most: nothing but a duration was given, which may be that of the whole recording, or of
            more.
    """

    offset: float = 0.0
    duration: float | None = None
    channel: int | None = None
    at_most: bool = False

    def samples(self, rate: int) -> tuple[int, int | None]:
        """The first sample, and the one behind the last or None; halves are rounded up.

        Pieces that adjoin in seconds adjoin in samples.

        Args:
            rate: of the recording, in Hz.
        """
        begins, lasts = Fraction(str(self.offset)), self.duration
        end = None if lasts is None else begins + Fraction(str(lasts))
        return _rounded(begins * rate), None if end is None else _rounded(end * rate)

    def to_json(self) -> dict[str, float | int]:
        """What a dataset keeps of it."""
        values = {"offset": self.offset, "duration": self.duration, "channel": self.channel}
        return {name: value for name, value in values.items() if value is not None}

    @staticmethod
    def from_json(value: object) -> Piece | None:
        """The piece whose `to_json` gave this value; None stands for a whole recording.

        Raises:
            ValueError: it is not such a value.
        """
        if value is None:
            return None
        known = {"offset": (int, float), "duration": (int, float), "channel": (int,)}
        if not isinstance(value, dict) or not value.keys() <= known.keys():
            raise ValueError("expected a piece of a recording with offset, duration and channel")
        for name, number in value.items():
            right = isinstance(number, known[name]) and not isinstance(number, bool)
            if not right or not 0 <= number < _MOST_SECONDS:
                raise ValueError(f"the {name} of a piece is no number from 0")
        return Piece(**value)


_MOST_SECONDS = 1e9


def _rounded(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One recording with its text, as the reader of a corpus finds it.

    Attributes:
        id: the corpus's own name for the utterance; any string.
        source: path of the audio file relative to the corpus, with forward slashes; of a recording
            that a file holds, the path of that file, a slash, and a name inside it.
        text: the transcript, as written.
        speaker: name of the speaker.
        language: an espeak-ng voice ("en-us"), or "" for the run's `--language`.
        split: the corpus's own split ("train", "val", "test"), or "" where it has none.
        piece: the part of the recording that it is, or None for all of it.
        phonemes: its tokens, where the corpus gives them; else empty.
        held: where another file holds the recording; None where it is a file.
        confidence: how surely the text is what is said, from 0 to 1, where the corpus tells it.
    """

    id: str
    source: str
    text: str
    speaker: str
    language: str = ""
    split: str = ""
    piece: Piece | None = None
    phonemes: tuple[str, ...] = ()
    held: Held | None = None
    confidence: float | None = None

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
    PIECE_BEYOND_END = "piece_beyond_end"
    # found in the text
    NOTHING_SPEAKABLE = "nothing_speakable"
    WRONG_SCRIPT = "wrong_script"
    NOT_UNDERSTOOD = "not_understood"
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
    DOUBTFUL_BORDERS = "doubtful_borders"
    LOW_CONFIDENCE = "low_confidence"
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


FILTERS = frozenset(
    {
        Reason.TOO_SHORT,
        Reason.TOO_LONG,
        Reason.BADLY_ALIGNED,
        Reason.DOUBTFUL_BORDERS,
        Reason.LOW_CONFIDENCE,
    }
)
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
