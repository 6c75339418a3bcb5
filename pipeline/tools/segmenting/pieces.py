"""One recording: from its audio and text to pieces, and to what is left out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from ns2.pipeline.align.long.following import Followed, follow, hear
from ns2.pipeline.align.long.recorded import Recorded, record
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.tools.segmenting.borders import Border, find_borders
from ns2.pipeline.tools.segmenting.cutting import Lengths, cut
from ns2.pipeline.tools.segmenting.edges import Edges
from ns2.pipeline.tools.segmenting.recordings import Recording
from ns2.pipeline.tools.segmenting.written_words import WrittenText, WrittenWord, written_words
from ns2.pipeline.tools.tool_options import SegmentOptions

_PAUSES = (4.0, 12.0)
"""What a pause costs behind a clause, and behind another word: a short word that stands alone finds
something like it anywhere."""
_DOUBT = 3.6
"""The mean nats of a frame at which a passage is as likely wrong as right."""
_SLOPE = 0.3
_AROUND = 30
"""The fewest phones that are looked at together: single words say little."""
_BESIDE = 3
"""Words on either side whose pace is looked at together."""
_LONGEST_PHONE = 0.7
"""Seconds of the longest phone that is believed."""
_LEAST_FRAMES = 1.5
"""Pairs of frames that a phone lasts at least on the mean of some words: 40 ms."""
_LEAST_GAIN, _LEAST_PHONE_GAIN = 0.06, 1.9
"""The share by which a text must cost less than itself backwards, which has the same phones and is
never what is said; or the nats for each of its phones, where much of the recording is something
else. Both hold for texts without end. In 73 recordings of four sets of minutes the share was at
least 0.16 for their own texts and at most 0.07 for those of others; in 27 clips of some seconds 0.2
and 0.1."""
_CHANCE = 8.0
"""How much more a text of one phone must gain; the more phones, the less is due to chance."""
_BRIEF, _SURE = 1200.0, 0.9
"""Recordings of more seconds are not compared with the text backwards if this share of the words is
surely spoken: in short ones that may be chance."""
_DOUBTED = 0.5
"""What the confidence is multiplied by where there is sound that may not be that of the words."""
OTHER_TEXT = "other_text"


@dataclass(frozen=True, kw_only=True)
class FoundPiece:
    """A piece of a recording that becomes an utterance."""

    start: float
    end: float
    text: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Words or sound that are in no piece.

    Attributes:
        start, end: seconds; equal where words are not spoken at all.
        words: the number of the words.
        reason: why, in a word.
        text: the words.
    """

    start: float
    end: float
    words: int
    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What became of a recording."""

    seconds: float
    pieces: tuple[FoundPiece, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    whole: str = ""
    """Why all of it was left out; empty if it was not."""


def segment_recording(
    recording: Recording,
    options: SegmentOptions,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Segmented:
    """Cut a recording into pieces.

    Args:
        progress: called with the seconds of audio that were decoded since.
    """
    recorded = None
    try:
        written = written_words(recording.read_text(), options.language)
        recorded = record(recording.audio, progress)
    except UtteranceError as error:
        return _whole(str(error.reason), error.message, 0.0)
    if not written.words:
        return _whole(
            "nothing_speakable", "no word of the text can be pronounced", recorded.seconds
        )
    costs, phones = hear(recorded), np.array([len(word.phones) for word in written.words])
    followed = _follow(recorded, costs, written.words)
    confidence = _confidence(followed, phones)
    spoken = np.flatnonzero(np.isfinite(followed.begin))
    sure = float(np.mean(np.nan_to_num(confidence) > 0.5))
    if recorded.seconds <= _BRIEF or sure < _SURE:
        other = _follow(recorded, costs, written.words, backwards=True)
        if why := _other_text(followed, other, int(phones.sum())):
            return _whole(OTHER_TEXT, why, recorded.seconds, written)
    edges = Edges(recorded, costs[:, 0] == 0)
    borders = find_borders(edges, followed, written, [int(k) for k in spoken])
    good = confidence[spoken] >= options.least_confidence
    good &= _likely(followed, phones, spoken) & ~_alone(borders, phones[spoken])
    lengths = Lengths(least=options.min_seconds, most=options.max_seconds)
    cuts = cut(borders, [bool(one) for one in good], lengths)
    pieces = tuple(_piece(written, spoken[i:j], borders[i : j + 1], confidence) for i, j in cuts)
    left = _left_out(written, followed, edges, spoken, cuts, good)
    return Segmented(seconds=recorded.seconds, pieces=pieces, left_out=tuple(left))


def _piece(
    written: WrittenText, spoken: np.ndarray, borders: Sequence[Border], confidence: np.ndarray
) -> FoundPiece:
    """A piece of some spoken words; the borders go from before the first to behind the last."""
    doubt = any(border.doubt for border in borders[1:-1])
    return FoundPiece(
        start=_rounded(borders[0].go),
        end=_rounded(borders[-1].stop),
        text=written.passage(int(spoken[0]), int(spoken[-1]) + 1),
        confidence=round(float(confidence[spoken].min()) * (_DOUBTED if doubt else 1.0), 3),
    )


def _rounded(seconds: float | None) -> float:
    assert seconds is not None
    return round(seconds, 3)


def _whole(
    reason: str, message: str, seconds: float, written: WrittenText | None = None
) -> Segmented:
    """A recording of which nothing is used."""
    words = 0 if written is None else len(written.words)
    text = "" if written is None else written.passage(0, words)
    row = LeftOut(start=0.0, end=round(seconds, 3), words=words, reason=reason, text=text)
    return Segmented(seconds=seconds, left_out=(row,), whole=message)


def _confidence(followed: Followed, phones: np.ndarray) -> np.ndarray:
    """(W,) from 0 to 1, by the mean cost of the frames of a word and of those around it.

    NaN for words that are not spoken.
    """
    spoken = np.flatnonzero(np.isfinite(followed.begin))
    counts = np.concatenate([[0], np.cumsum(phones[spoken])])
    cost = np.concatenate([[0.0], np.cumsum(followed.cost[spoken])])
    frames = np.concatenate([[0], np.cumsum(followed.frames[spoken])])
    middle = (counts[:-1] + counts[1:]) / 2
    low = np.searchsorted(counts, middle - _AROUND / 2, "right") - 1
    high = np.searchsorted(counts, middle + _AROUND / 2)
    low, high = np.maximum(low, 0), np.minimum(high, len(spoken))
    mean = (cost[high] - cost[low]) / np.maximum(frames[high] - frames[low], 1)
    found = np.full(len(followed.begin), np.nan)
    found[spoken] = 1 / (1 + np.exp((mean - _DOUBT) / _SLOPE))
    return found


def _likely(followed: Followed, phones: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """Which of the spoken words last as long as words do.

    Where a passage is not written, a phone beside it may be drawn over it; where one is not spoken,
    its words may be crammed into their neighbours.
    """
    counts = np.concatenate([[0], np.cumsum(phones[spoken])])
    frames = np.concatenate([[0], np.cumsum(followed.frames[spoken])])
    at = np.arange(len(spoken))
    low, high = np.maximum(at - _BESIDE, 0), np.minimum(at + _BESIDE + 1, len(spoken))
    pace = (frames[high] - frames[low]) / (counts[high] - counts[low])
    likely: np.ndarray = (followed.longest[spoken] <= _LONGEST_PHONE) & (pace >= _LEAST_FRAMES)
    return likely


def _alone(borders: Sequence[Border], phones: np.ndarray) -> np.ndarray:
    """Which of the spoken words are few between what is not written or not spoken on either side.

    Something like a few words is found anywhere in a passage that is not written.

    Args:
        borders: before each spoken word, and behind the last.
        phones: (S,) of each spoken word.
    """
    breaks = [n for n, border in enumerate(borders) if border.why in ("not_written", "not_spoken")]
    found = np.zeros(len(phones), bool)
    for first, end in pairwise(breaks):
        found[first:end] = phones[first:end].sum() < _AROUND
    return found


def _other_text(followed: Followed, backwards: Followed, phones: int) -> str:
    """That a text belongs to another recording, in a sentence; empty if it does not."""
    gain = backwards.total - followed.total
    share = gain / max(backwards.total, 1e-9)
    chance = 1 + _CHANCE / max(phones, 1) ** 0.5
    if share >= _LEAST_GAIN * chance or gain >= _LEAST_PHONE_GAIN * chance * phones:
        return ""
    return (
        f"the text does not belong to the recording, or too little of it: it fits {share:.1%} "
        f"better than the same text backwards, and {_LEAST_GAIN * chance:.1%} are needed"
    )


def _follow(
    recorded: Recorded, costs: np.ndarray, words: Sequence[WrittenWord], *, backwards: bool = False
) -> Followed:
    """Find out when words are spoken; or, for comparison, the same phones from back to front."""
    phones = [word.phones for word in words]
    pauses = [0.0] + [
        0.0 if word.ends_sentence else _PAUSES[0] if word.ends_clause else _PAUSES[1]
        for word in words
    ]
    if backwards:
        phones, pauses = [word[::-1] for word in phones[::-1]], pauses[::-1]
    return follow(recorded, costs, phones, np.array(pauses))


def _left_out(
    written: WrittenText,
    followed: Followed,
    edges: Edges,
    spoken: np.ndarray,
    cuts: Sequence[tuple[int, int]],
    good: np.ndarray,
) -> list[LeftOut]:
    """Words that are in no piece, those in a row together, and sound that no word stands for."""
    reasons = ["not_spoken"] * len(written.words)
    for k, fits in zip(spoken, good, strict=True):
        reasons[k] = "no_pause" if fits else "low_confidence"
    for i, j in cuts:
        for k in spoken[i:j]:
            reasons[k] = ""
    found, first = [], 0
    for reason, its in groupby(reasons):
        end = first + len(list(its))
        if reason:
            when = _when(followed, first, end, edges.seconds)
            found.append(_row(*when, reason, written.passage(first, end), end - first))
        first = end
    ends = [0.0, *followed.end[spoken]]
    begins = [*followed.begin[spoken], edges.seconds]
    for before, after in zip(ends, begins, strict=True):
        sound = edges.sound(float(before), float(after))
        if sound is not None:
            found.append(_row(*sound, "not_written"))
    for first, end, why in written.unspoken:
        text = " ".join(written.text[first:end].split())
        found.append(_row(0.0, 0.0, "unpronounceable", f"{text}: {why}", 1))
    return sorted(found, key=lambda row: (row.start, row.end))


def _row(start: float, end: float, reason: str, text: str = "", words: int = 0) -> LeftOut:
    """A row of the table, in whole milliseconds."""
    return LeftOut(start=round(start, 3), end=round(end, 3), words=words, reason=reason, text=text)


def _when(followed: Followed, first: int, end: int, seconds: float) -> tuple[float, float]:
    """When words [first, end) are spoken; for words that are not, the border where they belong."""
    begin, stop = followed.begin[first:end], followed.end[first:end]
    if np.isfinite(begin).any():
        return float(np.nanmin(begin)), float(np.nanmax(stop))
    before = followed.end[:first][np.isfinite(followed.end[:first])]
    at = float(before[-1]) if len(before) else 0.0
    return min(at, seconds), min(at, seconds)
